"""Shared values by name: set, get, add, compare and swap, wait. Each is atomic to every other process.

    ipcctl shm add hits 1 ─┐                                         ┌─ ipcctl shm wait hits --until '>=10'
    Shared("hits").add(1) ─┴─► /dev/shm/ipcctl-UID-…/hits.shm ───────┴─ any program that maps the file

    with Shared("hits") as hits:
        hits.add(1)
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from binascii import crc32
from collections.abc import Callable, Iterator
from math import isinf
from typing import Any

from ...errors import EXIT_TIMED_OUT, BadInput, IpcctlError
from ...waiting import lock_file
from ..registry import UNFINISHED, Directory, NotThere, Registry, cannot, check_private, make_private, runtime_directory
from .ctype import INTEGER, MOST_DIGITS, CType, OutOfRange, Value, text_of
from .memory import Memory, fill

BASE = "/dev/shm"
FIRST_SHOWN = 8


class TimedOut(IpcctlError):
    """The condition was not met before the deadline."""

    status = EXIT_TIMED_OUT


class SharedMemory(Directory):
    """Where shared values are: in a directory of /dev/shm, one for each directory that named objects can be in.

    That one is checked as well: who is refused there finds nothing here.
    """

    def __init__(self) -> None:
        self.named_in = runtime_directory()
        super().__init__("shm", f"{BASE}/ipcctl-{os.geteuid()}-{crc32(os.fsencode(self.named_in)):08x}")

    def open(self, name: str, flags: int = os.O_RDWR) -> int:
        """As any place has it."""
        self._check()
        return super().open(name, flags)

    def names(self) -> list[str]:
        """As any place has it."""
        self._check()
        return super().names()

    def _check(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            check_private(self.named_in)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """As any place has it. The directory goes with the last value in it, and may go while we wait for the lock."""
        make_private(self.named_in)
        if not os.access(BASE, os.W_OK | os.X_OK):
            raise IpcctlError(f"there is no {BASE} that may be written to, where shared memory is; mount a tmpfs there")
        descriptor = None
        while descriptor is None:
            descriptor = self._locked_directory()
        try:
            yield
        finally:
            self._tidy()
            os.close(descriptor)

    def _locked_directory(self) -> int | None:
        """The directory, made if need be, and locked; None where somebody took it away meanwhile."""
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.directory, 0o700)
                os.chmod(self.directory, 0o700)  # a umask may have taken from it
            check_private(self.directory)
            descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise cannot("make the directory", self.directory, error) from None
        try:
            lock_file(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def _tidy(self) -> None:
        """Take away what those left that were killed while they made something; and the directory, if it is empty."""
        with contextlib.suppress(OSError):
            for each in os.listdir(self.directory):
                if each.endswith(UNFINISHED):
                    os.unlink(f"{self.directory}/{each}")
            os.rmdir(self.directory)


class SharedValues(Registry):
    """All of them, for `list` and `remove`."""

    def __init__(self) -> None:
        super().__init__(SharedMemory())

    def figures(self, name: str) -> dict[str, Any]:
        """Type, number of values, the first of them, size, file. Raises Corrupted."""
        place = self.place_of(name)
        memory = Memory(place.open(name, os.O_RDONLY), place.path(name), writable=False)
        try:
            with memory.locked(fcntl.LOCK_SH):
                count = memory.count
                first = [memory[index] for index in range(min(count, FIRST_SHOWN))]
        finally:
            memory.close()
        joint = "" if memory.ctype.is_text else " "
        return {
            "ctype": memory.ctype.code,
            "values": count,
            "value": joint.join(map(text_of, first)) + ("…" if count > FIRST_SHOWN else ""),
            "size_bytes": memory.size,
            "path": memory.path,
            "created": memory.created_ns / 1e9,
        }


class Shared:
    """One shared value, by its name, opened when it is first used. For one thread; a forked child opens it anew."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.place = SharedMemory()
        self.path = self.place.path(name)
        self._memory: Memory | None = None

    def __enter__(self) -> Shared:
        return self

    def __exit__(self, *what_happened: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    # --- what is done with it

    def get(self, index: int | None = None) -> list[Value]:
        """All values, or the one. Raises NotThere, Corrupted, BadInput."""
        with self._reading() as memory:
            self.place.used(self.name)
            if index is None:
                return self._unpacked(memory)
            return [memory[memory.index(self.name, index)]]

    def get_bytes(self) -> bytes:
        """All values as C has them."""
        with self._reading() as memory, memory.raw as raw:
            self.place.used(self.name)
            return bytes(raw)

    @property
    def ctype(self) -> CType:
        """The type of the values. Raises NotThere."""
        with self._reading() as memory:
            return memory.ctype

    def set(self, ctype: CType, raw: bytes) -> None:
        """Let it hold these values, all at once; it is made if it is not there. Raises BadInput for another ctype."""
        while True:
            try:
                with self._writing() as memory:
                    self._check_ctype(memory, ctype)
                    if memory.holds(raw):
                        memory.replace(raw)
                        return
                if self._grown(ctype, raw):
                    return
            except NotThere:
                if self._made(ctype, raw):
                    return

    def store(self, text: str, index: int | None = None) -> None:
        """Let one of the values be another, given as text."""
        with self._writing() as memory:
            memory[memory.index(self.name, index)] = memory.ctype.parse(text)

    def add(self, amount: str | int | float, index: int | None = None, otherwise: CType | None = None) -> Value:
        """Add a number, which may be given as text; the sum. With `otherwise` it is made, of that type, if need be.

        Raises OutOfRange, and changes nothing, for a sum that the type does not hold.
        """
        text = str(amount)
        while True:
            try:
                with self._writing() as memory:
                    return self._added(memory, text, index)
            except NotThere:
                if otherwise is None or index is not None:
                    raise
                value = otherwise.parse(text)
                if self._made(otherwise, otherwise.pack([value])):
                    return value

    def _added(self, memory: Memory, text: str, index: int | None) -> Value:
        ctype, at = memory.ctype, memory.index(self.name, index)
        if ctype.is_text:
            raise BadInput(f"{self.name!r} holds ctype {ctype}, which is no number: nothing can be added to it")
        before: Any = memory[at]
        try:
            amount = amount_of(text, ctype)
            total = before + amount
            if isinf(total) and not isinf(before) and not isinf(amount):
                raise ctype.out_of_range("the sum")
            memory[at] = total = ctype.fitting(total)
        except OutOfRange as error:
            what = self.name if index is None else f"{self.name}[{index}]"
            raise OutOfRange(f"{what} is {before!r}, plus {text[:40]}: {error}; nothing was changed") from None
        return total

    def cas(self, old: str, new: str, index: int | None = None) -> tuple[bool, Value]:
        """Let it be `new` if it is `old`, both given as text: whether it was, and the value that it has now."""
        with self._writing() as memory:
            index = memory.index(self.name, index)
            expected, wanted = memory.ctype.parse(old), memory.ctype.parse(new)
            found = memory[index]
            if found != expected:
                return False, found
            memory[index] = wanted
            return True, wanted

    def wait(
        self, holds: Callable[[CType, Value], bool], index: int | None = None, deadline: float | None = None
    ) -> Value:
        """Sleep until the value is one for which `holds` is true; that value.

        Raises TimedOut once `deadline` (time.monotonic) has passed, NotThere when it is removed meanwhile.
        """
        from ..inotify import Inotify

        memory = self._opened(os.O_RDONLY)
        while True:
            with Inotify(memory.descriptor, memory.path) as watch:
                while memory.is_current:
                    with memory.locked(fcntl.LOCK_SH):
                        value = memory[memory.index(self.name, index)]
                    if holds(memory.ctype, value):
                        return value
                    if not watch.wait(deadline):
                        raise TimedOut(f"{self.name!r} is {text_of(value)}, and the time is over")
            try:
                memory = self._open(os.O_RDONLY)
            except NotThere:
                raise NotThere(f"the shm {self.name!r} was removed while this waited for it") from None

    # --- opening it, and being alone with it

    def _open(self, flags: int) -> Memory:
        self.close()
        self._memory = Memory(self.place.open(self.name, flags), self.path, flags == os.O_RDWR)
        self._flags = flags
        return self._memory

    def _opened(self, flags: int) -> Memory:
        """It, open for that."""
        memory = self._memory
        if memory is None or not memory.is_open or (flags == os.O_RDWR and self._flags != flags):
            return self._open(flags)
        return memory

    @contextlib.contextmanager
    def _using(self, flags: int, kind: int) -> Iterator[Memory]:
        memory = self._opened(flags)
        while True:
            with memory.locked(kind):
                if memory.is_current:
                    yield memory
                    return
            memory = self._open(flags)

    def _writing(self) -> contextlib.AbstractContextManager[Memory]:
        return self._using(os.O_RDWR, fcntl.LOCK_EX)

    def _reading(self) -> contextlib.AbstractContextManager[Memory]:
        return self._using(os.O_RDONLY, fcntl.LOCK_SH)

    def _unpacked(self, memory: Memory) -> list[Value]:
        with memory.raw as raw:
            return memory.ctype.unpack(raw)

    def _made(self, ctype: CType, raw: bytes) -> bool:
        """Make it; False where somebody else has by now."""
        return self.place.make(self.name, lambda path: fill(path, ctype, raw))

    def _check_ctype(self, memory: Memory, ctype: CType) -> None:
        if memory.ctype.code != ctype.code:
            remedy = f"give `ctype` {memory.ctype.code}, or `remove {self.name}` first"
            raise BadInput(f"{self.name!r} holds ctype {memory.ctype}, not {ctype}; {remedy}")

    def _grown(self, ctype: CType, raw: bytes) -> bool:
        """Put a larger file in the place of the one that is there; False where that is gone meanwhile.

        Who waits for the lock on the one that was there finds its name gone, and opens the new one.
        """
        with self.place.locked(), contextlib.suppress(NotThere), self._writing() as memory:
            self._check_ctype(memory, ctype)
            return self.place.put(self.name, lambda path: fill(path, ctype, raw))
        return False


def amount_of(text: str, ctype: CType) -> int | float:
    """What is to be added: to an unsigned type also what is less than 0. Raises BadInput."""
    if ctype.is_real:
        return float(CType("d").parse(text))
    if not INTEGER.fullmatch(text):
        raise BadInput(f"{text[:40]!r} is no integer; the ctype is {ctype}")
    if len(text) > MOST_DIGITS:
        raise ctype.out_of_range(text)
    return int(text)
