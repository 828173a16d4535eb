"""`ipcctl queue`: the concept shown, or a queue that shells share by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..concept import Concept

if TYPE_CHECKING:
    from ...ipc.queue.queues import Queues


def queues() -> Queues:
    """Those of this user."""
    from ...ipc.queue.queues import Queues

    return Queues()


def notice(line: str) -> None:
    """Tell what was found and put right."""
    from ..wording import tell

    tell(line)


command = Concept(
    __name__,
    """See a queue: first in, first out, between processes.

    Alone, it runs producers and consumers for real and checks every statement of the concept.

    With a subcommand it works on a queue that shells share by its name: messages are bytes, up to 64 MiB each, and are
    there until somebody gets them. A message that `put` has acknowledged, by its status 0, outlasts the death of every
    process; in a queue made with --durable, a power cut too. It is given out in the order in which it came in, and is
    gone only when who got it is done with it: `get` when the message was printed, `work` when its command has ended
    with 0. Who is killed before gives back at once what it took, so a message may be seen twice then, and never not
    at all.
    """,
    verbs={
        "put": "Put messages into a queue.",
        "get": "Get messages, and print them.",
        "peek": "Print messages, and leave them.",
        "work": "Run a command for each message.",
        "stat": "Show a queue's figures.",
        "close": "Refuse puts from now on.",
        "revive": "Let messages that were set aside wait again.",
        "list": "Show those that there are.",
        "remove": "Remove them; those that wait for one of them end with an error.",
    },
)
