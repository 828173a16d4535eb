"""How `get` and `peek` print messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ...ipc.queue.message import Message

Function = TypeVar("Function", bound=Callable[..., Any])


def how_printed(function: Function) -> Function:
    """The options that say how a message is printed."""
    zero = click.option("-0", "--null", "zero", is_flag=True, help="End each message with NUL, not with a newline.")
    json = click.option("--json", "as_json", is_flag=True,
                        help="Print each as an object with id, time, attempts and message.")  # fmt: skip
    return zero(json(function))


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
