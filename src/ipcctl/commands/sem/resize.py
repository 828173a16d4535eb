"""`ipcctl sem resize`: how many may hold it at once, changed."""

from __future__ import annotations

import click

from ...errors import EXIT_OK
from ..command import Command
from ..names import ObjectName
from . import LARGEST, semaphores


@click.command(cls=Command)
@click.argument("name", type=ObjectName(semaphores))
@click.argument("slots", type=click.IntRange(1, LARGEST), metavar="N")
def command(name: str, slots: int) -> int:
    """Change how many may hold it at once.

    Holders keep their slots: where there are more than N, nobody enters until enough of them have ended.
    """
    semaphores().resize(name, slots)
    return EXIT_OK
