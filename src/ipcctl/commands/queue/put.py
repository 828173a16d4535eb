"""`ipcctl queue put`: messages from the arguments, or from standard input."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ...errors import EXIT_OK, BadInput, Interrupted, IpcctlError
from ...report.sink import say
from ..arguments import Seconds
from ..command import Command
from ..names import ObjectName
from . import notice, queues

if TYPE_CHECKING:
    from ...ipc.queue.blocking import Wait

STDIN = 0


@click.command(
    cls=Command, exclusive=(("messages", "zero"), ("messages", "whole"), ("zero", "whole"), ("trying", "timeout"))
)
@click.option("-0", "--null", "zero", is_flag=True, help="From stdin: messages end with NUL, not with a newline.")
@click.option("--whole", is_flag=True, help="From stdin: all of it is one message.")
@click.option("--max", "bound", type=click.IntRange(1, 1 << 48), metavar="N",
              help="Let the queue have at most N messages, those being worked on too; settled by the first put.")
@click.option("--try", "trying", is_flag=True, help="Where there is no room, do not wait; status 1.")
@click.option("--timeout", type=Seconds(positive=True), help="Wait at most so long for room; status 124.")
@click.option("--durable", is_flag=True, help="Make it one that outlasts a power cut, in $XDG_STATE_HOME/ipcctl.")
@click.argument("name", type=ObjectName(queues))
@click.argument("messages", nargs=-1, type=click.UNPROCESSED, metavar="[MESSAGE]...")
def command(
    name: str, messages: tuple[str, ...], zero: bool, whole: bool, bound: int | None, trying: bool,
    timeout: float | None, durable: bool,
) -> int:  # fmt: skip
    """Put the messages into the queue, each MESSAGE one, or from standard input each line one.

    The queue is made if it is not there. A message may be any bytes, up to 64 MiB. Those from standard input are put as
    they come, many at once where they come fast; where it fails, it says how many are in. The status is 1 when the
    queue is closed.
    """
    separator = None if whole else b"\0" if zero else b"\n"
    put_all(name, messages, separator, bound, 0 if trying else timeout, durable)
    return EXIT_OK


def put_all(
    name: str,
    messages: tuple[str, ...],
    separator: bytes | None,
    bound: int | None,
    timeout_s: float | None,
    durable: bool,
) -> None:
    """Put them; what goes wrong, a signal too, says how many are in."""
    from ...ipc.queue.blocking import Producer
    from ...process.window import Window

    with queues().open_or_make(name, durable, notice) as queue, Window() as window:
        putter = Producer(queue, bound, timeout_s, window.wait)
        try:
            for bodies in [list(map(os.fsencode, messages))] if messages else from_stdin(separator, window.wait):
                putter.put(bodies)
        except IpcctlError as error:
            error.args = (f"{error}; {so_far(putter.count, len(messages))}",)
            raise
        except Interrupted:
            say(f"ipcctl queue: interrupted; {so_far(putter.count, len(messages))}")
            raise


def from_stdin(separator: bytes | None, wait: Wait) -> Iterator[list[bytes]]:
    """The messages on standard input. Raises BadInput."""
    from ...ipc.queue.splitting import stream

    try:
        yield from stream(STDIN, separator, wait)
    except OSError as error:
        remedy = "give the messages there, or as arguments"
        raise BadInput(f"cannot read standard input: {error.strerror}; {remedy}") from None


def so_far(count: int, of: int) -> str:
    """How many messages are in."""
    return f"{count} of {of} messages are in" if of else f"{count} messages are in"
