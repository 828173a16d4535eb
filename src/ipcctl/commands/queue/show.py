"""`ipcctl queue` alone: the concept shown."""

from __future__ import annotations

import click

from ...demos.columns import QUEUED_COLUMNS
from ...report.options import output_options
from ...report.output import Output
from ..command import Command
from ..running import show


@click.command(cls=Command, starts_processes=True)
@click.option("--maxsize", type=click.IntRange(1, 500), default=3, show_default=True, metavar="N",
              help="The bound of the bounded queue.")
@click.option("--messages", type=click.IntRange(1, 10_000), default=12, show_default=True, metavar="N",
              help="How many messages are put, by each producer.")
@output_options(QUEUED_COLUMNS, source="queue")
def command(output: Output, maxsize: int, messages: int) -> int:
    """Run producers and consumers, and check every statement of the concept."""
    return show(output, "queue", maxsize=maxsize, messages=messages)
