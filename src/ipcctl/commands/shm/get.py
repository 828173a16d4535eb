"""`ipcctl shm get`: a value printed, or all values of an array."""

from __future__ import annotations

import click

from ..command import Command
from .values import Item, item, printed, printed_raw


@click.command(cls=Command)
@click.option("--bytes", "as_bytes", is_flag=True, help="Print the values' bytes, as C has them.")
@item
def command(item: Item, as_bytes: bool) -> int:
    """Print its value, or its values, one a line; NAME[INDEX] is one of an array.

    Characters (ctype c and u) are printed as they are, with nothing between or after them.
    """
    from ...ipc.shm.shared import Shared

    name, index = item
    if as_bytes and index is not None:
        raise click.UsageError(f"--bytes prints all values; leave [{index}] out")
    shared = Shared(name)
    return printed_raw(shared.get_bytes()) if as_bytes else printed(shared.get(index))
