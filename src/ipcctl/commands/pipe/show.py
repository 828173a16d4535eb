"""`ipcctl pipe` alone: the concept shown."""

from __future__ import annotations

import click

from ...demos.columns import MESSAGE_COLUMNS
from ...report.options import output_options
from ...report.output import Output
from ..command import Command
from ..running import show


@click.command(cls=Command, starts_processes=True)
@output_options(MESSAGE_COLUMNS, source="pipe")
def command(output: Output) -> int:
    """Send messages through each kind of pipe, and check every statement of the concept."""
    return show(output, "pipe")
