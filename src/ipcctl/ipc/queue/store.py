"""A queue's file: a database in SQLite, its log beside it, and what its errors mean.

    NAME.queue        the database    ◄── checkpoint ── NAME.queue-wal   what was committed since   (write-ahead log)
    NAME.queue-bell   locks, waking                     NAME.queue-shm   where in the log it is

A transaction is in the log, whole, or it never was; so a process may be killed at any instant. Those who change it take
turns by the bell's lock, in which the kernel lets them wait: SQLite's own way of waiting is to sleep and look again.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator

from ...errors import IpcctlError
from ..names import Corrupted, NotThere, Place
from .bell import Bell

MARK = 0x69707171  # "ipqq": the application_id in the database's header
CHECKPOINT_PAGES = 500  # the log goes into the database when it is so long: 2 MiB
BUSY_S = 30.0  # another process opens or closes the database: that takes milliseconds


class Removed(NotThere):
    """The queue was removed while it was in use."""

    def __init__(self, name: str) -> None:
        super().__init__(f"queue {name!r} was removed while it was in use")


class Store:
    """The open database of a queue, with its bell. Raises NotThere, Corrupted, Refused."""

    def __init__(self, place: Place, name: str, durable: bool = False) -> None:
        self.place = place
        self.name = name
        self.path = place.path(name)
        found = place.look(name)  # not opened here: closing it would end SQLite's locks on it (fcntl(2))
        self._identity = (found.st_dev, found.st_ino)
        try:
            self.bell = Bell(self.path + "-bell")
        except FileNotFoundError:
            raise NoBell(name) from None
        try:
            rung = self.bell.last()  # before the database is looked at: it may go on meanwhile
            with self.telling():
                self.db = opened(self.path, durable)
                (last,) = self.db.execute("SELECT last FROM queue").fetchone() or (0,)
            if last < rung:
                raise lost(name, self.path, rung - last)
        except BaseException:
            self.bell.close()
            raise

    def close(self) -> None:
        """Close it. The last one to do so puts the log into the database."""
        with contextlib.suppress(sqlite3.Error):
            self.db.close()
        self.bell.close()

    @contextlib.contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, the only one that changes the queue. Raises Removed, Corrupted, IpcctlError (a full disk)."""
        with self.bell.changing(), self.telling():
            if not self.is_there():
                raise Removed(self.name)
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled it back already
                    self.db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def looking(self) -> Iterator[sqlite3.Connection]:
        """A transaction that changes nothing: a moment's picture."""
        with self.telling():
            self.db.execute("BEGIN")
            try:
                yield self.db
            finally:
                with contextlib.suppress(sqlite3.Error):
                    self.db.execute("ROLLBACK")

    def is_there(self) -> bool:
        """Whether the name is still this queue's."""
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == self._identity and self.bell.is_named(self.path + "-bell")

    def needs_room(self, count: int) -> None:
        """Raise IpcctlError where so many bytes are not free on the disk."""
        disk = os.statvfs(self.place.directory)
        free = disk.f_bavail * disk.f_frsize
        if free < count:
            where = f"{free >> 10} KiB are left in {self.place.directory!r}, and some are kept for who gets"
            raise IpcctlError(f"queue {self.name!r}: the disk is full ({where}); free some space, or get messages")

    def give_back_room(self) -> None:
        """Let the files of an emptied queue take no more room than a new one's, where nobody is in the way."""
        with self.bell.changing(), contextlib.suppress(sqlite3.Error):
            self.db.execute("PRAGMA busy_timeout=0")
            self.db.execute("VACUUM")
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.execute(f"PRAGMA busy_timeout={BUSY_S * 1000:.0f}")

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """Raise SQLite's errors as ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise told(error, self.name, self.path) from None


class NoBell(IpcctlError):
    """A queue's bell is gone."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the bell of queue {name!r} was deleted")


def opened(path: str, durable: bool) -> sqlite3.Connection:
    """The database, open; its mark is that of a queue. Raises sqlite3.Error."""
    db = sqlite3.connect(f"file:{quoted(path)}?mode=rw", uri=True, timeout=BUSY_S, isolation_level=None,
                         check_same_thread=False)  # fmt: skip
    try:
        db.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        if db.execute("PRAGMA application_id").fetchone()[0] != MARK:
            raise sqlite3.DatabaseError("it is no queue's database")
    except BaseException:
        db.close()
        raise
    return db


def quoted(path: str) -> str:
    """The path as a URI has it: these three signs alone mean something there."""
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


DAMAGED = ("malformed", "not a database", "no queue's database", "no such table", "no such column", "disk image")


def told(error: sqlite3.Error, name: str, path: str) -> IpcctlError:
    """What an error of SQLite means here, with the remedy."""
    what = str(error)
    if any(sign in what for sign in DAMAGED):
        remedy = f"it was left as it is; 'ipcctl queue remove {name}' removes it"
        return Corrupted(f"queue {name!r} is damaged ({what}: {path!r}); {remedy}")
    if "full" in what or "disk I/O" in what:
        return IpcctlError(f"queue {name!r}: {what} ({path!r}); free some space")
    if "locked" in what:
        return IpcctlError(f"queue {name!r} was kept locked for {BUSY_S:g} s by another program ({path!r}); end it")
    if "readonly" in what or "unable to open" in what:
        return IpcctlError(f"queue {name!r}: {what} ({path!r}); may you write to it and its directory?")
    return IpcctlError(f"queue {name!r}: {what} ({path!r})")


def lost(name: str, path: str, count: int) -> Corrupted:
    """That the log lacks what was acknowledged: it was deleted or damaged, or the power was cut."""
    what = f"queue {name!r} is damaged: the last {count} messages are lost ({path + '-wal'!r})"
    return Corrupted(f"{what}; delete {path + '-bell'!r} to go on without them, or 'ipcctl queue remove {name}'")
