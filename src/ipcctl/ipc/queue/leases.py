"""Which messages are taken, by whom, until when: leases on ranges of ids, that end when their holder does.

    ids        1 2 3 4 5 6 7 8 9 …          a message keeps its id until it is acknowledged; ids only grow
    leases       [2–4]   [6]                 nothing is ever put inside of a range
    waiting    1       5   7 8 9 …           what lies between them, in order

A holder is a process that holds a lock on its byte of the lock file. When it ends the kernel takes the lock: the next
who looks at the leases finds those of that holder void.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator

from .lockfile import LockFile

HIGHEST = (1 << 63) - 1


class Lease:
    """A range of ids, both ends in it, with `count` messages. `until` is by time.monotonic; None has no end."""

    def __init__(self, first: int, last: int, count: int, holder: int, until: float | None) -> None:
        self.first = first
        self.last = last
        self.count = count
        self.holder = holder
        self.until = until


class Leases:
    """Those of a queue, as they are in this transaction: the `valid` ones in order of ids, and the `void` ones."""

    def __init__(self, db: sqlite3.Connection, lockfile: LockFile, holder: int | None) -> None:
        self.db = db
        now = time.monotonic()
        alive: dict[int, bool] = {}
        self.valid: list[Lease] = []
        self.void: list[Lease] = []
        for row in db.execute("SELECT first, last, count, holder, until FROM lease ORDER BY first"):
            each = Lease(*row)
            if each.holder not in alive:
                alive[each.holder] = each.holder == holder or lockfile.is_held(each.holder)
            in_time = each.until is None or each.until > now
            (self.valid if alive[each.holder] and in_time else self.void).append(each)

    @property
    def count(self) -> int:
        """How many messages are taken."""
        return sum(each.count for each in self.valid)

    @property
    def next_end(self) -> float | None:
        """When the first of them is over by itself (time.monotonic)."""
        return min((each.until for each in self.valid if each.until is not None), default=None)

    def requeue_void(self) -> None:
        """Requeue the messages of void leases."""
        self.db.executemany("DELETE FROM lease WHERE first = ?", [(each.first,) for each in self.void])

    def gaps(self) -> Iterator[tuple[int, int]]:
        """Where messages wait: the ids between the leases, both bounds excluded."""
        below = 0
        for each in self.valid:
            if each.first > below + 1:
                yield below, each.first
            below = each.last
        yield below, HIGHEST
