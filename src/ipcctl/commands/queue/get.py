"""`ipcctl queue get`: messages printed, and gone once they are."""

from __future__ import annotations

from collections.abc import Callable

import click

from ...errors import EXIT_FALSE, EXIT_OK
from ...report.sink import stdout
from ..arguments import Seconds
from ..command import Command
from ..names import ObjectName
from . import notice, queues
from .printing import how_printed, printer

EXCLUSIVE = (("count", "everything", "follow"), ("everything", "trying", "timeout"), ("follow", "trying"))


@click.command(cls=Command, exclusive=EXCLUSIVE)
@click.option("-n", "--count", type=click.IntRange(1), metavar="N", help="Get N of them.  [default: 1]")
@click.option("--all", "everything", is_flag=True, help="Get all that wait, if any; do not wait for more.")
@click.option("--follow", is_flag=True, help="Get them as they come, until the queue is closed and empty.")
@how_printed
@click.option("--try", "trying", is_flag=True, help="Where there is none, do not wait; status 1.")
@click.option("--timeout", type=Seconds(positive=True), help="Wait at most so long each time; status 124.")
@click.argument("name", type=ObjectName(queues))
def command(
    name: str, count: int | None, everything: bool, follow: bool, zero: bool, as_json: bool, trying: bool,
    timeout: float | None,
) -> int:  # fmt: skip
    """Get messages, in the order in which they were put, and print them, one a line.

    It blocks where there is no message, asleep, also where the queue is not there yet. What is printed is acknowledged.
    Messages are requeued, and not lost, when it is killed before they were printed, or they could not be printed (a
    full disk, a reader that has gone): some of those may have been printed. The status is 1 when there were fewer than
    asked for, with --try or because the queue is closed; and when it is closed and empty.
    """
    most = None if everything or follow else count or 1
    return get_all(name, most, 0 if everything or trying else timeout, follow, printer(zero, as_json))


def get_all(name: str, most: int | None, timeout_s: float | None, follow: bool, text: Callable[..., bytes]) -> int:
    """Print them; the status."""
    from ...ipc.queue.blocking import Consumer

    there = queues()
    with there.open(name, notice) if timeout_s == 0 else there.open_or_make(name, notice=notice) as queue:
        getter = Consumer(queue, most, timeout_s)
        sink = stdout()
        for taken in getter.batches():
            sink.write_bytes(text(taken.messages))
            sink.flush()
            queue.acknowledge(taken)
        if most is not None:
            return EXIT_OK if getter.count == most else EXIT_FALSE
        return EXIT_FALSE if not follow and not getter.count and queue.is_over() else EXIT_OK
