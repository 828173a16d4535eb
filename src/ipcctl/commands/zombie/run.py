"""`ipcctl zombie -- COMMAND`: a command run to find out which of its processes do not wait for theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ...errors import EXIT_OK
from ...report.model import Column, Report
from ...report.options import output_options
from ...report.output import Output
from ..arguments import Seconds
from ..command import Command
from ..running import outcome_of, run_and_report

if TYPE_CHECKING:
    from ...process.subreaper import Subreaper

COLUMNS = (
    Column("pid", "integer", "the process that had exited and was not waited for"),
    Column("name", "text", "the kernel's name for it"),
    Column("command", "list", "its arguments while it ran; unknown where it had exited before they were read"),
    Column("parent_pid", "integer", "the parent that did not wait"),
    Column("parent_name", "text", "the kernel's name for that parent"),
    Column("parent_command", "list", "that parent's arguments"),
    Column("first_seen_s", "real", "when it was first seen to be a zombie, from the start of the command"),
    Column("lasted_s", "real", "for how long it was one, until it went or the command ended"),
    Column("ended", "text", "reaped by its parent, adopted and reaped (its parent ended), or still there when the "
                            "command ended"),
)  # fmt: skip


@click.command(cls=Command, starts_processes=True, context_settings={"allow_interspersed_args": False})
@click.option("--longer-than", type=Seconds(), default=0.1, show_default=True,
              help="A zombie for no longer is no row.")
@click.option("--grace", type=Seconds(), default=5.0, show_default=True, help="Time between TERM and KILL.")
@click.option("--fail-on-leak", is_flag=True, help="Status 1 where it would be 0 and there was one.")
@output_options(COLUMNS)
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND [ARG]...")
def command(output: Output, argv: tuple[str, ...], longer_than: float, grace: float, fail_on_leak: bool) -> int:
    """Run COMMAND, and report who was not waited for, and by whom."""
    from ...process.subreaper import Subreaper

    output.open(beside_command=True)
    job = Subreaper(argv, grace_s=grace, longer_than_s=longer_than)
    run_and_report(output, "zombie", job, lambda: report_of(job, fail_on_leak))
    return job.status_with(fail_on_leak, len(job.zombies))


def report_of(job: Subreaper, fail_on_leak: bool) -> Report:
    """The report on a run."""
    from .rows import note_zombies, zombie_rows

    note_zombies(job)
    rows = zombie_rows(job)
    status = job.status_with(fail_on_leak, len(rows))
    summary: dict[str, Any] = {
        **outcome_of(job, status),
        "zombies": len(rows),
        "longest_s": max((row["lasted_s"] for row in rows), default=None),
        "negligent_parents": len({row["parent_pid"] for row in rows}),
        "start_error": job.records[0].start_error,
    }
    return Report("zombie", COLUMNS, status == EXIT_OK, summary, rows, events=job.events,
                  title=f"zombies for longer than {job.longer_than_s:g} s")  # fmt: skip
