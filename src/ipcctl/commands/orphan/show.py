"""`ipcctl orphan` alone: the concept shown."""

from __future__ import annotations

import click

from ...demos.columns import ADOPTED_COLUMNS
from ...report.options import output_options
from ...report.output import Output
from ...report.sink import say
from ..arguments import Seconds
from ..command import Command
from ..running import show


@click.command(cls=Command, starts_processes=True)
@click.option("--subreaper", is_flag=True, help="Let ipcctl, a child subreaper, be the adopter.")
@click.option("--hold", type=Seconds(positive=True), help="Keep the orphans so long, to be looked at.")
@output_options(ADOPTED_COLUMNS, source="orphan")
def command(output: Output, subreaper: bool, hold: float | None) -> int:
    """Make orphans, and check every statement of the concept."""
    return show(output, "orphan", say=lambda line: say(f"ipcctl orphan: {line}"), subreaper=subreaper, hold_s=hold)
