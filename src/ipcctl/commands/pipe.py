"""`ipcctl pipe`: the concept shown, what each kind of pipe costs, or two commands that talk to each other."""

from __future__ import annotations

from typing import Any

import click

from ..errors import HELD, NO
from ..report.options import output_options
from ..report.output import Output
from ..report.report import Column
from .arguments import needs


def meant(given: dict[str, Any]) -> str:
    """Which of the things that pipe does the options ask for."""
    return "the concept"


def tables() -> dict[str, tuple[Column, ...]]:
    """The column tables by what pipe does."""
    from ..demos.messages import MESSAGE_COLUMNS

    return {"the concept": MESSAGE_COLUMNS}


@click.command()
@output_options(tables(), meant, source="pipe")
@click.argument("stages", nargs=-1, metavar="['COMMAND']...")
def command(output: Output, stages: tuple[str, ...], **how: Any) -> int:
    """See how a pipe carries messages from one process to another.

    Alone, it sends messages for real through each kind of pipe, and checks every statement of the concept against
    what the kernel shows.
    """
    needs("the concept alone", not stages)
    return show(output)


def show(output: Output) -> int:
    """Run the demonstration."""
    from ..demos import demonstrate

    output.open()
    report = demonstrate("pipe")
    output.write(report)
    return HELD if report.ok else NO


command.tables = tables()  # type: ignore[attr-defined]
