"""`ipcctl fork`: the concept shown, a command run and recorded, or the cost of starting a process measured."""

from __future__ import annotations

from typing import Any

import click

from ..errors import EXIT_OK, BadInput
from ..process.result import OUTPUT_COLUMNS, RUN_COLUMNS
from ..report.model import Column, Report
from ..report.options import output_options
from ..report.output import Output
from .arguments import Seconds, Sizes, Wrapper, needs
from .running import run_and_report, show

RECORD = (Column("copy", "integer", "which of the copies, from 1"), *RUN_COLUMNS, *OUTPUT_COLUMNS)
COST = (
    Column("method", "text", "how the process is started"),
    Column("parent_rss_kib", "integer", "memory resident in the parent while it starts it"),
    Column("median_s", "real", "median time from the start of a process that does nothing until it was waited for"),
    Column("fastest_s", "real", "the fastest of the tries"),
    Column("slowest_s", "real", "the slowest of the tries"),
    Column("tries", "integer", "how often it was tried"),
)
MOST_COPIES = 10_000


def mode_of(given: dict[str, Any]) -> str:
    """Which of the three things the options ask for."""
    return "--cost" if given["cost"] else "-- COMMAND" if given["argv"] else "the concept"


def tables() -> dict[str, tuple[Column, ...]]:
    """The column tables by what fork does."""
    from ..demos.columns import PROCESS_COLUMNS

    return {"the concept": PROCESS_COLUMNS, "-- COMMAND": RECORD, "--cost": COST}


@click.command(cls=Wrapper)
@click.option("--trials", type=click.IntRange(1, 100_000), default=50, show_default=True, metavar="N",
              help="Shown: how often to look who runs first.")
@click.option("-n", "--copies", type=click.IntRange(1, MOST_COPIES), default=1, metavar="COPIES",
              help="Run so many copies of COMMAND at once.")
@click.option("--timeout", type=Seconds(positive=True), help="End the whole tree after so long; status 124.")
@click.option("--grace", type=Seconds(), default=5.0, show_default=True, help="Time between TERM and KILL.")
@click.option("--capture", is_flag=True, help="Keep COMMAND's output in the records; the report goes to stdout.")
@click.option("--cost", is_flag=True, help="Measure what starting a process costs, by method and parent's memory.")
@click.option("--rss", type=Sizes(), metavar="SIZE,…", help="With --cost: the parent's memory.  [default: 0,64M,256M]")
@output_options(tables(), mode_of, source="fork")
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND [ARG]...]")
def command(output: Output, argv: tuple[str, ...], cost: bool, trials: int, rss: list[int] | None, **how: Any) -> int:
    """See what fork does: one call, two processes.

    Alone, it forks for real and checks every statement of the concept against what the kernel shows.

    With COMMAND, it starts COMMAND, waits for it, and reports what it did and what it cost: time, memory, faults,
    switches, how it ended. COMMAND's input and output stay its own; the report goes to stderr, or to -o FILE. The
    exit status is COMMAND's. Signals sent to ipcctl reach COMMAND.

    With --cost, it measures what starting a process costs by each method.
    """
    needs("--cost", cost, "rss")
    needs("-- COMMAND", bool(argv), "copies", "timeout", "grace", "capture")
    needs("the concept alone", not argv and not cost, "trials")
    if cost:
        return measure(output, argv, rss)
    return run(output, argv, **how) if argv else show(output, "fork", trials=trials)


def measure(output: Output, argv: tuple[str, ...], rss: list[int] | None) -> int:
    """Measure the cost of a start."""
    if argv:
        raise BadInput(f"--cost measures starts of its own; leave {argv[0]!r} out")
    from ..process.cost import rows_of_costs

    output.open()
    output.write(Report("fork", COST, rows=rows_of_costs(rss), title="the cost of starting a process"), live=True)
    return EXIT_OK


def run(
    output: Output, argv: tuple[str, ...], copies: int, timeout: float | None, grace: float, capture: bool
) -> int:
    """Run the user's command."""
    from ..process.run import Run

    output.open(beside_command=not capture)
    job = Run(argv, copies, timeout, grace, capture)
    if write := output.streaming():
        job.heard = lambda number, record: write({"copy": number, **record.row()})
    run_and_report(output, "fork", job, lambda: Report(
        "fork", RECORD, ok=job.status == EXIT_OK, summary=summary(job), events=job.events,
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
        "user_s": round(sum(each.user_s for each in known), 6),
        "system_s": round(sum(each.system_s for each in known), 6),
        "max_rss_kib": max(peaks, default=None),
    }
