"""Semaphores by their names: a file, and the kernel's set that it stands for; either may be lost without the other.

    NAME.sem   key ──► the set     both there: it is used
               key ──► nothing     ipcrm, or a reboot: the set is made anew
    nothing        ··· the set     the file was deleted: it is made anew, for the key is made from the name
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

from ...errors import BadInput, IpcctlError
from ...process.procfs import MOUNT
from ..registry import Corrupted, Directory, NotThere, Refused, Registry
from . import sysv
from .semaphore import SIZE, Removed, Semaphore, clear, create, find, identity_of, keys
from .sysv import Gone

FILE = "ipcctl semaphore 1\nkey {key:#x}\ncapacity {capacity}\ncreated {created:.3f}\nnamespace {namespace}\n"
LONGEST_FILE = 4096


class Record:
    """What is in the file. The capacity is the kernel's to know; here for when that has lost it."""

    def __init__(self, key: int, capacity: int, created: float, namespace: str) -> None:
        self.key = key
        self.capacity = capacity
        self.created = created
        self.namespace = namespace

    @classmethod
    def read(cls, place: Directory, name: str) -> Record:
        """The record of a name. Raises NotThere, Refused, Corrupted."""
        descriptor = place.open(name, os.O_RDONLY)
        try:
            text = os.read(descriptor, LONGEST_FILE).decode("ascii", "replace")
        finally:
            os.close(descriptor)
        try:
            values = dict(line.split(" ", 1) for line in text.splitlines())
            found = cls(int(values["key"], 16), int(values["capacity"]), float(values["created"]), values["namespace"])
            if FILE.format(**vars(found)) == text and 0 < found.capacity <= sysv.LARGEST and 0 < found.key < 1 << 31:
                return found
        except (ValueError, KeyError, OverflowError):
            pass
        raise Corrupted(f"{place.path(name)!r} is not as ipcctl wrote it; remove it: `remove {name}`")

    def write(self, path: str) -> None:
        """Write it into a file. Raises OSError."""
        with open(path, "w", encoding="ascii") as file:
            file.write(FILE.format(**vars(self)))


class Semaphores(Registry):
    """Those of this user. `told` is given a line on each whose other half was gone, and which was made anew."""

    def __init__(self, told: Callable[[str], None] = lambda line: None) -> None:
        self.place = Directory("sem")
        self.told = told
        super().__init__(self.place)

    def get(self, name: str) -> Semaphore:
        """The semaphore. Raises NotThere, Corrupted; Gone where the kernel has lost it."""
        return Semaphore(name, sysv.find(Record.read(self.place, name).key, SIZE))

    def get_or_make(self, name: str, capacity: int | None) -> Semaphore:
        """The semaphore, made with that capacity, or 1, if it is not there. Raises BadInput where it has another."""
        try:
            found = self.get(name)
        except (NotThere, Gone):
            found = self._made(name, capacity)
        self.place.used(name)
        if capacity is not None and (there := found.state().capacity) != capacity:
            raise BadInput(
                f"{name!r} has capacity {there}, and `slots` {capacity} was given; leave it out,"
                f" or change it: `resize {name} {capacity}`"
            )
        return found

    def get_or_remake(self, name: str) -> Semaphore:
        """The semaphore; where one half of it is gone, that is made anew. Raises NotThere, Corrupted."""
        try:
            return self.get(name)
        except Gone:
            return self._made(name, None)
        except NotThere:
            if self._orphan(name) is None:
                raise
            return self._made(name, None)

    def resize(self, name: str, capacity: int) -> None:
        """Change the capacity, in the kernel and for when that has lost it. Raises NotThere, BadInput."""
        found = self.get_or_remake(name)
        with self.place.locked():
            record = Record.read(self.place, name)
            found.resize(capacity)
            record.capacity = capacity
            self.place.put(name, record.write)

    def remove(self, name: str) -> None:
        """Remove it: those that wait for it are told, those that hold it run on. Raises NotThere."""
        if name not in self.place.names() and not self._ids(name):
            raise self.place.not_there(name)
        with self.place.locked():
            for id in self._ids(name):
                with contextlib.suppress(Gone):
                    sysv.remove(id)
            with contextlib.suppress(NotThere):
                self.place.unlink(name)

    def figures(self, name: str) -> dict[str, Any]:
        """Capacity, free, held, waiting, when it was made."""
        created = Record.read(self.place, name).created
        try:
            state = self.get(name).state()
        except (Gone, Removed):
            lost = "the kernel has lost it (ipcrm, or a reboot); its next use makes it anew"
            return {"created": created, "problem": lost}
        return {
            "capacity": state.capacity, "free": state.free, "held": state.held, "waiting": state.waiting,
            "created": created,
        }  # fmt: skip

    def _ids(self, name: str) -> set[int]:
        """What the kernel has for a name, by its file or without."""
        found = set()
        with contextlib.suppress(Corrupted, Gone, NotThere, Refused):
            found.add(self.get(name).id)
        if (orphan := self._orphan(name)) is not None:
            found.add(orphan[1])
        return found

    def _orphan(self, name: str) -> tuple[int, int] | None:
        """The key and ID of the kernel's set for a name, by the name alone."""
        identity = identity_of(self.place.directory, name)
        for key in keys(identity):
            with contextlib.suppress(Gone):
                if (id := find(key, identity)) is not None:
                    return key, id
        return None

    def _made(self, name: str, capacity: int | None) -> Semaphore:
        """Make what is missing of it, unless another did meanwhile; what was lost is told when the lock is let go."""
        with self.place.locked():
            try:
                return self.get(name)
            except NotThere:
                orphan = self._orphan(name)
                found, told = self._adopted(name, *orphan) if orphan else (self._new(name, capacity or 1), "")
            except Gone:
                lost = Record.read(self.place, name)
                check_namespace(name, lost)
                found = self._new(name, wanted := capacity or lost.capacity)
                told = f"the kernel had lost {name!r} (ipcrm, or a reboot); it was made anew, with capacity {wanted}"
        if told:
            self.told(told)
        return found

    def _new(self, name: str, capacity: int) -> Semaphore:
        """Both halves. The lock is held."""
        record = Record(0, capacity, time.time(), namespace())
        id = self._create(name, record)
        try:
            self.place.put(name, record.write)
        except BaseException:
            sysv.remove(id)
            raise
        return Semaphore(name, id)

    def _create(self, name: str, record: Record) -> int:
        """The kernel's part, under the first key that is free: returns its ID."""
        identity = identity_of(self.place.directory, name)
        for record.key in keys(identity):
            clear(record.key)
            with contextlib.suppress(FileExistsError):
                return create(record.key, record.capacity, identity)
        raise IpcctlError(f"the keys for {name!r} are all taken; use another name (ipcs -s shows those there are)")

    def _adopted(self, name: str, key: int, id: int) -> tuple[Semaphore, str]:
        """The file made anew for what the kernel still has; and that in words. The lock is held."""
        found = Semaphore(name, id)
        state = found.state()
        self.place.put(name, Record(key, state.capacity, time.time(), namespace()).write)
        told = f"the file of {name!r} was gone; it was made anew, with capacity {state.capacity}, {state.held} held"
        return found, told


def check_namespace(name: str, lost: Record) -> None:
    """Raise IpcctlError where it is not lost, but out of sight: then two would be called by one name."""
    if not (here := namespace()) or not lost.namespace:
        raise IpcctlError(
            f"the kernel does not have {name!r}, and without a /proc, now or when it was made, nobody can tell whether"
            f" it is in another IPC namespace (a container's); {MOUNT}, or remove it: `remove {name}`"
        )
    if lost.namespace != here:
        raise IpcctlError(
            f"{name!r} was made in another IPC namespace (a container's), or in one that is gone;"
            f" use another IPCCTL_DIR in each, or remove it: `remove {name}`"
        )


def namespace() -> str:
    """The IPC namespace that this process is in; "" where the kernel does not say."""
    try:
        return os.readlink("/proc/self/ns/ipc")
    except OSError:
        return ""
