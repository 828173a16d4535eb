"""`ipcctl zombie`: the concept shown, or a command run to find out which of its processes do not wait for theirs."""

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

MOST_ZOMBIES = 1000
STRATEGIES = ("none", "wait", "handler", "double-fork", "ignore")


def mode_of(given: dict[str, Any]) -> str:
    """Which of the two things the options ask for."""
    return "-- COMMAND" if given["argv"] else "the concept"


def tables() -> dict[str, tuple[Column, ...]]:
    """The column tables by what zombie does."""
    from ..demos.columns import STRATEGY_COLUMNS
    from ..process.zombies import ZOMBIE_COLUMNS

    return {"the concept": STRATEGY_COLUMNS, "-- COMMAND": ZOMBIE_COLUMNS}


@click.command(cls=Wrapper)
@click.option("-n", "--count", type=click.IntRange(1, MOST_ZOMBIES), default=5, show_default=True, metavar="COUNT",
              help="Shown: how many children each parent has.")
@click.option("--avoid", type=click.Choice(STRATEGIES),
              help="Shown: this way of dealing with children alone.  [default: all, side by side]")
@click.option("--hold", type=Seconds(positive=True), help="Shown: keep the zombies so long, for another shell to look.")
@click.option("--longer-than", type=Seconds(), default=0.1, show_default=True,
              help="A zombie for no longer than that is no row.")
@click.option("--grace", type=Seconds(), default=5.0, show_default=True,
              help="Time between a signal that asks to end, handed on to COMMAND, and KILL.")
@click.option("--fail-on-leak", is_flag=True, help="Status 1 when COMMAND gave 0 and there was such a zombie.")
@output_options(tables(), mode_of, source="zombie")
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND [ARG]...]")
def command(
    output: Output, argv: tuple[str, ...], count: int, avoid: str | None, hold: float | None, **how: Any
) -> int:
    """See what becomes of a process that exits and is not waited for.

    Alone, it makes zombies for real, avoids them in each of the ways there are, and checks every statement of the
    concept against what the kernel shows.

    With COMMAND, it runs COMMAND, watches all that descends from it, and reports each process that was a zombie for
    longer than --longer-than, with the parent that did not wait, on stderr or to -o FILE. The exit status is
    COMMAND's. When ipcctl itself is killed by SIGKILL, what it ran goes on.
    """
    needs("-- COMMAND", bool(argv), "longer_than", "grace", "fail_on_leak")
    needs("the concept alone", not argv, "count", "avoid", "hold")
    if argv:
        return run(output, argv, **how)
    return show(output, "zombie", say=lambda line: say(f"ipcctl zombie: {line}"), count=count, avoid=avoid, hold_s=hold)


def run(output: Output, argv: tuple[str, ...], longer_than: float, grace: float, fail_on_leak: bool) -> int:
    """Run the user's command."""
    from ..process.subreaper import Subreaper

    output.open(beside_command=True)
    job = Subreaper(argv, grace_s=grace, longer_than_s=longer_than)
    run_and_report(output, "zombie", job, lambda: report_of(job, fail_on_leak))
    return job.status_with(fail_on_leak, len(job.zombies))


def report_of(job: Any, fail_on_leak: bool) -> Report:
    """The report on a run."""
    from ..process.zombies import ZOMBIE_COLUMNS, note_zombies, zombie_rows

    note_zombies(job)
    rows = zombie_rows(job)
    record, status = job.records[0], job.status_with(fail_on_leak, len(rows))
    summary = {
        "status": status,
        "exit_code": record.exit_code,
        "signal": record.signal,
        "wall_s": job.wall_s,
        "descendants": job.descendants,
        "unseen": job.unseen,
        "zombies": len(rows),
        "longest_s": max((row["lasted_s"] for row in rows), default=None),
        "negligent_parents": len({row["parent_pid"] for row in rows}),
        "start_error": record.start_error,
    }
    return Report("zombie", ZOMBIE_COLUMNS, status == EXIT_OK, summary, rows, events=job.events,
                  title=f"zombies for longer than {job.longer_than_s:g} s")  # fmt: skip
