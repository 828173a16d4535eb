"""`ipcctl pool -- COMMAND`: jobs of the user's own run so many at a time, with a record for each."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from ...errors import EXIT_OK
from ...report.model import Column
from ...report.options import output_options
from ...report.output import Output
from ..arguments import Seconds, Size
from ..columns import OUTPUT_COLUMNS, RUN_COLUMNS
from ..command import Command

if TYPE_CHECKING:
    from ...pool.scheduler import Plan

IN_TABLE = {"exit_code", "signal", "timed_out", "wall_s", "start_error"}
COLUMNS = (
    Column("seq", "integer", "the job's number, in the order of the input, from 1"),
    Column("slot", "integer", "the slot that it ran in, from 1", in_table=False),
    Column("input", "text", "its argument; of several, as a shell would quote them"),
    Column("attempts", "integer", "how often it was started", in_table=False),
    *(each.but(each.shown, each.name in IN_TABLE) for each in (*RUN_COLUMNS, *OUTPUT_COLUMNS)),
)
EXCLUSIVE = (
    ("ungroup", "line_buffer", "keep_order", "capture"), ("ungroup", "tag"), ("capture", "tag"), ("lines", "shell"),
    ("resume", "retry_failed"), ("retry_failed", "arg_file"), ("retry_failed", "dry_run"),
)  # fmt: skip
REQUIRES = {"resume": "--joblog", "retry_failed": "--joblog", "delay": "--retries"}


@click.command(cls=Command, starts_processes=True, exclusive=EXCLUSIVE, requires=REQUIRES,
               context_settings={"allow_interspersed_args": False})
@click.option("-j", "--jobs", metavar="N|N%|0", help="N at once; 0: no limit.  [default: processors]")
@click.option("-a", "--arg-file", metavar="FILE", type=click.Path(), help="Take arguments from FILE, not from stdin.")
@click.option("-0", "--null", is_flag=True, help="A NUL ends each argument, not a newline.")
@click.option("-n", "--max-args", type=click.IntRange(1, 100_000), default=1, metavar="N", help="N arguments a job.")
@click.option("--shell", is_flag=True, help="COMMAND is for sh -c; arguments are quoted.")
@click.option("--lines", is_flag=True, help="Each argument is a line for sh -c; no COMMAND.")
@click.option("-k", "--keep-order", is_flag=True, help="Pass output on in the order of the input.")
@click.option("--line-buffer", is_flag=True, help="Pass output on line by line, as it comes.")
@click.option("--ungroup", is_flag=True, help="Jobs write straight to stdout and stderr.")
@click.option("--tag", is_flag=True, help="Begin each line with the argument and a tab.")
@click.option("--capture", is_flag=True, help="Keep output in the records; report on stdout.")
@click.option("--joblog", metavar="FILE", type=click.Path(), help="Write a line of JSON as each job ends.")
@click.option("--resume", is_flag=True, help="Skip jobs that succeeded in --joblog; add to it.")
@click.option("--retry-failed", is_flag=True, help="Run those that failed in --joblog alone.")
@click.option("--timeout", type=Seconds(positive=True), help="End a job's whole tree after so long.")
@click.option("--grace", type=Seconds(), default=5.0, show_default=True, help="Time between TERM and KILL.")
@click.option("--retries", type=click.IntRange(0, 1000), default=0, metavar="N", help="Run a failed one N times more.")
@click.option("--delay", type=Seconds(), default=0.0, help="Before a retry; doubled with each.")
@click.option("--halt", type=click.Choice(["never", "soon", "now"]), default="never", show_default=True,
              help="What the first failure ends.")
@click.option("--unique", is_flag=True, help="Run a job once, however often it comes.")
@click.option("--dry-run", is_flag=True, help="Print the commands, and run none.")
@click.option("--max-load", type=click.FloatRange(min=0), metavar="LOAD", help="Start none with more load.")
@click.option("--memfree", type=Size(), metavar="SIZE", help="Start none with less memory available.")
@click.option("--progress/--no-progress", default=None, help="Show how it goes.  [default: on a terminal]")
@output_options(COLUMNS)
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND [ARG]... [::: ARGUMENT...]")
def command(output: Output, argv: tuple[str, ...], joblog: str | None, progress: bool | None, **how: Any) -> int:
    """Run COMMAND once for each argument, so many at a time."""
    from .planning import planned
    from .reporting import Reporting

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
