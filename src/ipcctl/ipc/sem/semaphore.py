"""A counting semaphore whose slots the kernel gives back when their holders end, however they end.

    a set of System V semaphores, changed by semop(2) alone, several at once
      slots      FLOOR + capacity - holders
      capacity
      holders
      identity   four that never change: a digest of the name, so that one is not taken for another

    take     slots - (FLOOR + 1), slots + FLOOR, holders + 1     waits until a slot is free; with SEM_UNDO
    settled  holders = 0, in the line of those that wait         waits until those before it have had their turn
    resize   slots ± d, capacity ± d

The adjustment that SEM_UNDO keeps belongs to one process, outlasts exec, is not inherited, and is made when it ends.

Slots are counted from FLOOR, because a semaphore is never below 0: so the capacity may be made smaller than there are
holders. What they give back when they end then fills the deficit first. And nobody's end can lift the count over the
capacity: each gives back the one slot that it took. (SETVAL would clear the adjustments of all.)

The kernel wakes those that wait in the order in which they came. See semop(2), semctl(2).
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...errors import BadInput, IpcctlError
from . import sysv
from .sysv import IPC_NOWAIT, SEM_UNDO, Gone, WouldBlock

SLOTS, CAPACITY, HOLDERS = range(3)
IDENTITY = 4  # so many more
SIZE = 3 + IDENTITY
FLOOR = 16383  # what is left of a short's range is the largest capacity that can be grown to


class Removed(IpcctlError):
    """The semaphore was removed while it was in use."""


class State:
    """What the kernel has on a semaphore, at one moment."""

    def __init__(self, values: Sequence[int], waiting: int) -> None:
        self.capacity = values[CAPACITY]
        self.held = values[HOLDERS]
        self.free = max(self.capacity - self.held, 0)
        self.floor = values[SLOTS] + self.held - self.capacity
        self.waiting = waiting


class Semaphore:
    """One that is there: `id` is the kernel's, `name` what it is called."""

    def __init__(self, name: str, id: int) -> None:
        self.name = name
        self.id = id

    def state(self) -> State:
        """What the kernel has on it now. Raises Removed."""
        try:
            return State(sysv.values(self.id, SIZE), sysv.waiting(self.id, SLOTS))
        except Gone:
            raise self.removed() from None

    def take(self, block: bool = True, deadline: float | None = None) -> bool:
        """Take a slot until this process ends; whether one came free by `deadline` (time.monotonic). Raises Removed."""
        flags = SEM_UNDO if block else SEM_UNDO | IPC_NOWAIT
        floor = self.state().floor
        taking = [(SLOTS, -(floor + 1), flags), (SLOTS, floor, SEM_UNDO), (HOLDERS, 1, SEM_UNDO)]
        if floor == 0:
            del taking[1]  # an operation of 0 would wait until there is no slot
        return self._operate(*taking, deadline=deadline)

    def wait_until_settled(self, deadline: float | None = None) -> bool:
        """Wait until nobody holds it, nor waits since before this; whether that came by `deadline`. Raises Removed."""
        return self._operate((HOLDERS, 0, 0), (HOLDERS, 1, 0), (HOLDERS, -1, 0), deadline=deadline)

    def resize(self, capacity: int) -> None:
        """Change the capacity; holders keep their slots. Raises BadInput for one that cannot be counted, Removed."""
        state = self.state()
        most = sysv.LARGEST - state.floor
        if capacity > most:
            raise BadInput(f"{self.name!r} can be resized up to {most}, not to {capacity}; remove it, and make it anew")
        more = capacity - state.capacity
        if more and not self._operate((SLOTS, more, IPC_NOWAIT), (CAPACITY, more, IPC_NOWAIT)):
            too_many = f"{self.name!r} is held {state.held} times, too often to count down to {capacity}"
            raise IpcctlError(f"{too_many}; wait until some have ended")

    def _operate(self, *operations: sysv.Operation, deadline: float | None = None) -> bool:
        try:
            sysv.operate(self.id, operations, deadline)
        except WouldBlock:
            return False
        except Gone:
            raise self.removed() from None
        return True

    def removed(self) -> Removed:
        """That it was removed meanwhile."""
        return Removed(f"{self.name!r} was removed meanwhile; whoever waits for it begins anew")


def create(key: int, capacity: int, identity: Sequence[int]) -> int:
    """Make a set with that many free slots; returns its ID. Raises FileExistsError for a key that is taken."""
    floor = min(FLOOR, sysv.LARGEST - capacity)
    return sysv.create(key, (floor + capacity, capacity, 0, *identity))


def find(key: int, identity: Sequence[int]) -> int | None:
    """The ID of the set with that key and identity; None when another has the key. Raises Gone when nobody has it."""
    id = sysv.find(key, SIZE)
    return id if tuple(sysv.values(id, SIZE)[-IDENTITY:]) == tuple(identity) else None


def clear(key: int) -> None:
    """Remove a set with nothing in it: who made it was killed meanwhile. For who holds the lock under which all do."""
    try:
        id = sysv.find(key, SIZE)
        if not any(sysv.values(id, SIZE)):
            sysv.remove(id)
    except Gone:
        pass


def keys(identity: Sequence[int]) -> list[int]:
    """The keys to try for that identity: another may have the first by chance."""
    high, low = identity[0] << 15 | identity[1], identity[2] << 15 | identity[3]
    return [((high + i * (low | 1)) & 0x3FFFFFFF) + 1 for i in range(16)]


def identity_of(place: str, name: str) -> tuple[int, ...]:
    """Four numbers of 15 bits, none of them 0, that stand for a user's name in a directory."""
    import hashlib

    digest = hashlib.blake2b(f"{os.geteuid()}\0{place}\0{name}".encode("utf-8", "surrogateescape"), digest_size=8)
    raw = digest.digest()
    return tuple((raw[i] << 8 | raw[i + 1]) & 0x7FFF or 1 for i in range(0, 8, 2))
