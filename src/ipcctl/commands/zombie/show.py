"""`ipcctl zombie` alone: the concept shown."""

from __future__ import annotations

import click

from ...demos.columns import STRATEGY_COLUMNS
from ...report.options import output_options
from ...report.output import Output
from ...report.sink import say
from ..arguments import Seconds
from ..command import Command
from ..running import show

MOST_ZOMBIES = 1000
STRATEGIES = ("none", "wait", "handler", "double-fork", "ignore")


@click.command(cls=Command, starts_processes=True)
@click.option("-n", "--count", type=click.IntRange(1, MOST_ZOMBIES), default=5, show_default=True, metavar="COUNT",
              help="How many children each parent has.")
@click.option("--avoid", type=click.Choice(STRATEGIES), metavar="WAY",
              help=f"One way alone: {', '.join(STRATEGIES)}.  [default: all, side by side]")
@click.option("--hold", type=Seconds(positive=True), help="Keep the zombies so long, to be looked at.")
@output_options(STRATEGY_COLUMNS, source="zombie")
def command(output: Output, count: int, avoid: str | None, hold: float | None) -> int:  # fmt: skip
    """Make zombies and avoid them, and check every statement of the concept."""
    return show(output, "zombie", say=lambda line: say(f"ipcctl zombie: {line}"), count=count, avoid=avoid, hold_s=hold)
