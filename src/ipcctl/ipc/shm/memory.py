"""A value in shared memory: a file that every process maps (mmap(2)), a header of fixed size, then the C values.

    offset  C type      what
         0  char[8]     "ipcctlM1"
         8  char        the type of the values, by multiprocessing's code
         9  uint8_t     bytes of one value
        10  uint16_t    0
        12  uint32_t    CRC-32 of bytes 0 to 11 and 16 to 31
        16  uint64_t    bytes of a buffer, a multiple of 8
        24  int64_t     when it was made, in nanoseconds since 1970
        32  uint64_t    how many values are in buffer 0
        40  uint64_t    how many values are in buffer 1
        48  uint64_t    sequence: it changes with every write; its lowest bit is the buffer that is in use
        56  uint64_t    0
        64  values      buffer 0; buffer 1 follows it

All in the machine's byte order. Whoever writes holds flock(2) LOCK_EX on the file, whoever reads LOCK_SH; the kernel
takes it from a process that ends, however it ends. One value is written by one aligned store. Several are written into
the buffer that is not in use, and then the sequence, by one store: whoever is killed on the way has changed nothing.
Without the lock, too, one value is read whole; several are, if the sequence is the same before and after.

A store tells nobody. So the writer sets the file's times after it, which raises IN_ATTRIB (inotify(7)) for those that
wait; one that is killed between the two closes the file by that, which raises IN_CLOSE_WRITE.

When all values are to be others and take more room, another file takes the name. Whoever has the old one mapped finds
that it has no name any more: st_nlink of fstat(2) is 0, as after a removal.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
import time
from binascii import crc32
from collections.abc import Iterator

from ...errors import BadInput
from ...waiting import lock_file
from ..registry import Corrupted, cannot
from .ctype import NAMES, CType, Value

MAGIC = b"ipcctlM1"
HEADER = struct.Struct("=8scBHIQqQQQQ")
STATIC_BYTES = 32
COUNTS, SEQUENCE = 4, 6  # which 8-byte words of the header


def check_of(head: bytes) -> int:
    """The CRC-32 of what never changes in a header, but for the CRC itself."""
    return crc32(head[16:STATIC_BYTES], crc32(head[:12]))


def fill(path: str, ctype: CType, raw: bytes) -> None:
    """Make the file of a value whole. Raises OSError, also where the memory for it is not to be had."""
    capacity = max(-(-len(raw) // 8), 1) * 8
    count = len(raw) // ctype.size
    fields = [MAGIC, ctype.code.encode(), ctype.size, 0, 0, capacity, time.time_ns(), count, 0, 0, 0]
    fields[4] = check_of(HEADER.pack(*fields))
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        # Now, or a page that the file system has no room for would be a SIGBUS when it is written to.
        os.posix_fallocate(descriptor, 0, HEADER.size + 2 * capacity)
        write_all(descriptor, HEADER.pack(*fields) + raw)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, raw: bytes) -> None:
    """Write from the beginning of a file."""
    at = 0
    while at < len(raw):
        at += os.pwrite(descriptor, memoryview(raw)[at:], at)


class Memory:
    """The file of a value, open and mapped; the descriptor is this object's from now on.

    Raises Corrupted where it is not what `fill` has made.
    """

    def __init__(self, descriptor: int, path: str, writable: bool = True) -> None:
        self.descriptor = descriptor
        self.path = path
        try:
            self.size, head = os.fstat(descriptor).st_size, os.pread(descriptor, HEADER.size, 0)
            self.ctype, self.capacity, self.created_ns = self._checked(head)
            access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
            self.map = mmap.mmap(descriptor, self.size, access=access)
        except BaseException as error:
            os.close(descriptor)
            raise (cannot("map", path, error) if isinstance(error, OSError) else error) from None
        self.bytes = memoryview(self.map)
        self.words = self.bytes[: HEADER.size].cast("Q")
        OPENED.add(self)

    def _checked(self, head: bytes) -> tuple[CType, int, int]:
        """The type, the bytes of a buffer, and when it was made, of a header that is in order."""
        if len(head) < HEADER.size:
            raise self.corrupted(f"it has {len(head)} bytes, less than its header")
        magic, code, size, _, check, capacity, created_ns, *_ = HEADER.unpack(head)
        if magic != MAGIC:
            raise self.corrupted(f"it begins with {magic!r}, not {MAGIC!r}")
        if check != check_of(head):
            raise self.corrupted("its header does not agree with its checksum")
        if self.size < HEADER.size + 2 * capacity:
            raise self.corrupted(f"it was cut to {self.size} bytes of {HEADER.size + 2 * capacity}")
        if code.decode("latin-1") not in NAMES:
            raise self.corrupted(f"there is no ctype {code!r}")
        ctype = CType(code.decode())
        if ctype.size != size:
            raise self.corrupted(f"its values have {size} bytes, and those of ctype {ctype} have {ctype.size} here")
        return ctype, capacity, created_ns

    def corrupted(self, why: str) -> Corrupted:
        """The error, with the remedy."""
        return Corrupted(f"the shared memory {self.path!r} is corrupted: {why}; `remove` takes it away")

    def close(self) -> None:
        """Unmap and close it, if it was not closed yet."""
        if self in OPENED:
            OPENED.remove(self)
            os.close(self.descriptor)
            self.words.release()
            self.bytes.release()
            self.map.close()

    @contextlib.contextmanager
    def locked(self, kind: int) -> Iterator[None]:
        """Hold the lock: fcntl.LOCK_EX for who writes, LOCK_SH for who reads."""
        lock_file(self.descriptor, kind)
        try:
            yield
        finally:
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    @property
    def is_open(self) -> bool:
        """Whether it was not closed: a forked child finds what its parent had opened closed."""
        return self in OPENED

    @property
    def is_current(self) -> bool:
        """Whether the file has its name yet: it was not removed, nor another put in its place. Raises Corrupted."""
        found = os.fstat(self.descriptor)
        if found.st_size < self.size:  # to touch what is mapped beyond the end would be a SIGBUS
            raise self.corrupted(f"it was cut to {found.st_size} bytes of {self.size}")
        return found.st_nlink > 0

    # --- under the lock

    @property
    def sequence(self) -> int:
        """The number that changes with every write."""
        return self.words[SEQUENCE]

    @property
    def count(self) -> int:
        """How many values there are. Raises Corrupted."""
        count = self.words[COUNTS + (self.sequence & 1)]
        if count * self.ctype.size > self.capacity:
            raise self.corrupted(f"{count} values of {self.ctype.size} bytes are said to be in {self.capacity}")
        return count

    @property
    def raw(self) -> memoryview:
        """The bytes of the values."""
        begin = HEADER.size + (self.sequence & 1) * self.capacity
        return self.bytes[begin : begin + self.count * self.ctype.size]

    def index(self, name: str, index: int | None) -> int:
        """The index meant; of one value it need not be given. Raises BadInput."""
        count = self.count
        if index is None:
            if count != 1:
                raise BadInput(f"{name!r} is an array of {count}; say which of them: {name}[INDEX], from 0")
            return 0
        if not 0 <= index < count:
            limit = f"the indexes are 0 to {count - 1}" if count else "the array is empty"
            raise BadInput(f"{name}[{index}] is outside: {limit}")
        return index

    def __getitem__(self, index: int) -> Value:
        with self.raw as raw, self.ctype.cells(raw) as cells:
            return self.ctype.shown(cells[index])

    def __setitem__(self, index: int, value: Value) -> None:
        """Change one value in its place, by one store."""
        with self.raw as raw, self.ctype.cells(raw) as cells:
            cells[index] = self.ctype.stored(value)
        self._written(2)

    def holds(self, raw: bytes) -> bool:
        """Whether there is room for so many bytes."""
        return len(raw) <= self.capacity

    def replace(self, raw: bytes) -> None:
        """Put other values in the place of all, at once; there must be room for them."""
        if len(raw) == self.ctype.size and self.count == 1:  # so a single value never moves
            self[0] = self.ctype.unpack(raw)[0]
            return
        other = ~self.sequence & 1
        begin = HEADER.size + other * self.capacity
        self.bytes[begin : begin + len(raw)] = raw
        self.words[COUNTS + other] = len(raw) // self.ctype.size
        self._written(1)

    def _written(self, step: int) -> None:
        """Give the sequence its next number, which is when other values count; and tell those that wait."""
        self.words[SEQUENCE] = (self.sequence + step) & (1 << 64) - 1
        os.utime(self.descriptor)


OPENED: set[Memory] = set()


def close_in_child() -> None:
    """A lock is its open file's: a child that had it too would hold the lock of a parent that was killed."""
    for each in tuple(OPENED):
        with contextlib.suppress(BufferError):  # another thread of the parent is in the middle of something
            each.close()


os.register_at_fork(after_in_child=close_in_child)
