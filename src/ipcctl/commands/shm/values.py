"""What the verbs of `shm` share: names of values and their types on the command line, and values printed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from ...errors import EXIT_OK
from ...report.sink import stdout
from ..names import ObjectName
from . import objects

if TYPE_CHECKING:
    from ...ipc.shm.ctype import Value

Item = tuple[str, int | None]  # a name, and which of its values
CODES = "bBhHiIlLqQfdcu"
NUMBERS = {"ignore_unknown_options": True}  # -5 is a number


class ItemName(ObjectName):
    """NAME, or NAME[INDEX] for one value of an array."""

    name = "name[index]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The name, and the index or None; a usage error for what is neither."""
        if isinstance(value, tuple):
            return value
        name, bracket, index = value.partition("[")
        if bracket and not re.fullmatch(r"[0-9]{1,18}\]", index, re.ASCII):
            self.fail(f"{value!r} has no index; give NAME[INDEX], from 0", param, ctx)
        return super().convert(name, param, ctx), int(index[:-1]) if bracket else None


item = click.argument("item", type=ItemName(objects), metavar="NAME[[INDEX]]")
code = click.option("--ctype", type=click.Choice(list(CODES)), metavar="CODE",
                    help=f"The C type, by multiprocessing's code: one of {' '.join(CODES)}.  [default: the one that it"
                         " has; for a new one q, a 64-bit integer, or d for numbers that are no integers]")  # fmt: skip


def printed(values: list[Value]) -> int:
    """Print values as a script reads them."""
    from ...ipc.shm.ctype import text_of

    out = stdout()
    for each in values:
        out.write(text_of(each) + ("" if isinstance(each, (str, bytes)) else "\n"))
    out.flush()
    return EXIT_OK


def printed_raw(raw: bytes) -> int:
    """Print bytes."""
    out = stdout()
    out.write(raw.decode("utf-8", "surrogateescape"))
    out.flush()
    return EXIT_OK
