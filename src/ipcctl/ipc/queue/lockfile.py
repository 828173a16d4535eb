"""A lock file: locks that the kernel gives back, and a notification that wakes those who wait; both outlast kill -9.

    byte 0        locked by whoever changes the queue, for that moment; the others wait in the kernel, in turn
    byte 1, 2, …  each locked by a holder, for as long as it lives

    put: … commit ─► write to the file ──┐ inotify(7)
    a holder ends, by kill -9 as well ───┴────────────► poll(2) returns in everyone who waits
         (its descriptor is closed: the kernel tells that too)

The locks are of the open file (fcntl(2), F_OFD_SETLK): they end with the process, no program that it executes has them,
and two users of the file in one process exclude each other.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator

from ...waiting import interruptible

FLOCK = "hhqqi"  # struct flock: l_type, l_whence, l_start, l_len, l_pid
LAST = struct.Struct("<q")  # at the file's beginning
CHANGE = 0  # the byte locked for a change


class LockFile:
    """The file, open. Raises OSError."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)

    def close(self) -> None:
        """Close it: its locks end, and those who wait are woken."""
        os.close(self.descriptor)

    def notify(self, last: int | None = None) -> None:
        """Wake everyone who waits; `last` is kept, for what was committed is to be at least that far ever after."""
        if last is None:
            os.pwrite(self.descriptor, b"!", LAST.size)
        else:
            os.pwrite(self.descriptor, LAST.pack(last), 0)

    def last(self) -> int:
        """Return what `notify` was last given."""
        raw = os.pread(self.descriptor, LAST.size, 0)
        return int(LAST.unpack(raw)[0]) if len(raw) == LAST.size else 0

    def is_named(self, path: str) -> bool:
        """Whether the path names this very file, still."""
        try:
            named, mine = os.lstat(path), os.fstat(self.descriptor)
        except FileNotFoundError:
            return False
        return (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino)

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Be the only one who changes the queue; waits for those who came before. Raises Interrupted meanwhile."""
        try:
            self._set(fcntl.F_OFD_SETLK, fcntl.F_WRLCK, CHANGE)
        except (BlockingIOError, PermissionError):  # fcntl(2): EAGAIN or EACCES
            with interruptible():
                self._set(fcntl.F_OFD_SETLKW, fcntl.F_WRLCK, CHANGE)
        try:
            yield
        finally:
            self._set(fcntl.F_OFD_SETLK, fcntl.F_UNLCK, CHANGE)

    def hold(self, number: int) -> None:
        """Lock the byte of a holder, for as long as this is open."""
        self._set(fcntl.F_OFD_SETLK, fcntl.F_WRLCK, number)

    def is_held(self, number: int) -> bool:
        """Whether the holder of that byte lives: another one, whose file is open."""
        asked = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, number, 1, 0)
        kind: int = struct.unpack(FLOCK, fcntl.fcntl(self.descriptor, fcntl.F_OFD_GETLK, asked))[0]
        return kind != fcntl.F_UNLCK

    def _set(self, command: int, kind: int, byte: int) -> None:
        fcntl.fcntl(self.descriptor, command, struct.pack(FLOCK, kind, os.SEEK_SET, byte, 1, 0))


def make_lockfile(path: str) -> None:
    """Make a new lock file in that place. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, LAST.pack(0) + b"!")  # room for every notification: later the disk may be full
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(descriptor)
