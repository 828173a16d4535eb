"""`ipcctl shm` alone: the concept shown."""

from __future__ import annotations

import click

from ...demos.columns import EXPERIMENT_COLUMNS
from ...report.options import output_options
from ...report.output import Output
from ..command import Command
from ..running import show

MOST_UPDATES = 1_000_000


@click.command(cls=Command, starts_processes=True)
@click.option("--updates", type=click.IntRange(1, MOST_UPDATES), default=20_000, show_default=True, metavar="N",
              help="How many updates each process makes in the race.")  # fmt: skip
@output_options(EXPERIMENT_COLUMNS, source="shm")
def command(output: Output, updates: int) -> int:
    """Show the race for shared memory, and the lock, and check every statement of the concept."""
    return show(output, "shm", updates=updates)
