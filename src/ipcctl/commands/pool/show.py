"""`ipcctl pool` alone: the concept shown."""

from __future__ import annotations

import click

from ...demos.columns import TASK_COLUMNS
from ...errors import BadInput
from ...report.options import output_options
from ...report.output import Output
from ..arguments import Seconds
from ..command import Command
from ..running import show

MOST_WORKERS = 64


@click.command(cls=Command, starts_processes=True)
@click.option("-j", "--jobs", metavar="N|N%|0", help="N workers.  [default: the processors]")
@click.option("--tasks", type=click.IntRange(1, 10_000), default=12, show_default=True, metavar="N",
              help="Tasks.")
@click.option("--seconds", type=Seconds(), default=0.02, show_default=True, help="The time that each takes.")
@output_options(TASK_COLUMNS, source="pool")
def command(output: Output, jobs: str | None, tasks: int, seconds: float) -> int:
    """Give a multiprocessing.Pool tasks, and check every statement of the concept."""
    from .slots import slots_of

    count = slots_of(jobs) if jobs not in (None, "0") else None
    if count is not None and count > MOST_WORKERS:
        raise BadInput(f"-j {jobs} is too many for the show; give at most {MOST_WORKERS}")
    return show(output, "pool", workers=count, tasks=tasks, seconds=seconds)
