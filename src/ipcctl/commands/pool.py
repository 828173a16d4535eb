"""`ipcctl pool`: the concept shown, or jobs of the user's own run so many at a time, with a record for each."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from ..errors import EXIT_OK, BadInput
from ..report.model import Column
from ..report.options import output_options
from ..report.output import Output
from .arguments import Seconds, Size, Wrapper, needs
from .running import show

if TYPE_CHECKING:
    from ..pool.scheduler import Plan

MOST_WORKERS = 64
JOBS = "-- COMMAND, or --lines"


def mode_of(given: dict[str, Any]) -> str:
    """Which of the two things the options ask for."""
    return JOBS if given["argv"] or given["lines"] or given["retry_failed"] else "the concept"


def tables() -> dict[str, tuple[Column, ...]]:
    """The column tables by what pool does."""
    from ..demos.columns import TASK_COLUMNS
    from ..pool.job import JOB_COLUMNS

    return {"the concept": TASK_COLUMNS, JOBS: JOB_COLUMNS}


@click.command(cls=Wrapper)
@click.option("-j", "--jobs", metavar="N|N%|0",
              help="At most N jobs (shown: workers) at once, N% of the processors, or 0: as many as the limits let.  "
                   "[default: the processors that this process may use]")
@click.option("--tasks", type=click.IntRange(1, 10_000), default=12, show_default=True, metavar="N",
              help="Shown: how many tasks the pool is given.")
@click.option("--seconds", type=Seconds(), default=0.02, show_default=True, help="Shown: how long each task takes.")
@click.option("-a", "--arg-file", metavar="FILE", type=click.Path(),
              help="Take the arguments from FILE, a line each, not from stdin.")
@click.option("-0", "--null", is_flag=True, help="A NUL ends each argument, not a newline.")
@click.option("-n", "--max-args", type=click.IntRange(1, 100_000), default=1, metavar="N", help="N arguments a job.")
@click.option("--shell", is_flag=True, help="COMMAND is a line for sh -c; what is put into it is quoted.")
@click.option("--lines", is_flag=True, help="Each argument is a line for sh -c itself; no COMMAND.")
@click.option("-k", "--keep-order", is_flag=True, help="Pass output on in the order of the input.")
@click.option("--line-buffer", is_flag=True, help="Pass output on line by line, as it comes.")
@click.option("--ungroup", is_flag=True, help="Let the jobs write straight to stdout and stderr.")
@click.option("--tag", is_flag=True, help="Put the job's argument and a tab before each line of its output.")
@click.option("--capture", is_flag=True, help="Keep the output in the records; the report goes to stdout.")
@click.option("--joblog", metavar="FILE", type=click.Path(), help="Write a line of JSON to FILE as each job ends.")
@click.option("--resume", is_flag=True, help="With --joblog: skip the jobs that succeeded there, and add to it.")
@click.option("--retry-failed", is_flag=True, help="With --joblog: run those that failed there; reads no input.")
@click.option("--timeout", type=Seconds(positive=True), help="End a job's whole tree after so long.")
@click.option("--grace", type=Seconds(), default=5.0, show_default=True, help="Time between TERM and KILL.")
@click.option("--retries", type=click.IntRange(0, 1000), default=0, metavar="N",
              help="Run a job that failed up to N times more.")
@click.option("--delay", type=Seconds(), default=0.0, help="Before the first retry; doubled with each.  [default: 0]")
@click.option("--halt", type=click.Choice(["never", "soon", "now"]), default="never", show_default=True,
              help="On the first failure: go on, start no more, or end those that run as well.")
@click.option("--unique", is_flag=True, help="Run a job once, however often its arguments come.")
@click.option("--dry-run", is_flag=True, help="Print the commands that would run, and run none.")
@click.option("--max-load", type=click.FloatRange(min=0), metavar="LOAD", help="Start none while the load is above.")
@click.option("--memfree", type=Size(), metavar="SIZE", help="Start none while less memory is available.")
@click.option("--progress/--no-progress", default=None,
              help="Show how far it is.  [default: where stderr is a terminal]")
@output_options(tables(), mode_of, source="pool")
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND [ARG]... [::: ARGUMENT...]]")
def command(output: Output, argv: tuple[str, ...], tasks: int, seconds: float, **how: Any) -> int:
    """See a pool of workers, or run jobs of your own, so many at a time.

    Alone, it gives a multiprocessing.Pool tasks, and checks every statement of the concept against what the kernel
    shows.

    With COMMAND, it runs COMMAND once for each argument: a line of stdin or of -a FILE, or what follows `:::`. The
    argument stands where COMMAND has {}, or is appended; it never goes through a shell:

    \b
      {}   the argument           a/b.c      {#}   the job's number, from 1
      {.}  without extension      a/b        {%}   the slot it runs in, from 1
      {/}  its last part          b.c
      {//} its directory          a
      {/.} its last part without extension   b

    A job's output is kept apart and passed on when the job ends; its stdin is empty. The report, a record for each job,
    goes to stderr or to -o FILE; the table has the failed jobs and the summary. The exit status is 1 when a job failed,
    124 when all that failed timed out. What a job that ended by itself leaves running is
    left; what that writes later is passed on as long as ipcctl runs. A time-out ends a job's whole tree; Ctrl-C and
    --halt now end every job's, and what jobs left running.
    """
    jobs = bool(argv or how["lines"] or how["retry_failed"])
    needs("the concept alone", not jobs, "tasks", "seconds")
    if not jobs:
        needs(JOBS, False, *(name for name in how if name != "jobs"))
        return show_workers(output, how["jobs"], tasks, seconds)
    check(**how)
    return run(output, argv, **how)


def show_workers(output: Output, workers: str | None, tasks: int, seconds: float) -> int:
    """Run the demonstration."""
    from ..pool.processors import slots_of

    count = slots_of(workers) if workers not in (None, "0") else None
    if count is not None and count > MOST_WORKERS:
        raise BadInput(f"-j {workers} is too many for the show; give at most {MOST_WORKERS}")
    return show(output, "pool", workers=count, tasks=tasks, seconds=seconds)


CONFLICTS = (("ungroup", "line_buffer"), ("ungroup", "keep_order"), ("ungroup", "tag"), ("ungroup", "capture"),
             ("line_buffer", "keep_order"), ("capture", "line_buffer"), ("capture", "tag"), ("capture", "keep_order"),
             ("lines", "shell"), ("resume", "retry_failed"), ("retry_failed", "arg_file"))  # fmt: skip


def check(**how: Any) -> None:
    """Raise a usage error for options that do not go together."""
    needs("--joblog FILE", how["joblog"] is not None, "resume", "retry_failed")
    needs("--retries", how["retries"] > 0, "delay")
    for one, other in CONFLICTS:
        if how[one] and how[other]:
            names = [f"--{each.replace('_', '-')}" for each in (one, other)]
            raise click.UsageError(f"{names[0]} and {names[1]} exclude each other; leave one out")


def run(output: Output, argv: tuple[str, ...], joblog: str | None, progress: bool | None, **how: Any) -> int:
    """Run the user's jobs."""
    from ..pool.planning import planned
    from ..pool.reporting import Reporting

    with contextlib.ExitStack() as closing:
        plan, log = planned(argv, joblog, closing, **how)
        if how["dry_run"]:
            return dry_run(output, plan)
        output.open(beside_command=not how["capture"])
        return Reporting(output, plan, log, progress).run()


def dry_run(output: Output, plan: Plan) -> int:
    """Print the commands."""
    import shlex

    for job in plan.jobs.all():
        output.sink.write(shlex.join(plan.template.argv(job.arguments, job.seq, 1)) + "\n")
    output.sink.flush()
    return EXIT_OK
