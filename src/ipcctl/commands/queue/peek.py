"""`ipcctl queue peek`: messages printed, and left."""

from __future__ import annotations

import sys

import click

from ...errors import EXIT_FALSE, EXIT_OK
from ...report.sink import stdout
from ..command import Command
from ..names import ObjectName
from . import notice, queues
from .printing import how_printed, printer


@click.command(cls=Command, exclusive=(("count", "everything"),))
@click.option("-n", "--count", type=click.IntRange(1), metavar="N", help="Print N of them.  [default: 1]")
@click.option("--all", "everything", is_flag=True, help="Print all that wait.")
@click.option("--dead", is_flag=True, help="Print dead letters.")
@how_printed
@click.argument("name", type=ObjectName(queues))
def command(name: str, count: int | None, everything: bool, dead: bool, zero: bool, as_json: bool) -> int:
    """Print the messages that would be got next, and leave them where they are.

    With --dead, the dead letters; --json then says why. The status is 1 when there is none.
    """
    most = sys.maxsize if everything else count or 1
    text, sink, printed = printer(zero, as_json), stdout(), 0
    with queues().open(name, notice) as queue:
        for message, *why in queue.dead(most) if dead else zip(queue.peek(most)):
            sink.write_bytes(text([message], *why))
            printed += 1
    sink.flush()
    return EXIT_OK if printed else EXIT_FALSE
