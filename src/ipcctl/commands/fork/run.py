"""`ipcctl fork -- COMMAND`: a command run, and a true record of it."""

from __future__ import annotations

from typing import Any

import click

from ...errors import EXIT_OK
from ...report.model import Column, Report
from ...report.options import output_options
from ...report.output import Output
from ..arguments import Seconds
from ..columns import OUTPUT_COLUMNS, RUN_COLUMNS
from ..command import Command
from ..running import run_and_report

COLUMNS = (Column("copy", "integer", "which of the copies, from 1"), *RUN_COLUMNS, *OUTPUT_COLUMNS)
MOST_COPIES = 10_000


@click.command(cls=Command, starts_processes=True, context_settings={"allow_interspersed_args": False})
@click.option("-n", "--copies", type=click.IntRange(1, MOST_COPIES), default=1, metavar="COPIES",
              help="Run so many copies of COMMAND at once.")
@click.option("--timeout", type=Seconds(positive=True), help="End the whole tree after so long; status 124.")
@click.option("--grace", type=Seconds(), default=5.0, show_default=True, help="Time between TERM and KILL.")
@click.option("--capture", is_flag=True, help="Keep its output in the records; report on stdout.")
@output_options(COLUMNS)
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND [ARG]...")
def command(
    output: Output, argv: tuple[str, ...], copies: int, timeout: float | None, grace: float, capture: bool
) -> int:  # fmt: skip
    """Run COMMAND, and report how it went."""
    from ...process.run import Run

    output.open(beside_command=not capture)
    job = Run(argv, copies, timeout, grace, capture)
    if write := output.streaming():
        job.heard = lambda number, record: write({"copy": number, **record.row()})
    run_and_report(output, "fork", job, lambda: Report(
        "fork", COLUMNS, ok=job.status == EXIT_OK, summary=summary(job), events=job.events,
        rows=[{"copy": i, **each.row()} for i, each in enumerate(job.records, 1)]))  # fmt: skip
    return job.status


def summary(job: Any) -> dict[str, Any]:
    """The figures of all copies together."""
    records = job.records
    known = [each for each in records if each.wall_s is not None]
    peaks = [each.max_rss_kib for each in known if each.max_rss_kib is not None]
    one = records[0]
    return {
        "status": job.status,
        "copies": len(records),
        "succeeded": sum(each.succeeded for each in records),
        "failed": sum(not each.succeeded for each in records),
        "timed_out": sum(each.timed_out for each in records),
        "exit_code": one.exit_code if len(records) == 1 else None,
        "signal": one.signal if len(records) == 1 else None,
        "wall_s": job.wall_s,
        "user_s": round(sum(each.user_s or 0 for each in known), 6),
        "system_s": round(sum(each.system_s or 0 for each in known), 6),
        "max_rss_kib": max(peaks, default=None),
    }
