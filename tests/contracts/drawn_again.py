"""Run ipcctl on the terminal that this is started on, and draw its reports once more for each width that it may have.

    python drawn_again.py 60,80 pool -- true ::: 1     # or: … help, for the column tables of every subcommand

Each drawing is headed by a line `=== WIDTH SECTION FORMAT`. `!!! …` tells of rows that look alike and are not.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import termios
from collections.abc import Iterator, Sequence

import click

from ipcctl import cli
from ipcctl.report.model import SECTIONS, Column, Report, Row
from ipcctl.report.output import Output
from ipcctl.report.table import Page

MOST_PAIRS = 12
Shown = list[tuple[Output, Report]]


class Text:
    """Where a page is written to be looked at here."""

    def __init__(self, width: int | None) -> None:
        self.width = width
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


def table(columns: Sequence[Column], rows: list[Row], width: int | None) -> str:
    """The rows as a table of that width."""
    sink = Text(width)
    Page(sink, False, True).rows(columns, rows)  # type: ignore[arg-type]
    return sink.text


def alike(columns: Sequence[Column], rows: list[Row], width: int) -> Iterator[tuple[Row, Row]]:
    """Pairs of rows that differ, and may change places without a difference: those look alike."""
    rows = sorted(rows, key=lambda row: [str(row.get(each.name)) for each in columns])
    text = table(columns, rows, width)
    for i in range(min(len(rows) - 1, MOST_PAIRS)):
        swapped = [*rows[:i], rows[i + 1], rows[i], *rows[i + 2 :]]
        if table(columns, swapped, width) == text and table(columns, swapped, None) != table(columns, rows, None):
            yield rows[i], rows[i + 1]


def resize(width: int) -> None:
    """Give the terminal another width."""
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))


def draw_again(reports: Shown, width: int) -> None:
    """Draw the reports: each section as a table, and the events as a timeline."""
    resize(width)
    for output, report in reports:
        asked = [output.section] if output.asked else [None, *SECTIONS]
        for section, format in [*((each, "table") for each in asked), (None, "timeline")]:
            print(f"=== {width} {section} {format}", flush=True)
            output.section, output.format = section, format
            output.write(report)
        output.section, output.format = None, "table"
        for pair in alike(output.chosen(report), list(report.rows), width):
            print(f"!!! {width} {pair}", flush=True)


def subcommands(group: click.Group, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every subcommand, by its words."""
    context = click.Context(group)
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        assert command is not None
        yield f"{name}{word}", command
        if isinstance(command, click.Group):
            yield from subcommands(command, f"{name}{word} ")


def explain_all(width: int) -> None:
    """Print `-c help` of every table of every subcommand."""
    resize(width)
    for name, command in subcommands(cli.cli):
        for mode, columns in getattr(command, "tables", {}).items():
            print(f"=== {width} {name}: {mode}", flush=True)
            Output(columns, asked="help").explain_columns()


def main() -> int:
    """Run it, and draw it again."""
    widths = [int(each) for each in sys.argv[1].split(",")]
    if sys.argv[2:] == ["help"]:
        for width in widths:
            explain_all(width)
        return 0
    reports: Shown = []
    write = Output.write

    def keep(output: Output, report: Report, live: bool = False) -> None:
        report.rows = list(report.rows)
        reports.append((output, report))
        write(output, report, live)

    Output.write = keep  # type: ignore[method-assign]
    resize(widths[0])
    status = cli.main(sys.argv[2:])
    Output.write = write  # type: ignore[method-assign]
    print(f"=== {widths[0]} reports: {len(reports)}, status {status}", flush=True)
    for width in widths:
        draw_again(reports, width)
    return 0


if __name__ == "__main__":
    sys.stdout.flush()
    os._exit(main())
