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

    With a verb it works on a queue that shells share by its name: messages are bytes, up to 64 MiB each, first in,
    first out. A message that `put` has accepted, by its status 0, survives the death of every process; in a queue made
    with --durable, a power cut too. Delivery is at least once: a message is deleted when it is acknowledged, by `get`
    when it was printed, by `work` when its command has ended with 0; that of a consumer that is killed before is
    requeued at once.
    """,
    verbs={
        "put": "Put messages into a queue.",
        "get": "Get messages, and print them.",
        "peek": "Print messages, and leave them.",
        "work": "Run a command for each message.",
        "stat": "Show a queue's figures.",
        "close": "Refuse puts from now on.",
        "revive": "Requeue dead letters.",
        "list": "Show those that there are.",
        "remove": "Remove them; those that wait for one of them end with an error.",
    },
)
