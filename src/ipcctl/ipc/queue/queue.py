"""A queue between processes that know its name: messages are bytes, first in, first out, and outlast every process.

    put ──► waiting ──take──► leased ──acknowledge──► deleted
               ▲                 │
               ├── requeue, or the holder's end
               └── failed ───────┴── too often ──► dead letter ── revive ──► waiting, at the end

What was put is in the database when `put` returns. What was taken is on a lease until it is acknowledged: a consumer
that is killed at any instant loses nothing, and what it may have printed already is delivered again (at least once).
"""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import EXIT_FALSE, BadInput, IpcctlError
from ..registry import state_directory
from .database import Removed, Store
from .leases import Lease, Leases
from .message import LONGEST, Message, Taken, messages_between, too_long

if TYPE_CHECKING:
    from ..inotify import Inotify

PAGE = 1000  # messages looked at in one transaction
ROOM = 4 << 20  # an emptied queue whose file is larger gives the room back
KEPT_FREE = 6 << 20  # on the disk: to take a message away takes room first, in the log


class Closed(IpcctlError):
    """The queue was closed: nothing can be put any more, or nothing is left to get."""

    status = EXIT_FALSE


class Queue:
    """A queue, open. Close it, or use it as a context manager.

    Raises NotThere; Corrupted for a damaged one; Removed when it was removed meanwhile; IpcctlError for a full disk.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.name = store.name
        self._holder: int | None = None
        self._watch: Inotify | None = None
        self.next_end: float | None = None  # when the first lease of anybody is over (time.monotonic), as last seen

    def __enter__(self) -> Queue:
        return self

    def __exit__(self, *what_happened: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it: what is still on a lease of ours waits again."""
        if self._watch:
            self._watch.close()
        self.store.close()

    # --- putting

    def put(self, bodies: Sequence[bytes], bound: int | None = None) -> int:
        """Put as many of the messages as the bound leaves room for, and return how many that were.

        All of them are in together, or none is. `bound` is 0 for none, and settled by the first who puts; None takes it
        as it is. Raises Closed; BadInput for another bound than the first, or a message that is too long.
        """
        now = time.time()
        with self.store.changing() as db:
            settled, closed, last, held = db.execute("SELECT bound, closed, last, held FROM queue").fetchone()
            if closed:
                raise Closed(f"queue {self.name!r} is closed; nothing can be put into it any more")
            settled = self._settled(settled, bound)
            fitting = bodies if not settled else bodies[: max(settled - held, 0)]
            count, size = len(fitting), sum(map(len, fitting))
            if size > LONGEST and any(len(each) > LONGEST for each in fitting):
                raise too_long(max(map(len, fitting)))
            self.store.needs_room(KEPT_FREE + 3 * size + 64 * count)  # in the log, then in the database
            rows = zip(itertools.count(last + 1), itertools.repeat(now), fitting)
            db.executemany("INSERT INTO message VALUES(?, ?, ?)", rows)
            db.execute("UPDATE queue SET bound = ?, last = last + ?, held = held + ?, bytes = bytes + ?, put = put + ?",
                       (settled, count, count, size, count))  # fmt: skip
        if count:
            self.store.lockfile.notify(last + count)
        return count

    def _settled(self, settled: int | None, bound: int | None) -> int:
        if settled is None:
            return bound or 0
        if bound is not None and bound != settled:
            has = f"at most {settled} messages" if settled else "any number of messages"
            since = f"queue {self.name!r} is one of {has}, since its first put"
            raise BadInput(f"{since}; `bound` {bound} cannot change that")
        return settled

    def close_to_puts(self) -> None:
        """Refuse puts from now on; what is in is still to be got."""
        with self.store.changing() as db:
            db.execute("UPDATE queue SET closed = 1")
        self.store.lockfile.notify()

    # --- taking

    def take(self, count: int, lease_s: float | None = None, attempt: bool = False) -> Taken:
        """Take up to `count` of those that wait, in order, on leases of this process; none is there: none are taken.

        With `attempt` each has a lease of its own, which ends after `lease_s`, and it is counted as an attempt.
        Otherwise they are on one lease, and what was counted before is not looked up.
        """
        with self.store.changing() as db:
            leases = Leases(db, self.store.lockfile, self._holder)
            leases.requeue_void()
            found, ranges = self._waiting(db, leases, count, attempt)
            if found:
                self._lease(db, ranges, None if lease_s is None else time.monotonic() + lease_s)
            if attempt:
                self._count_attempts(db, found)
            self.next_end = leases.next_end
        return Taken(found, ranges)

    def _waiting(
        self, db: sqlite3.Connection, leases: Leases, count: int, singly: bool
    ) -> tuple[list[Message], list[Lease]]:
        found: list[Message] = []
        ranges: list[Lease] = []
        for gap in leases.gaps():
            here = messages_between(db, gap, count - len(found))
            if not here:
                continue
            found += here
            parts = [[each] for each in here] if singly else [here]
            ranges += [Lease(part[0].id, part[-1].id, len(part), 0, None) for part in parts]
            if not singly or len(found) == count:
                break
        return found, ranges

    def _lease(self, db: sqlite3.Connection, ranges: Sequence[Lease], until: float | None) -> None:
        if self._holder is None:
            db.execute("UPDATE queue SET holders = holders + 1")
            (number,) = db.execute("SELECT holders FROM queue").fetchone()
            self.store.lockfile.hold(number)
            self._holder = number
        for each in ranges:
            each.holder, each.until = self._holder, until
        db.executemany("INSERT INTO lease VALUES(?, ?, ?, ?, ?)",
                       [(each.first, each.last, each.count, each.holder, each.until) for each in ranges])  # fmt: skip

    def _count_attempts(self, db: sqlite3.Connection, messages: Sequence[Message]) -> None:
        for each in messages:
            each.attempts += 1
        db.executemany(
            "INSERT INTO tried VALUES(?, 1, 0) ON CONFLICT(id) DO UPDATE SET attempts = attempts + 1",
            [(each.id,) for each in messages],
        )

    def acknowledge(self, taken: Taken) -> bool:
        """Acknowledge what was taken, which deletes it. False when a lease was over before: then it is others'."""
        return self.acknowledge_all([taken]) == 1

    def acknowledge_all(self, several: Sequence[Taken]) -> int:
        """As `acknowledge`, for several at once; with how many of them it is."""
        with self.store.changing() as db:
            ours = [taken for taken in several if self._end(db, taken)]
            for taken in ours:
                self._delete(db, taken)
            wanted, left = db.execute("SELECT bound OR closed, held FROM queue").fetchone()
        if wanted or not left:  # somebody may wait for room, or for the end
            self.store.lockfile.notify()
        if not left:
            self._vacuum()
        return len(ours)

    def _delete(self, db: sqlite3.Connection, taken: Taken) -> None:
        count, size = len(taken.messages), sum(len(each.body) for each in taken.messages)
        for each in taken.leases:
            db.execute("DELETE FROM message WHERE id BETWEEN ? AND ?", (each.first, each.last))
            db.execute("DELETE FROM tried WHERE id BETWEEN ? AND ?", (each.first, each.last))
        db.execute("UPDATE queue SET held = held - ?, bytes = bytes - ?, got = got + ?", (count, size, count))

    def requeue(self, taken: Taken) -> None:
        """Requeue what was taken, at its old position."""
        with self.store.changing() as db:
            self._end(db, taken)
        self.store.lockfile.notify()

    def failed(self, taken: Taken, retries: int, why: str) -> bool:
        """Count a failed attempt at the message; after more than `retries` it is a dead letter. Whether it is."""
        (message,) = taken.messages
        message.failures += 1
        aside = message.failures > retries
        with self.store.changing() as db:
            if not self._end(db, taken):
                return False
            if aside:
                self._make_dead_letter(db, message, why)
            else:
                db.execute("UPDATE tried SET failures = failures + 1 WHERE id = ?", (message.id,))
        self.store.lockfile.notify()
        return aside

    def _make_dead_letter(self, db: sqlite3.Connection, message: Message, why: str) -> None:
        values = (message.id, message.put_at, message.attempts, why, message.body)
        db.execute("INSERT INTO dead VALUES(?, ?, ?, ?, ?)", values)
        db.execute("DELETE FROM message WHERE id = ?", (message.id,))
        db.execute("DELETE FROM tried WHERE id = ?", (message.id,))
        db.execute("UPDATE queue SET held = held - 1, bytes = bytes - ?", (len(message.body),))

    def _end(self, db: sqlite3.Connection, taken: Taken) -> bool:
        """End the leases; whether all of them were ours until now."""
        ours = [
            db.execute("DELETE FROM lease WHERE first = ? AND holder = ?", (each.first, self._holder)).rowcount
            for each in taken.leases
        ]
        return all(ours)

    def _vacuum(self) -> None:
        """Shrink the file of an emptied queue: its directory may be in memory."""
        with self.store.looking() as db:
            (pages,), (size,) = (db.execute(f"PRAGMA {each}").fetchone() for each in ("page_count", "page_size"))
            held, dead = db.execute("SELECT held, (SELECT count(*) FROM dead) FROM queue").fetchone()
        if pages * size > ROOM and not held and not dead:
            self.store.vacuum()

    # --- dead letters

    def requeue_dead(self, ids: Sequence[int] = ()) -> int:
        """Put the dead ones, all or those of these ids, at the end, as if they were new; how many. Raises BadInput."""
        with self.store.changing() as db:
            there = [id for (id,) in db.execute("SELECT id FROM dead ORDER BY id")]
            unknown = set(ids) - set(there)
            if unknown:
                some = f"there are: {', '.join(map(str, there[:10]))}" if there else "there is none"
                raise BadInput(f"no dead message {min(unknown)} in queue {self.name!r}; {some}")
            wanted = sorted(set(ids)) or there
            (last,) = db.execute("SELECT last FROM queue").fetchone()
            for new, old in enumerate(wanted, last + 1):
                db.execute("INSERT INTO message SELECT ?, put_at, body FROM dead WHERE id = ?", (new, old))
                db.execute("UPDATE queue SET last = ?, held = held + 1,"
                           " bytes = bytes + (SELECT length(body) FROM dead WHERE id = ?)", (new, old))  # fmt: skip
                db.execute("DELETE FROM dead WHERE id = ?", (old,))
        if wanted:
            self.store.lockfile.notify(last + len(wanted))
        return len(wanted)

    # --- looking and waiting

    def peek(self, count: int) -> Iterator[Message]:
        """Those that wait, up to `count`, in order; they stay."""
        after = 0
        while page := self._page(after, count):  # one transaction each: who reads may take as long as they like
            yield from page
            after, count = page[-1].id, count - len(page)

    def _page(self, after: int, count: int) -> list[Message]:
        with self.store.looking() as db:
            for below, above in Leases(db, self.store.lockfile, self._holder).gaps():
                gap = max(below, after), above
                if after < above and (found := messages_between(db, gap, min(count, PAGE))):
                    return found
        return []

    def dead(self, count: int) -> Iterator[tuple[Message, str]]:
        """Yield the dead letters, up to `count`, with why."""
        after = 0
        for _ in range(count):
            with self.store.looking() as db:
                query = "SELECT id, put_at, body, attempts, why FROM dead WHERE id > ? ORDER BY id LIMIT 1"
                row = db.execute(query, (after,)).fetchone()
            if row is None:
                break
            *values, why = row
            yield Message(*values), why
            after = row[0]

    def left(self) -> tuple[int, bool]:
        """How many messages it has, those on leases too; and whether it is closed."""
        with self.store.looking() as db:
            held, closed = db.execute("SELECT held, closed FROM queue").fetchone()
        return held, bool(closed)

    def is_over(self) -> bool:
        """Whether it is closed and no message is left."""
        return self.left() == (0, True)

    def stat(self) -> dict[str, Any]:
        """Its figures, of one moment."""
        with self.store.looking() as db:
            created, bound, closed, held, size, put, got = db.execute(
                "SELECT created, bound, closed, held, bytes, put, got FROM queue"
            ).fetchone()
            leased = Leases(db, self.store.lockfile, self._holder).count
            (dead,) = db.execute("SELECT count(*) FROM dead").fetchone()
            first = "SELECT put_at FROM message ORDER BY id LIMIT 1"
            (oldest,) = db.execute(first).fetchone() or (None,)
        return {
            "waiting": held - leased, "leased": leased, "dead": dead, "put": put, "got": got, "held_bytes": size,
            "oldest_s": None if oldest is None else round(max(time.time() - oldest, 0.0), 6),
            "max": bound or None, "full": bool(bound) and held >= bound, "empty": held == 0, "closed": bool(closed),
            "durable": self.store.place.directory == state_directory(), "created": created,
        }  # fmt: skip

    def has_room(self) -> bool:
        """Whether something can be put, or a put would be refused."""
        with self.store.looking() as db:
            room, closed = db.execute("SELECT NOT bound OR held < bound, closed FROM queue").fetchone()
        return bool(room or closed)

    def has_waiting(self) -> bool:
        """Whether something can be taken."""
        with self.store.looking() as db:
            leases = Leases(db, self.store.lockfile, self._holder)
            self.next_end = leases.next_end
            return any(
                db.execute("SELECT 1 FROM message WHERE id > ? AND id < ? LIMIT 1", gap).fetchone()
                for gap in leases.gaps()
            )

    def watch(self) -> bool:
        """Hear what happens to the queue from now on; False when that was so before. Then look once more, and wait."""
        if self._watch is not None:
            return False
        from ..inotify import Inotify

        self._watch = Inotify(self.store.lockfile.descriptor, self.store.lockfile.path)
        return True

    @property
    def wakeup_fd(self) -> int:
        """The descriptor that can be read when there was something to hear."""
        assert self._watch is not None, "nobody watches"
        return self._watch.descriptor

    def clear_wakeups(self) -> None:
        """Before another look at the queue: forget what was heard. Raises Removed."""
        if self._watch:
            self._watch.forget()
        if not self.store.is_there():
            raise Removed(self.name)
