"""`ipcctl orphan -- COMMAND`: a command run with every process accounted for that outlives its parent."""

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
    Column("pid", "integer", "the process whose parent ended before it"),
    Column("name", "text", "the kernel's name for it"),
    Column("command", "list", "its arguments; unknown where it had ended before they were read"),
    Column("chain", "text", "its parents as they were, from the command down; ? where one was gone before it was seen"),
    Column("parent_pid", "integer", "the parent that ended"),
    Column("parent_name", "text", "the kernel's name for that parent"),
    Column("parent_command", "list", "that parent's arguments", shown=False),
    Column("adopter_pid", "integer", "who became its parent: ipcctl, or a subreaper further down"),
    Column("age_s", "real", "from its start until it ended, or until now"),
    Column("cpu_s", "real", "processor time; once it has ended, its waited-for children's included"),
    Column("own_session", "boolean", "whether it is in another session than the command's"),
    Column("ended", "text", "exited with …, ended by …, or still running"),
    Column("exit_code", "integer", "what it gave to exit; unknown when a signal ended it, or it runs"),
    Column("signal", "text", "the signal that ended it"),
    Column("running", "boolean", "whether it is left running"),
    Column("parents", "object", "in JSON: the chain, the nearest first, each with pid, name and command; null unknown"),
)  # fmt: skip


@click.command(cls=Command, starts_processes=True, requires={"timeout": "--left wait"},
               context_settings={"allow_interspersed_args": False})
@click.option("--left", type=click.Choice(["report", "wait", "kill"]), default="report", show_default=True,
              help="Those still running at COMMAND's end.")
@click.option("--timeout", type=Seconds(positive=True),
              help="With --left wait: end them then; status 124.")
@click.option("--grace", type=Seconds(), default=5.0, show_default=True, help="Time between TERM and KILL.")
@click.option("--fail-on-leak", is_flag=True, help="Status 1 where it would be 0 and there was one.")
@output_options(COLUMNS)
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND [ARG]...")
def command(
    output: Output, argv: tuple[str, ...], left: str, timeout: float | None, grace: float, fail_on_leak: bool
) -> int:
    """Run COMMAND as an init does, and report who outlived a parent."""
    from ...process.subreaper import Subreaper

    output.open(beside_command=True)
    job = Subreaper(argv, left, timeout, grace)
    run_and_report(output, "orphan", job, lambda: report_of(job, fail_on_leak))
    return job.status_with(fail_on_leak, len(job.orphans))


def report_of(job: Subreaper, fail_on_leak: bool) -> Report:
    """The report on a run."""
    from .rows import note_orphans, orphan_rows

    note_orphans(job)
    rows = orphan_rows(job)
    status = job.status_with(fail_on_leak, len(rows))
    summary: dict[str, Any] = {
        **outcome_of(job, status),
        "orphans": len(rows),
        "left": job.still_running,
        "running": sum(row["running"] for row in rows),
        "timed_out": job.time_was_up,
        "start_error": job.records[0].start_error,
    }
    return Report("orphan", COLUMNS, status == EXIT_OK, summary, rows, events=job.events,
                  title="processes that outlived their parent")  # fmt: skip
