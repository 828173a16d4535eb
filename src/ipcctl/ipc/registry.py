"""Named objects: where they live, who may use them, and how two that make one at the same instant make one object.

    a directory, 0700, ours alone      $IPCCTL_DIR, else $XDG_RUNTIME_DIR/ipcctl, else /tmp/ipcctl-UID
     ├─ build.sem      0600            a file an object: its name, its kind
     ├─ jobs.queue
     └─ jobs.queue~                    one that is being made; it takes the name when it is whole, by rename(2)

Whoever makes, replaces or removes one holds a lock (flock(2)) on the directory for that moment; who dies gives it back.
Who merely uses an object opens its file, and takes no lock here.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..errors import EXIT_FALSE, BadInput, IpcctlError
from ..process.users import user_name
from ..waiting import lock_file

LONGEST_NAME = 64
LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
UNFINISHED = "~"  # at the end of a file's name: no object's name has it
FULL = {errno.ENOSPC: "free some space", errno.EDQUOT: "free some space, or have the quota raised"}


class NotThere(IpcctlError):
    """There is no object of that name."""

    status = EXIT_FALSE


class Refused(IpcctlError):
    """A directory or a file that others could have put there, or could change: it is not used."""


class Corrupted(IpcctlError):
    """What is in an object's file is not what ipcctl writes; it is left as it is."""


def is_name(name: str) -> bool:
    """Whether an object may be called that."""
    return len(name) <= LONGEST_NAME and bool(name.strip(".")) and LETTERS.issuperset(name)


def checked_name(name: str) -> str:
    """The name. Raises BadInput for what may be none."""
    if is_name(name):
        return name
    if len(name) > LONGEST_NAME:
        raise BadInput(f"the name {name[:20] + '…'!r} has {len(name)} characters; give at most {LONGEST_NAME}")
    allowed = f"letters, digits, '.', '_' and '-', 1 to {LONGEST_NAME}, and not dots alone"
    raise BadInput(f"{name!r} is no name; give {allowed}")


# --- directories


def runtime_directory() -> str:
    """Where objects are that last until the reboot: the path, from the root; it need not be there."""
    if chosen := os.environ.get("IPCCTL_DIR"):
        return os.path.abspath(chosen)
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return f"{runtime}/ipcctl" if is_ours(runtime) else f"/tmp/ipcctl-{os.geteuid()}"


def state_directory() -> str:
    """Where objects are that outlast a power cut: $XDG_STATE_HOME/ipcctl, or ~/.local/state/ipcctl."""
    home = os.environ.get("XDG_STATE_HOME", "")
    return f"{home if home.startswith('/') else os.path.expanduser('~/.local/state')}/ipcctl"


def is_ours(path: str) -> bool:
    """Whether it is a directory of this user's, from the root: $XDG_RUNTIME_DIR after su(1) is another's."""
    try:
        return path.startswith("/") and os.stat(path).st_uid == os.geteuid() and os.path.isdir(path)
    except OSError:
        return False


def make_private(path: str, above: bool = False) -> None:
    """Make the directory, 0700, if it is not there; with `above`, those that it lies in as well.

    Raises Refused for one that is there and not ours alone, IpcctlError where it cannot be made.
    """
    try:
        if above:
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        os.mkdir(path, 0o700)
        os.chmod(path, 0o700)  # a umask may have taken from it
    except FileExistsError:
        pass
    except OSError as error:
        raise cannot("make the directory", path, error) from None
    check_private(path)


def check_private(path: str) -> None:
    """Raise Refused unless it is a directory of ours, no link, and closed to others; FileNotFoundError without one."""
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        raise Refused(f"{path!r} is a link, which others might have put there; remove it, {ELSEWHERE}")
    if not stat.S_ISDIR(found.st_mode):
        raise Refused(f"{path!r} is no directory; remove it, {ELSEWHERE}")
    if found.st_uid != os.geteuid():
        whose = f"{path!r} is the directory of {user_name(found.st_uid)}"
        raise Refused(f"{whose}; objects are shared by the shells of one user alone; be that user, {ELSEWHERE}")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise Refused(f"{path!r} is open to others (mode {stat.S_IMODE(found.st_mode):04o}); chmod 700 it, {ELSEWHERE}")


def is_private(found: os.stat_result) -> bool:
    """Whether it is a regular file of ours, closed to others."""
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


ELSEWHERE = "or set IPCCTL_DIR to a directory of your own"


def cannot(what: str, path: str, error: OSError) -> IpcctlError:
    """The error in words, with the remedy."""
    remedy = FULL.get(error.errno or 0, "set IPCCTL_DIR to a directory that you may write to")
    return IpcctlError(f"cannot {what} {path!r}: {error.strerror}; {remedy}")


# --- the objects of one kind


class Directory:
    """Where the objects of a kind are: a file each, NAME.KIND, in one directory.

    `directory` other than the runtime directory is for a kind that must lie elsewhere. Nothing is made before it must.
    """

    def __init__(self, kind: str, directory: str | None = None, above: bool = False) -> None:
        self.kind = kind
        self.directory = runtime_directory() if directory is None else directory
        self.above = above

    def path(self, name: str) -> str:
        """The file of an object. Raises BadInput for what is no name."""
        return f"{self.directory}/{checked_name(name)}.{self.kind}"

    def unfinished(self, name: str) -> str:
        """Where an object is while it is made."""
        return self.path(name) + UNFINISHED

    def names(self) -> list[str]:
        """The names there are, sorted; none where the directory is not there. Raises Refused."""
        try:
            check_private(self.directory)
            found = os.listdir(self.directory)
        except FileNotFoundError:
            return []
        end = f".{self.kind}"
        names = (each.removesuffix(end) for each in found if each.endswith(end))
        return sorted(filter(is_name, names))

    def open(self, name: str, flags: int = os.O_RDWR) -> int:
        """Open the file of an object. Raises NotThere, Refused."""
        path = self.path(name)
        try:
            check_private(self.directory)
            descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            raise self.not_there(name) from None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise Refused(f"{path!r} is no file that ipcctl made; remove it") from None
            raise cannot("open", path, error) from None
        if is_private(os.fstat(descriptor)):
            return descriptor
        os.close(descriptor)
        raise self.not_ours(name)

    def look(self, name: str) -> os.stat_result:
        """The file of an object (lstat(2)), for what opens it by name. Raises NotThere, Refused."""
        path = self.path(name)
        try:
            check_private(self.directory)
            found = os.lstat(path)
        except FileNotFoundError:
            raise self.not_there(name) from None
        if is_private(found):
            return found
        raise self.not_ours(name)

    def not_ours(self, name: str) -> Refused:
        """That the file is none that ipcctl made."""
        who = user_name(os.geteuid())
        return Refused(f"{self.path(name)!r} is no file that ipcctl made for {who} alone (0600); remove it")

    def not_there(self, name: str) -> NotThere:
        """That there is none, with those that there are."""
        there = self.names()
        some = ", ".join(there[:8]) + (", …" if there[8:] else "")
        others = f"there are: {some}" if there else "there is none at all"
        return NotThere(f"no {self.kind} {name!r} in {self.directory}; {others}")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock under which objects are made, replaced and removed; the directory is made if need be."""
        make_private(self.directory, self.above)
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            lock_file(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def make(self, name: str, fill: Callable[[str], None]) -> bool:
        """Make an object unless there is one by now; whether it was made. See `put`."""
        with self.locked():
            return not os.path.lexists(self.path(name)) and self.put(name, fill)

    def put(self, name: str, fill: Callable[[str], None]) -> bool:
        """Give the name to a new file, in place of one that has it; True. The lock is held by the caller.

        `fill` is given the path of the file, empty, 0600, and makes it whole: nobody sees it before it returns.
        """
        path = self.path(name)
        unfinished = self.unfinished(name)
        try:
            with contextlib.suppress(FileNotFoundError):  # of one that was killed
                os.unlink(unfinished)
            descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.fchmod(descriptor, 0o600)
            finally:
                os.close(descriptor)
            fill(unfinished)
            os.rename(unfinished, path)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(unfinished)
            raise (cannot("make", path, error) if isinstance(error, OSError) else error) from None
        return True

    def unlink(self, name: str) -> None:
        """Take the file of an object away. The lock is held by the caller. Raises NotThere."""
        try:
            os.unlink(self.path(name))
        except FileNotFoundError:
            raise self.not_there(name) from None

    def used(self, name: str) -> None:
        """Note that the object was used now: the modification time of its file."""
        with contextlib.suppress(OSError):
            os.utime(self.path(name))

    def facts(self, name: str) -> dict[str, Any]:
        """What `list` says of any object: name, owner, last used; {} when it is gone."""
        try:
            found = os.lstat(self.path(name))
        except FileNotFoundError:
            return {}
        return {"name": name, "owner": user_name(found.st_uid), "last_used": found.st_mtime}


class Registry:
    """The objects of a kind, as `list` and `remove` need them; semaphores, memory and queues are each one of these.

    A kind may have several places: a durable queue does not lie with the others. A name is one object in all of them.
    """

    def __init__(self, *places: Directory) -> None:
        self.places: Sequence[Directory] = places
        self.kind = places[0].kind

    def names(self) -> list[str]:
        """Every name, sorted."""
        return sorted({name for place in self.places for name in place.names()})

    def place_of(self, name: str) -> Directory:
        """Where the object is, or the first place when it is nowhere."""
        return next((place for place in self.places if os.path.lexists(place.path(name))), self.places[0])

    def rows(self) -> Iterator[dict[str, Any]]:
        """What `list` shows, a row an object; one that is gone meanwhile is left out."""
        for name in self.names():
            row = self.place_of(name).facts(name)
            if row:
                try:
                    row |= self.figures(name)
                except NotThere:
                    continue
                except IpcctlError as error:
                    row["problem"] = str(error)
                yield row

    def figures(self, name: str) -> dict[str, Any]:
        """What `list` shows of this kind, `created` among it. Raises Corrupted, which becomes the row's `problem`."""
        raise NotImplementedError

    def remove(self, name: str) -> None:
        """Take the object away, corrupted or not; those that wait for it are to see it. Raises NotThere."""
        place = self.place_of(name)
        if not os.path.lexists(place.directory):
            raise place.not_there(name)
        with place.locked():
            place.unlink(name)
