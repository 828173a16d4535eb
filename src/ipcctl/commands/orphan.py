"""`ipcctl orphan`: the concept shown, or a command run with every process accounted for that outlives its parent."""

from __future__ import annotations

from typing import Any

import click

from ..errors import EXIT_OK
from ..report.model import Column, Report
from ..report.options import output_options
from ..report.output import Output
from ..report.sink import say
from .arguments import Seconds, Wrapper, needs
from .running import run_and_report, show


def mode_of(given: dict[str, Any]) -> str:
    """Which of the two things the options ask for."""
    return "-- COMMAND" if given["argv"] else "the concept"


def tables() -> dict[str, tuple[Column, ...]]:
    """The column tables by what orphan does."""
    from ..demos.columns import ADOPTED_COLUMNS
    from ..process.adoption import ORPHAN_COLUMNS

    return {"the concept": ADOPTED_COLUMNS, "-- COMMAND": ORPHAN_COLUMNS}


@click.command(cls=Wrapper)
@click.option("--subreaper", is_flag=True, help="Shown: let ipcctl itself, a child subreaper, be the adopter.")
@click.option("--hold", type=Seconds(positive=True), help="Shown: keep the orphans so long, for another shell to look.")
@click.option("--left", type=click.Choice(["report", "wait", "kill"]), default="report", show_default=True,
              help="Those still running when COMMAND has ended: leave them, wait until they end, or end them.")
@click.option("--timeout", type=Seconds(positive=True),
              help="With --left wait: end them after so long; status 124.")
@click.option("--grace", type=Seconds(), default=5.0, show_default=True, help="Time between TERM and KILL.")
@click.option("--fail-on-leak", is_flag=True, help="Status 1 when COMMAND gave 0 and a process outlived its parent.")
@output_options(tables(), mode_of, source="orphan")
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND [ARG]...]")
def command(output: Output, argv: tuple[str, ...], subreaper: bool, hold: float | None, **how: Any) -> int:
    """See what becomes of a process whose parent ends before it.

    Alone, it makes orphans for real and checks every statement of the concept against what the kernel shows.

    With COMMAND, it runs COMMAND as an init does: it adopts and reaps the orphans among COMMAND's descendants, and
    hands signals on to COMMAND's process group. It reports each process that outlived its parent, with the chain of
    parents as it was, on stderr or to -o FILE. The exit status is COMMAND's. It may be PID 1 of a container. When
    ipcctl itself is killed by SIGKILL, what it ran goes on.
    """
    needs("-- COMMAND", bool(argv), "left", "timeout", "grace", "fail_on_leak")
    needs("the concept alone", not argv, "subreaper", "hold")
    if not argv:
        return show(output, "orphan", say=lambda line: say(f"ipcctl orphan: {line}"), subreaper=subreaper, hold_s=hold)
    needs("--left wait", how["left"] == "wait", "timeout")
    return run(output, argv, **how)


def run(
    output: Output, argv: tuple[str, ...], left: str, timeout: float | None, grace: float, fail_on_leak: bool
) -> int:
    """Run the user's command."""
    from ..process.subreaper import Subreaper

    output.open(beside_command=True)
    job = Subreaper(argv, left, timeout, grace)
    run_and_report(output, "orphan", job, lambda: report_of(job, fail_on_leak))
    return job.status_with(fail_on_leak, len(job.orphans))


def report_of(job: Any, fail_on_leak: bool) -> Report:
    """The report on a run."""
    from ..process.adoption import ORPHAN_COLUMNS, note_orphans, orphan_rows

    note_orphans(job)
    rows = orphan_rows(job)
    record, status = job.records[0], job.status_with(fail_on_leak, len(rows))
    summary = {
        "status": status,
        "exit_code": record.exit_code,
        "signal": record.signal,
        "wall_s": job.wall_s,
        "descendants": job.descendants,
        "unseen": job.unseen,
        "orphans": len(rows),
        "left": job.still_running,
        "running": sum(row["running"] for row in rows),
        "timed_out": job.time_was_up,
        "start_error": record.start_error,
    }
    return Report("orphan", ORPHAN_COLUMNS, status == EXIT_OK, summary, rows, events=job.events,
                  title="processes that outlived their parent")  # fmt: skip
