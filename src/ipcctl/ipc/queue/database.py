"""A queue's files: a database in SQLite, its log beside it, how they are made and removed, and what their errors mean.

    NAME.queue        the database    ◄── checkpoint ── NAME.queue-wal   what was committed since   (write-ahead log)
    NAME.queue-lock   locks, waking                     NAME.queue-shm   where in the log it is

A transaction is in the log, whole, or it never was; so a process may be killed at any instant. Those who change it take
turns by its lock, in which the kernel lets them wait: SQLite's own way of waiting is to sleep and look again.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator

from ...errors import IpcctlError
from ..registry import Corrupted, Directory, NotThere
from .lockfile import LockFile, make_lockfile

MARK = 0x69707171  # "ipqq": the application_id in the database's header
CHECKPOINT_PAGES = 500  # the log goes into the database when it is so long: 2 MiB
BUSY_S = 30.0  # another process opens or closes the database: that takes milliseconds
BESIDE = ("-wal", "-shm", "-lock")  # the files beside the database
SCHEMA = """
CREATE TABLE queue(             -- one row
    created REAL NOT NULL,      -- seconds since the epoch
    bound   INTEGER,            -- the most messages; 0: any number; NULL: nobody has put one yet
    closed  INTEGER NOT NULL,
    last    INTEGER NOT NULL,   -- the last id given to a message
    held    INTEGER NOT NULL,   -- messages in the table below
    bytes   INTEGER NOT NULL,   -- … and their bytes
    put     INTEGER NOT NULL,   -- how many were ever put
    got     INTEGER NOT NULL,   -- how many were ever acknowledged
    holders INTEGER NOT NULL    -- the last number given to a holder of leases
);
CREATE TABLE message(id INTEGER PRIMARY KEY, put_at REAL NOT NULL, body BLOB NOT NULL);
CREATE TABLE lease(first INTEGER PRIMARY KEY, last INTEGER NOT NULL, count INTEGER NOT NULL,
                   holder INTEGER NOT NULL, until REAL);
CREATE TABLE tried(id INTEGER PRIMARY KEY, attempts INTEGER NOT NULL, failures INTEGER NOT NULL);
CREATE TABLE dead(id INTEGER PRIMARY KEY, put_at REAL NOT NULL, attempts INTEGER NOT NULL, why TEXT NOT NULL,
                  body BLOB NOT NULL);
"""

Notice = Callable[[str], None]


class Removed(NotThere):
    """The queue was removed while it was in use."""

    def __init__(self, name: str) -> None:
        super().__init__(f"queue {name!r} was removed while it was in use")


class Store:
    """The open database of a queue, with its lock file. Raises NotThere, Corrupted, Refused."""

    def __init__(self, place: Directory, name: str, durable: bool = False) -> None:
        self.place = place
        self.name = name
        self.path = place.path(name)
        found = place.look(name)  # not opened here: closing it would end SQLite's locks on it (fcntl(2))
        self._identity = (found.st_dev, found.st_ino)
        try:
            self.lockfile = LockFile(self.path + "-lock")
        except FileNotFoundError:
            raise NoLockFile(name) from None
        try:
            notified = self.lockfile.last()  # before the database is looked at: it may go on meanwhile
            with self.translating_errors():
                self.db = opened(self.path, durable)
                (last,) = self.db.execute("SELECT last FROM queue").fetchone() or (0,)
            if last < notified:
                raise lost(name, self.path, notified - last)
        except BaseException:
            self.lockfile.close()
            raise

    def close(self) -> None:
        """Close it. The last one to do so puts the log into the database."""
        with contextlib.suppress(sqlite3.Error):
            self.db.close()
        self.lockfile.close()

    @contextlib.contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, the only one that changes the queue. Raises Removed, Corrupted, IpcctlError (a full disk)."""
        with self.lockfile.changing(), self.translating_errors():
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
        with self.translating_errors():
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
        return (found.st_dev, found.st_ino) == self._identity and self.lockfile.is_named(self.path + "-lock")

    def needs_room(self, count: int) -> None:
        """Raise IpcctlError where so many bytes are not free on the disk."""
        disk = os.statvfs(self.place.directory)
        free = disk.f_bavail * disk.f_frsize
        if free < count:
            where = f"{free >> 10} KiB are left in {self.place.directory!r}, and some are kept for who gets"
            raise IpcctlError(f"queue {self.name!r}: the disk is full ({where}); free some space, or get messages")

    def vacuum(self) -> None:
        """Let the files of an emptied queue take no more room than a new one's, where nobody is in the way."""
        with self.lockfile.changing(), contextlib.suppress(sqlite3.Error):
            self.db.execute("PRAGMA busy_timeout=0")
            self.db.execute("VACUUM")
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.execute(f"PRAGMA busy_timeout={BUSY_S * 1000:.0f}")

    @contextlib.contextmanager
    def translating_errors(self) -> Iterator[None]:
        """Raise SQLite's errors as ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise as_ipcctl_error(error, self.name, self.path) from None


class NoLockFile(IpcctlError):
    """A queue's lock file is gone."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the lock file of queue {name!r} was deleted")


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


def as_ipcctl_error(error: sqlite3.Error, name: str, path: str) -> IpcctlError:
    """What an error of SQLite means here, with the remedy."""
    what = str(error)
    if any(sign in what for sign in DAMAGED):
        remedy = f"it was left as it is; `remove {name}` removes it"
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
    return Corrupted(f"{what}; delete {path + '-lock'!r} to go on without them, or `remove {name}`")


# --- how a queue comes and goes


def make(place: Directory, name: str, durable: bool) -> bool:
    """Make the queue unless it is there; whether it was made."""

    def fill(unfinished: str) -> None:
        for end in BESIDE:  # of one whose database was deleted by hand: the old log is not for the new database
            with contextlib.suppress(FileNotFoundError):
                os.unlink(place.path(name) + end)
        lockfile = place.path(name) + "-lock"
        make_lockfile(lockfile)
        try:
            create(unfinished)
        except BaseException as error:
            os.unlink(lockfile)
            if isinstance(error, sqlite3.Error):
                raise as_ipcctl_error(error, name, place.path(name)) from None
            raise
        if durable:
            sync(unfinished, place.directory)

    made = place.make(name, fill)
    if made and durable:
        sync(place.directory, os.path.dirname(place.directory))
    return made


def create(path: str) -> None:
    """Make the empty file a queue's database. Raises sqlite3.Error."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode=OFF")  # nobody sees it before it is whole
        db.execute("PRAGMA synchronous=OFF")
        db.execute(f"PRAGMA application_id={MARK}")
        db.executescript(SCHEMA)
        db.execute("INSERT INTO queue VALUES(?, NULL, 0, 0, 0, 0, 0, 0, 0)", (time.time(),))
        db.execute("PRAGMA journal_mode=WAL")
    finally:
        db.close()


def sync(*paths: str) -> None:
    """Have what was written to the files and directories on the disk (fsync(2))."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove(place: Directory, name: str) -> None:
    """Take the queue away, a damaged one too; those who use it find out. Raises NotThere.

    Who changes it at this moment comes to an end first: what was acknowledged is what was removed.
    """
    path = place.path(name)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            lockfile = LockFile(path + "-lock")
            stack.callback(lockfile.close)  # which wakes those who wait
            stack.enter_context(lockfile.changing())
        with place.locked():
            place.unlink(name)
            for end in BESIDE:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path + end)


def renew_lockfile(place: Directory, name: str) -> None:
    """Give a queue whose lock file was deleted a new one; those who have the old one open find out."""
    with place.locked():
        if not os.path.lexists(place.path(name) + "-lock"):
            make_lockfile(place.path(name) + "-lock")

def open_store(place: Directory, name: str, durable: bool, notice: Notice) -> Store:
    """Open a queue that is there; where its lock file was deleted, that is told, and it gets a new one."""
    try:
        return Store(place, name, durable)
    except NoLockFile as error:
        notice(f"{error}; a new one is made")
        renew_lockfile(place, name)
        return Store(place, name, durable)
