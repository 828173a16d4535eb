"""`ipcctl shm cas`: compare and swap."""

from __future__ import annotations

import click

from ...errors import EXIT_FALSE, EXIT_OK
from ..command import Command
from .values import NUMBERS, Item, item, printed


@click.command(cls=Command, context_settings=NUMBERS)
@item
@click.argument("old", type=click.UNPROCESSED, metavar="OLD")
@click.argument("new", type=click.UNPROCESSED, metavar="NEW")
def command(item: Item, old: str, new: str) -> int:
    """Compare and swap, atomically: set NEW if the value is OLD; print what it is now. Status 1 if it was not OLD."""
    from ...ipc.shm.shared import Shared

    name, index = item
    swapped, value = Shared(name).cas(old, new, index)
    printed([value])
    return EXIT_OK if swapped else EXIT_FALSE
