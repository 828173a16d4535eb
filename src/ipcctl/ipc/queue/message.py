"""A message of a queue, messages that were taken, and how they are read from the database."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence

from ...errors import BadInput
from .leases import Lease

LONGEST = 64 << 20  # bytes of a message
MOST_BYTES = 8 << 20  # taken at once: so much is in memory, and one message


class Message:
    """One message. `put_at` in seconds since the epoch; `attempts` is how often a worker has started on it."""

    def __init__(self, id: int, put_at: float, body: bytes, attempts: int = 0, failures: int = 0) -> None:
        self.id = id
        self.put_at = put_at
        self.body = body
        self.attempts = attempts
        self.failures = failures


class Taken:
    """Messages on leases, to be acknowledged, to be requeued, or to fail."""

    def __init__(self, messages: Sequence[Message], leases: Sequence[Lease]) -> None:
        self.messages = messages
        self.leases = leases


def messages_between(db: sqlite3.Connection, gap: tuple[int, int], count: int) -> list[Message]:
    """The first messages in a gap: up to `count`, but after MOST_BYTES of them no more."""
    found, size = [], 0
    for message in selected(db, gap, count):
        found.append(message)
        size += len(message.body)
        if size >= MOST_BYTES:
            break
    return found


def selected(db: sqlite3.Connection, gap: tuple[int, int], count: int) -> Iterator[Message]:
    """The messages in a gap, in order."""
    rows = db.execute(
        "SELECT id, put_at, body, coalesce(attempts, 0), coalesce(failures, 0) FROM message LEFT JOIN tried USING(id)"
        " WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
        (*gap, count),
    )
    with contextlib.closing(rows):
        for row in rows:
            yield Message(*row)


def too_long(size: int) -> BadInput:
    """That a message is too long."""
    remedy = "put the name of a file instead"
    return BadInput(f"a message of {size} bytes is too long; the most is {LONGEST} (64 MiB); {remedy}")
