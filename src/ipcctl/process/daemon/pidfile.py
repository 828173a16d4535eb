"""A pidfile that cannot lie: a lock on it lives exactly as long as the daemon.

    FILE ──names──► inode: "4711\\n"   byte 0  locked by the daemon 4711, for as long as it lives
                                      byte 1  locked for a moment by whoever changes what FILE names

    claim, from inside the daemon-to-be:                                    another, at the same instant
      a new inode under a temporary name, own PID in it, byte 0 locked
      ├─ nothing is named FILE: link it there ···························· FILE exists: look again
      └─ FILE names an older inode: lock its byte 1 ······················ waits for byte 1
           does FILE still name it? (no: look again) ····················· no: look again
           does its daemon live? (yes: AlreadyRunning) ··················· yes: AlreadyRunning
           rename the new one over it

The locks are fcntl(2) record locks. They belong to the process and not, as flock(2)'s do, to the open file: they
outlast exec, no child inherits them, and kill -9 ends them; F_GETLK has the kernel name the holder. So a stale file is
known for one, and a process that was given the same PID is never taken for the daemon.

A process loses these locks when it closes any descriptor of the file, as a daemon does that closes all it has
(closefrom(3)). For such a one the file's modification time is a second mark: its nanoseconds are a fingerprint of the
boot and of the tick at which the daemon started, which with the PID is one process for good.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import time
import zlib

from ...errors import EXIT_FALSE, LIMITS, NO_ROOM, BadInput, IpcctlError
from ..procfs import MOUNT, Stat, hides_others, is_own, is_there, path_of, read, require, stat_of

LIFE, CHANGE = 0, 1  # the bytes that are locked
FLOCK = "hhqqi"  # struct flock: l_type, l_whence, l_start, l_len, l_pid
BOOT_ID = "/proc/sys/kernel/random/boot_id"
CHANGED_WITHIN_S = 5.0  # a change takes microseconds
HIGHEST_DESCRIPTOR = 1023  # the last that select(2) takes, and out of the way of a shell's `exec 3>…`


class AlreadyRunning(IpcctlError):
    """The daemon of this pidfile runs."""

    status = EXIT_FALSE

    def __init__(self, path: str, pid: int) -> None:
        who = f"PID {pid}" if pid else "in a PID namespace that is not seen from here"
        super().__init__(f"already running, {who} (pidfile {path!r})")


class Holder:
    """Who holds a pidfile: `pid` is 0 when the kernel does not tell it, for a process of another PID namespace.

    `stat` is None where /proc does not show it.
    """

    def __init__(self, pid: int, stat: Stat | None) -> None:
        self.pid = pid
        self.stat = stat


def claim(path: str) -> int:
    """Make this process the one that the pidfile names, for as long as it lives; exec(3) does not change that.

    Returns the descriptor that carries the lock: it must stay open, and is not close-on-exec. Raises AlreadyRunning,
    and BadInput where the file cannot be a pidfile of ours.
    """
    temporary = f"{os.path.dirname(path) or '.'}/.{os.path.basename(path)}.{os.urandom(6).hex()}"
    try:
        held = written(temporary)
    except OSError as error:
        raise cannot_be(path, error) from None
    try:
        while not (linked(temporary, path) or taken_over(temporary, path)):
            pass
    except BaseException as error:
        os.close(held)
        os.unlink(temporary)
        raise (cannot_be(path, error) if isinstance(error, OSError) else error) from None
    return held


def written(path: str) -> int:
    """A new file with this process's PID and mark in it, locked; returns the descriptor that holds the lock."""
    first = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        held = moved_up(first)  # before it is locked: closing the first would end the lock
        os.write(held, f"{os.getpid()}\n".encode())
        now = time.time_ns() // 10**9 * 10**9
        os.utime(held, ns=(now, now + fingerprint(stat_of(os.getpid()), boot_id())))
        fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, LIFE)
        return held
    except BaseException:
        os.unlink(path)
        raise


def moved_up(descriptor: int) -> int:
    """The same open file under the highest number that is in order, kept over exec; the old number is closed."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = HIGHEST_DESCRIPTOR if soft == resource.RLIM_INFINITY else min(soft - 1, HIGHEST_DESCRIPTOR)
    try:
        held = fcntl.fcntl(descriptor, fcntl.F_DUPFD, highest)
    except OSError:  # somebody has that number
        os.set_inheritable(descriptor, True)
        return descriptor
    os.close(descriptor)
    return held


def linked(temporary: str, path: str) -> bool:
    """Name the file `path`, unless something has that name."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    os.unlink(temporary)
    return True


def taken_over(temporary: str, path: str) -> bool:
    """Rename the file over a stale pidfile; False when that is no longer what `path` names. Raises AlreadyRunning."""
    try:
        with Pidfile(path, os.O_RDWR) as old:
            if not old.lock_for_change():
                return False
            if (holder := old.holder()) is not None:
                raise AlreadyRunning(path, holder.pid)
            os.rename(temporary, path)
            return True
    except FileNotFoundError:
        return False


def holder_of(path: str) -> Holder | None:
    """The daemon of this pidfile; None when it does not run, or there is no such file. Raises BadInput."""
    try:
        with Pidfile(path, os.O_RDONLY) as file:
            return file.holder()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cannot_be(path, error) from None


def remove(path: str, pid: int | None = None) -> bool:
    """Remove a pidfile whose daemon has ended; given `pid`, only one with that PID in it.

    Returns whether it is gone: False when its daemon runs, or we may not. Raises BadInput for what is no pidfile.
    """
    try:
        with Pidfile(path, os.O_RDWR) as file:
            if not file.lock_for_change() or file.holder() is not None or pid not in (None, file.pid()):
                return False
            os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


class Pidfile:
    """One that is there, open while it is entered. Raises OSError; BadInput for what is no pidfile."""

    def __init__(self, path: str, flags: int) -> None:
        self.path = path
        # O_NONBLOCK: or opening a FIFO would wait for somebody to come.
        self.descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)

    def __enter__(self) -> Pidfile:
        return self

    def __exit__(self, *what_happened: object) -> None:
        os.close(self.descriptor)

    def lock_for_change(self) -> bool:
        """Become the one who may change what the path names; False when it names another file by now."""
        give_up = time.monotonic() + CHANGED_WITHIN_S
        while not self._locked():
            if time.monotonic() > give_up:
                raise IpcctlError(f"another process keeps the pidfile {self.path!r} locked for a change; end that one")
            os.sched_yield()
        named = os.lstat(self.path)
        mine = os.fstat(self.descriptor)
        return (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino)

    def _locked(self) -> bool:
        try:
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, CHANGE)
        except (BlockingIOError, PermissionError):  # fcntl(2): EAGAIN or EACCES
            return False
        return True

    def holder(self) -> Holder | None:
        """The daemon that the file names, if it runs.

        Raises BadInput when the file's content is no PID, IpcctlError where /proc would have to tell and does not.
        """
        written_pid = self.pid()
        locked_by = self._locked_by()
        if locked_by is not None:
            found = stat_of(locked_by) if locked_by and is_own() else None
            if locked_by == self._locked_by():  # it lived before and after we looked: so that is its record
                return Holder(locked_by, found)
        if written_pid is None or not is_there(written_pid):
            return None
        found = self._seen(written_pid)
        if found is None or found.has_ended or not self._marked_for(found):
            return None
        return Holder(found.pid, found)

    def _seen(self, pid: int) -> Stat | None:
        """The record of a process that is there, and may have started since; None when it has ended meanwhile."""
        cannot_tell = f"cannot tell whether the daemon of {self.path!r} runs as PID {pid}"
        require(cannot_tell)
        found = stat_of(pid)
        if found is None and is_there(pid):
            raise IpcctlError(f"{cannot_tell}: /proc does not show that process ({hides_others()}); ask as root")
        return found

    def pid(self) -> int | None:
        """The PID in the file; None when it is empty."""
        if not stat.S_ISREG(os.fstat(self.descriptor).st_mode):
            raise BadInput(f"{self.path!r} is no regular file; give `pidfile` another name")
        raw = os.pread(self.descriptor, 64, 0).strip()
        if raw and not (raw.isdigit() and len(raw) <= 10):
            raise BadInput(f"{self.path!r} is no pidfile: it holds {raw[:20]!r}, not a PID; give another name")
        return int(raw) if raw else None

    def _locked_by(self) -> int | None:
        """Who holds the lock of a living daemon (F_GETLK); only a writer's counts, which not everybody can take."""
        asked = struct.pack(FLOCK, fcntl.F_RDLCK, os.SEEK_SET, LIFE, 1, 0)
        kind, _, _, _, pid = struct.unpack(FLOCK, fcntl.fcntl(self.descriptor, fcntl.F_GETLK, asked))
        return None if kind == fcntl.F_UNLCK else max(pid, 0)

    def _marked_for(self, process: Stat) -> bool:
        """Whether the second mark is this process's, made by one who could be believed: its owner, root, or us."""
        mine = os.fstat(self.descriptor)
        try:
            believed = mine.st_uid in (0, os.geteuid(), os.stat(path_of(process.pid)).st_uid)
        except FileNotFoundError:
            return False
        boot = boot_id()
        if believed and boot is None and not mine.st_mtime_ns % 10**9 == fingerprint(process, None):
            raise IpcctlError(
                f"cannot tell whether the daemon of {self.path!r} runs as PID {process.pid}: {BOOT_ID} cannot be read;"
                f" {MOUNT}"
            )
        return believed and mine.st_mtime_ns % 10**9 in (fingerprint(process, boot), fingerprint(process, None))


def boot_id() -> bytes | None:
    """Return what names this boot of the kernel; None where it cannot be read."""
    raw = read(BOOT_ID)
    return raw.strip() if raw else None


def fingerprint(process: Stat | None, boot: bytes | None) -> int:
    """A number below 10⁹ of when a process started: since which boot, if that is known, and at which tick."""
    ticks = process.start_ticks if process else 0
    return zlib.crc32(b"%s %d" % (boot or b"", ticks)) % 10**9


def cannot_be(path: str, error: OSError) -> IpcctlError:
    """Why there can be no pidfile at that path, with the remedy."""
    if error.errno in LIMITS:
        return IpcctlError(f"no pidfile {path!r}: {LIMITS[error.errno]}")
    if error.errno == errno.ELOOP:
        return BadInput(f"the pidfile {path!r} is a symbolic link, which is not followed; name the file itself")
    if error.errno in NO_ROOM:
        return IpcctlError(f"cannot write the pidfile {path!r}: {error.strerror}; free some space, or raise the limit")
    remedy = "give one in a directory that exists and that you may write to"
    return BadInput(f"no pidfile can be at {path!r}: {error.strerror}; {remedy}")
