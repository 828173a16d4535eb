"""`ipcctl shm add`: a number added, atomically."""

from __future__ import annotations

import click

from ..command import Command
from .values import NUMBERS, Item, code, item, printed


@click.command(cls=Command, context_settings=NUMBERS)
@code
@item
@click.argument("number", type=click.UNPROCESSED, metavar="N")
def command(item: Item, number: str, ctype: str | None) -> int:
    """Add N to it, and print the sum, atomically.

    Where it is not there it is made, and N is what it holds. A sum that the ctype does not hold is an error, and
    changes nothing.
    """
    from ...ipc.shm.ctype import CType, fitting_for
    from ...ipc.shm.shared import Shared

    name, index = item
    return printed([Shared(name).add(number, index, CType(ctype) if ctype else fitting_for([number]))])
