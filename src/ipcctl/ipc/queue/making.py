"""How a queue comes and goes: its tables, its files, all of them or none.

    make     the database under another name, whole; then the bell; then the database gets its name, by rename(2)
    remove   whoever changes it comes to an end; then its files go, and those who wait are woken
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable

from ..names import Place
from .bell import Bell, make_bell
from .store import MARK, NoBell, Store, told

BESIDE = ("-wal", "-shm", "-bell")  # the files beside the database
SCHEMA = """
CREATE TABLE queue(             -- one row
    created REAL NOT NULL,      -- seconds since the epoch
    bound   INTEGER,            -- the most messages; 0: any number; NULL: nobody has put one yet
    closed  INTEGER NOT NULL,
    last    INTEGER NOT NULL,   -- the last id given to a message
    held    INTEGER NOT NULL,   -- messages in the table below
    bytes   INTEGER NOT NULL,   -- … and their bytes
    put     INTEGER NOT NULL,   -- how many were ever put
    got     INTEGER NOT NULL,   -- how many were ever done with
    holders INTEGER NOT NULL    -- the last number given to a holder of leases
);
CREATE TABLE message(id INTEGER PRIMARY KEY, put_at REAL NOT NULL, body BLOB NOT NULL);
CREATE TABLE lease(first INTEGER PRIMARY KEY, last INTEGER NOT NULL, count INTEGER NOT NULL,
                   holder INTEGER NOT NULL, until REAL);
CREATE TABLE tried(id INTEGER PRIMARY KEY, attempts INTEGER NOT NULL, failures INTEGER NOT NULL);
CREATE TABLE dead(id INTEGER PRIMARY KEY, put_at REAL NOT NULL, attempts INTEGER NOT NULL, why TEXT NOT NULL,
                  body BLOB NOT NULL);
"""


def make(place: Place, name: str, durable: bool) -> bool:
    """Make the queue unless it is there; whether it was made."""

    def fill(unfinished: str) -> None:
        for end in BESIDE:  # of one whose database was deleted by hand: the old log is not for the new database
            with contextlib.suppress(FileNotFoundError):
                os.unlink(place.path(name) + end)
        bell = place.path(name) + "-bell"
        make_bell(bell)
        try:
            create(unfinished)
        except BaseException as error:
            os.unlink(bell)
            raise (told(error, name, place.path(name)) if isinstance(error, sqlite3.Error) else error) from None
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


def remove(place: Place, name: str) -> None:
    """Take the queue away, a damaged one too; those who use it find out. Raises NotThere.

    Who changes it at this moment comes to an end first: what was acknowledged is what was removed.
    """
    path = place.path(name)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            bell = Bell(path + "-bell")
            stack.callback(bell.close)  # which wakes those who wait
            stack.enter_context(bell.changing())
        with place.locked():
            place.unlink(name)
            for end in BESIDE:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path + end)


def renew_bell(place: Place, name: str) -> None:
    """Give a queue whose bell was deleted a new one; those who have the old one open find out."""
    with place.locked():
        if not os.path.lexists(place.path(name) + "-bell"):
            make_bell(place.path(name) + "-bell")


Notice = Callable[[str], None]


def open_store(place: Place, name: str, durable: bool, notice: Notice) -> Store:
    """Open a queue that is there; where its bell was deleted, that is told, and it gets a new one."""
    try:
        return Store(place, name, durable)
    except NoBell as error:
        notice(f"{error}; a new one is made")
        renew_bell(place, name)
        return Store(place, name, durable)
