"""`ipcctl ps states`: a process made in each state, and what the kernel shows for it."""

from __future__ import annotations

import click

from ...demos.columns import STATE_COLUMNS
from ...report.options import output_options
from ...report.output import Output
from ..command import Command
from ..running import show


@click.command(cls=Command, starts_processes=True)
@output_options(STATE_COLUMNS, source="ps")
def command(output: Output) -> int:
    """Make a process in each state, and check every statement about what the kernel shows for it."""
    return show(output, "ps")
