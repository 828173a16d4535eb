"""`ipcctl fork` alone: the concept shown."""

from __future__ import annotations

import click

from ...demos.columns import PROCESS_COLUMNS
from ...report.options import output_options
from ...report.output import Output
from ..command import Command
from ..running import show


@click.command(cls=Command, starts_processes=True)
@click.option("--trials", type=click.IntRange(1, 100_000), default=50, show_default=True, metavar="N",
              help="How often to look who runs first.")  # fmt: skip
@output_options(PROCESS_COLUMNS, source="fork")
def command(output: Output, trials: int) -> int:
    """Fork for real, and check every statement of the concept."""
    return show(output, "fork", trials=trials)
