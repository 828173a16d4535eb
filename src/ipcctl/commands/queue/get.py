"""`ipcctl queue get` and `peek`: messages printed, and gone once they are; or only looked at."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ...errors import EXIT_FALSE, EXIT_OK
from ...report.sink import stdout
from ..arguments import Seconds
from ..names import ObjectName
from . import command, notice, queues

if TYPE_CHECKING:
    from ...ipc.queue.message import Message

Function = TypeVar("Function", bound=Callable[..., Any])


def how_printed(function: Function) -> Function:
    """The options that say how a message is printed."""
    zero = click.option("-0", "--null", "zero", is_flag=True, help="End each message with NUL, not with a newline.")
    json = click.option("--json", "as_json", is_flag=True,
                        help="Print each as an object with id, time, attempts and message.")  # fmt: skip
    return zero(json(function))


@command.command("get", short_help="Get messages, and print them.")
@click.option("-n", "--count", type=click.IntRange(1), metavar="N", help="Get N of them.  [default: 1]")
@click.option("--all", "everything", is_flag=True, help="Get all that wait, if any; do not wait for more.")
@click.option("--follow", is_flag=True, help="Get them as they come, until the queue is closed and empty.")
@how_printed
@click.option("--try", "trying", is_flag=True, help="Where there is none, do not wait; status 1.")
@click.option("--timeout", type=Seconds(positive=True), help="Wait at most so long each time; status 124.")
@click.argument("name", type=ObjectName(queues))
def get(
    name: str, count: int | None, everything: bool, follow: bool, zero: bool, as_json: bool, trying: bool,
    timeout: float | None,
) -> int:  # fmt: skip
    """Get messages, in the order in which they were put, and print them, one a line.

    It waits for a message where there is none, asleep, also where the queue is not there yet. What is printed is gone.
    Messages are given back, and not lost, when it is killed before they were printed, or they could not be printed (a
    full disk, a reader that has gone): some of those may have been printed. The status is 1 when there were fewer than
    asked for, with --try or because the queue is closed; and when it is closed and empty.
    """
    if sum((count is not None, everything, follow)) > 1:
        raise click.UsageError("give one of -n, --all and --follow")
    if sum((everything, trying, timeout is not None)) > 1 or (follow and trying):
        raise click.UsageError("--try, --timeout and --all say how long to wait, and --try not to follow: give one")
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


@command.command("peek", short_help="Print messages, and leave them.")
@click.option("-n", "--count", type=click.IntRange(1), metavar="N", help="Print N of them.  [default: 1]")
@click.option("--all", "everything", is_flag=True, help="Print all that wait.")
@click.option("--dead", is_flag=True, help="Print those that were set aside.")
@how_printed
@click.argument("name", type=ObjectName(queues))
def peek(name: str, count: int | None, everything: bool, dead: bool, zero: bool, as_json: bool) -> int:
    """Print the messages that would be got next, and leave them where they are.

    With --dead, those that were set aside; --json then says why. The status is 1 when there is none.
    """
    if count is not None and everything:
        raise click.UsageError("give -n or --all, not both")
    most = sys.maxsize if everything else count or 1
    text, sink, printed = printer(zero, as_json), stdout(), 0
    with queues().open(name, notice) as queue:
        for message, *why in queue.dead(most) if dead else zip(queue.peek(most)):
            sink.write_bytes(text([message], *why))
            printed += 1
    sink.flush()
    return EXIT_OK if printed else EXIT_FALSE


def printer(zero: bool, as_json: bool) -> Callable[..., bytes]:
    """What makes the bytes of messages, as they are printed."""
    end = b"\0" if zero else b"\n"
    if as_json:
        return lambda messages, why=None: b"".join(json_object(each, why) + end for each in messages)

    def text(messages: Sequence[Message], why: str | None = None) -> bytes:
        return end.join([*(each.body for each in messages), b""])

    return text


def json_object(message: Message, why: str | None) -> bytes:
    """A message as JSON; bytes that are not UTF-8 are kept as surrogates."""
    from ...report.formats import to_json
    from ...times import iso8601

    fields = {"id": message.id, "time": iso8601(message.put_at), "attempts": message.attempts,
              "message": message.body.decode("utf-8", "surrogateescape")}  # fmt: skip
    return to_json(fields if why is None else fields | {"why": why}).encode()
