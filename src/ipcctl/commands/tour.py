"""`ipcctl tour`: every concept's checks, in one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from ..demos import CONCEPTS, demonstrate
from ..errors import EXIT_FALSE, EXIT_OK, BadInput
from ..report.formats import whole
from ..report.live import Live, wanted
from ..report.model import Column, Report, Row, tally
from ..report.options import output_options
from ..report.output import Output
from .command import Command

COLUMNS = (
    Column("concept", "text", "the concept"),
    Column("ok", "boolean", "whether none of its checks failed"),
    Column("held", "integer", "checks that held"),
    Column("failed", "integer", "checks that failed"),
    Column("skipped", "integer", "checks that cannot be made on this machine"),
    Column("wall_s", "real", "how long the demonstration took"),
    Column("report", "object", "in JSON: the concept's whole report"),
)


def completed(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The concepts not yet named."""
    return [name for name in CONCEPTS if name.startswith(incomplete) and name not in context.params["concepts"]]


@click.command(cls=Command, starts_processes=True)
@output_options(COLUMNS)
@click.argument("concepts", nargs=-1, metavar="[CONCEPT]...", shell_complete=completed)
def command(output: Output, concepts: tuple[str, ...]) -> int:
    """Run every concept's checks, one concept after the other.

    With CONCEPT, only those. A line a check, and the totals; the exit status is 1 if any failed. In JSON each row
    has its concept's whole report, under `report`.
    """
    for name in concepts:
        if name not in CONCEPTS:
            raise BadInput(f"no concept {name!r}; there are: {', '.join(CONCEPTS)}")
    output.open()
    report = toured(concepts or CONCEPTS)
    output.write(report)
    return EXIT_OK if report.ok else EXIT_FALSE


def toured(concepts: tuple[str, ...]) -> Report:
    """Run the demonstrations, and put their reports together."""
    reports = list(progressing(concepts))
    checks = [check for each in reports for check in each.checks]
    counts = tally(checks)
    rows = [row_of(each) for each in reports]
    wall_s = round(sum(row["wall_s"] for row in rows), 6)
    events = [event for each in reports for event in each.events]
    return Report("tour", COLUMNS, counts["failed"] == 0, {**counts, "wall_s": wall_s}, rows, checks, events)


def row_of(report: Report) -> Row:
    """What one concept's report comes to."""
    return {"concept": report.concept, "ok": report.ok, **report.summary, "report": whole(report, report.columns)}


def progressing(concepts: Sequence[str]) -> Iterator[Report]:
    """Run them, and say on stderr which one it is, where that is a terminal."""
    live, draws = Live(), wanted(None)
    try:
        for i, name in enumerate(concepts, 1):
            if draws:
                live.show([f"tour: {name}, {i} of {len(concepts)}"])
            yield demonstrate(name)
    finally:
        live.clear()
