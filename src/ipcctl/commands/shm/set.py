"""`ipcctl shm set`: a value, or an array of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ...errors import EXIT_OK, BadInput
from ..command import Command
from .values import NUMBERS, Item, code, item

if TYPE_CHECKING:
    from ...ipc.shm.ctype import CType


@click.command(cls=Command, context_settings=NUMBERS)
@code
@click.option("--bytes", "from_stdin", is_flag=True, help="The values' bytes come from stdin, as C has them: ctype c.")
@item
@click.argument("values", nargs=-1, type=click.UNPROCESSED, metavar="VALUE...")
def command(item: Item, values: tuple[str, ...], ctype: str | None, from_stdin: bool) -> int:
    """Let it hold a value; several make an array. It is made if it is not there.

    All values change at once: nobody sees some new and some old. NAME[INDEX] is one of those that an array has. A
    number that the ctype does not hold is an error. The ctype stays until it is removed; how many values there
    are may change.
    """
    from ...ipc.registry import NotThere
    from ...ipc.shm.ctype import CType, fitting_for
    from ...ipc.shm.shared import Shared

    name, index = item
    shared = Shared(name)
    if from_stdin == bool(values):
        raise click.UsageError("give either values or --bytes, which reads them from stdin")
    if index is not None:
        return set_one(shared, index, values, ctype)
    try:
        known = CType(ctype) if ctype else shared.ctype
    except NotThere:
        known = CType("c") if from_stdin else fitting_for(values)
    shared.set(known, bytes_of_stdin(known) if from_stdin else known.pack([known.parse(each) for each in values]))
    return EXIT_OK


def set_one(shared: Any, index: int, values: tuple[str, ...], ctype: str | None) -> int:
    """Change one value of an array."""
    if len(values) != 1 or ctype:
        raise click.UsageError("NAME[INDEX] takes one VALUE, of the ctype that the array has")
    shared.store(values[0], index)
    return EXIT_OK


def bytes_of_stdin(ctype: CType) -> bytes:
    """All of stdin. Raises BadInput where it is no whole number of values."""
    from ...waiting import read_some

    raw = b"".join(iter(lambda: read_some(0, 1 << 20), b""))
    if len(raw) % ctype.size:
        raise BadInput(f"stdin has {len(raw)} bytes; give whole values, {ctype.size} bytes each for ctype {ctype}")
    return raw
