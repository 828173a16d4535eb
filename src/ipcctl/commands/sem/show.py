"""`ipcctl sem` alone: the concept shown."""

from __future__ import annotations

import click

from ...demos.columns import TURN_COLUMNS
from ...errors import BadInput
from ...report.options import output_options
from ...report.output import Output
from ..command import Command
from ..running import show


@click.command(cls=Command, starts_processes=True)
@click.option("-n", "--slots", type=click.IntRange(1, 100), default=3, show_default=True, metavar="N",
              help="How many may be inside at once.")
@click.option("--tasks", type=click.IntRange(1, 500), default=8, show_default=True, metavar="TASKS",
              help="How many tasks are started together.")
@output_options(TURN_COLUMNS, source="sem")
def command(output: Output, slots: int, tasks: int) -> int:
    """Make semaphores, and check every statement of the concept."""
    if tasks < slots:
        raise BadInput(f"{tasks} tasks cannot be {slots} inside at once; give --tasks at least the number of -n")
    return show(output, "sem", slots=slots, tasks=tasks)
