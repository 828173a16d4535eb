"""Carry bytes from one descriptor to another without copying them, and hear of signals meanwhile.

    writer ─► pipe ─► source ══ splice(2) ══► sink ─► pipe ─► reader
                        │                      │
                 empty: wait for POLLIN   full: wait for POLLOUT;  POLLERR at any time: the reader is gone

One process serves every link, in one loop. What cannot be spliced (a file opened for append, a terminal) is read and
written instead. Nothing is ever read that cannot be written at once, or is not held until it can: no byte is lost but
those that no reader is left for, as with any pipe.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import stat
import struct
import termios
import time
from collections.abc import Callable, Iterable
from typing import NoReturn, Protocol

from ... import waiting
from ...errors import IpcctlError
from ...process.polled import Polled
from ...process.signals import FORWARDED

PIPE_BYTES = 1 << 20  # the most that an unprivileged process's pipe may hold, by default (pipe(7))
AT_ONCE = PIPE_BYTES  # the most that one splice moves
PASSES = 16  # splices of one link before the others have their turn
# Where bytes come in bulk, the relay lets them gather for a moment, while writer and reader work on: woken for each
# page it would cost more than it moves. The pipes hold more than passes meanwhile; where they are small it never is so.
BULK_BYTES, PAUSE_S = 1 << 18, 0.00015
NON_BLOCKING = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE
COPIED_AT_ONCE = 1 << 17
# What may be written where poll(2) says so, and does not block: any amount to a file, PIPE_BUF to a pipe, and to a
# terminal what the kernel has room for when it says that it has some.
TO_FILE, TO_PIPE, TO_TERMINAL = COPIED_AT_ONCE, select.PIPE_BUF, 256
GONE = select.POLLERR | select.POLLHUP

INPUT_ENDED = "input ended"
READER_GONE = "reader gone"


class InputFailed(IpcctlError):
    """The source cannot be read."""


class SinkFailed(IpcctlError):
    """The sink cannot be written, for another reason than that its reader is gone."""


class Link:
    """Bytes on their way from one descriptor to another.

    `full` says what it waits for where it can move nothing: room in the sink, or else more from the source. `ended` is
    None while it lives, then why it ended. `not_before` is the moment until which it is to rest.
    """

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self.sink = sink
        self.moved_bytes = 0
        self.full = False
        self.ended: str | None = None
        self.resume_at = 0.0
        self._move = self._splice
        self._ready = select.poll()
        self._ready.register(source, select.POLLIN)
        self._held = memoryview(b"")
        self._written_at_once = 0

    def transfer(self) -> None:
        """Move what can be moved without waiting, or so much that the others should have a turn."""
        try:
            for _ in range(PASSES):
                count = self._move(self.allowed())
                if count == 0:
                    break
                self.moved_bytes += count
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.ended = READER_GONE

    def allowed(self) -> int:
        """How many bytes may be moved at once, now. Raises BlockingIOError, `not_before` set, for none."""
        return AT_ONCE

    def _splice(self, most: int) -> int:
        """Some bytes, moved; 0 at the end. Raises BlockingIOError, with `full` set, BrokenPipeError."""
        try:
            count = os.splice(self.source, self.sink, most, flags=NON_BLOCKING)
        except BlockingIOError:
            self.full = self.has_input()
            raise
        except BrokenPipeError:
            raise
        except OSError:  # EINVAL: not between these two; for any other reason, who it is that fails shows here, too
            self._move = self._copy
            self._written_at_once = written_at_once(self.sink)
            return self._copy(most)
        if count == 0:
            self.ended = INPUT_ENDED
        return count

    def _copy(self, most: int) -> int:
        """As `_splice`, by reading and writing: one read, and one write that does not block."""
        if not self._held:
            if not self.has_input():
                self.full = False
                raise BlockingIOError
            self._held = memoryview(read_some(self.source, min(most, COPIED_AT_ONCE)))
            if not self._held:
                self.ended = INPUT_ENDED
                return 0
        if not has_room(self.sink):
            self.full = True
            raise BlockingIOError
        count = write_some(self.sink, self._held[: self._written_at_once])
        self._held = self._held[count:]
        return count

    def has_input(self) -> bool:
        """Whether the source has bytes, or is at its end."""
        return bool(self._ready.poll(0))


def has_room(sink: int) -> bool:
    """Whether something can be written without waiting, or fails at once."""
    return bool(poll_one(sink, select.POLLOUT))


def poll_one(descriptor: int, events: int) -> int:
    """Which of the events, or errors, there are now."""
    poller = select.poll()
    poller.register(descriptor, events)
    found = poller.poll(0)
    return found[0][1] if found else 0


def written_at_once(sink: int) -> int:
    """How much a write takes without blocking, where poll(2) says that there is room."""
    if os.isatty(sink):
        return TO_TERMINAL
    return TO_FILE if stat.S_ISREG(os.fstat(sink).st_mode) else TO_PIPE


def read_some(source: int, most: int) -> bytes:
    """What there is. Raises InputFailed."""
    try:
        return waiting.read_some(source, most)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno == errno.EIO and os.isatty(source):  # the other end of a pseudo-terminal was closed
            return b""
        raise InputFailed(f"cannot read {named(source)}: {error.strerror}; give it an open file or a pipe") from None


def write_some(sink: int, data: memoryview) -> int:
    """How much of it was written. Raises SinkFailed, BrokenPipeError."""
    try:
        return waiting.write_some(sink, data)
    except (BlockingIOError, BrokenPipeError):
        raise
    except OSError as error:
        fail_to_write(sink, error)


def fail_to_write(sink: int, error: OSError) -> NoReturn:
    """Raise SinkFailed, with the remedy."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "free some space" if full else "give it an open file, a pipe or a terminal"
    raise SinkFailed(f"cannot write {named(sink)}: {error.strerror}; {remedy}") from None


def named(descriptor: int) -> str:
    """A descriptor in words."""
    return {0: "standard input", 1: "standard output"}.get(descriptor, f"descriptor {descriptor}")


def waiting_bytes(pipe: int) -> int:
    """How many bytes wait in a pipe, seen from either end (FIONREAD, pipe(7)); 0 for what is no pipe."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0])
    except OSError:
        return 0


def set_capacity(pipe: int, size: int) -> None:
    """Let a pipe hold so many bytes, where we may have that much (F_SETPIPE_SZ, pipe(7)); else it stays as it is."""
    with contextlib.suppress(OSError):  # an unprivileged user's pipes hold so much together and no more; or no pipe
        if capacity(pipe) < size:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, size)  # type: ignore[attr-defined,unused-ignore]


def capacity(pipe: int) -> int:
    """How many bytes a pipe holds at most (F_GETPIPE_SZ). Raises OSError for what is no pipe."""
    return fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)  # type: ignore[attr-defined,no-any-return,unused-ignore]


class Periodic(Protocol):
    """Something to be done at a moment, which it names: `due`, by time.monotonic."""

    due: float

    def look(self, now: float) -> None:
        """Do it, and set `due`."""


class Relay(Polled):
    """Signals, to be waited for while links carry bytes.

    `on_end` hears of a link that ended, its descriptors open still. `ours` says that they are to be closed then: it is
    how writer and reader learn of it.
    """

    def __init__(
        self, on_end: Callable[[Link], None], ours: bool = True, wanted: Iterable[int] = FORWARDED
    ) -> None:
        super().__init__(wanted)
        self.on_end = on_end
        self.ours = ours
        self.periodic: list[Periodic] = []
        self._by_descriptor: dict[int, Link] = {}
        self._resting: set[Link] = set()
        self._much = False  # was moved by one link at once

    def __exit__(self, *what_happened: object) -> None:
        for link in self.links:
            self.abandon(link)
        super().__exit__(*what_happened)

    @property
    def links(self) -> set[Link]:
        """Those that live."""
        return set(self._by_descriptor.values())

    @property
    def descriptors(self) -> set[int]:
        """All that it needs to go on: the links' and its own."""
        return {self._descriptor, *self._by_descriptor}

    def add(self, link: Link) -> None:
        """Let it carry bytes from now on."""
        self._by_descriptor[link.source] = self._by_descriptor[link.sink] = link
        self._serve(link)

    # --- what Polled calls

    def ready(self, found: list[tuple[int, int]]) -> bool:
        """Serve the links that these descriptors are of."""
        for descriptor, events in found:
            link = self._by_descriptor.get(descriptor)
            if link is None:
                continue
            if descriptor == link.sink and events & GONE:
                link.ended = READER_GONE
            self._serve(link)
        if self._much:
            self._much = False
            select.select([self._descriptor], [], [], PAUSE_S)
        return False

    def moment(self, now: float) -> None:
        """Wake the links that have rested, and do what is to be done now and then."""
        for link in [each for each in self._resting if now >= each.resume_at]:
            self._serve(link)
        for each in self.periodic:
            if now >= each.due:
                each.look(now)
        self.plan()

    def stop_looking(self) -> None:
        """Do nothing now and then any more; the links are served still."""
        self.periodic.clear()
        self.plan()

    def plan(self) -> None:
        """Set the moment at which the next thing is to be done."""
        moments = [each.due for each in self.periodic] + [each.resume_at for each in self._resting]
        self.due = min(moments, default=float("inf"))

    # ---

    def _serve(self, link: Link) -> None:
        if link.ended is None:
            before = link.moved_bytes
            link.transfer()
            self._much = self._much or link.moved_bytes - before >= BULK_BYTES
        if link.ended is not None:
            self._end(link)
        elif link.resume_at > time.monotonic():
            self._resting.add(link)
            self.want(link.source, None)
            self.want(link.sink, 0)
            self.plan()
        else:
            self._resting.discard(link)
            self.want(link.source, None if link.full else select.POLLIN)
            self.want(link.sink, select.POLLOUT if link.full else 0)

    def _end(self, link: Link) -> None:
        self.on_end(link)
        self.abandon(link)

    def abandon(self, link: Link) -> None:
        """Carry no more for it."""
        self._resting.discard(link)
        for each in (link.source, link.sink):
            self._by_descriptor.pop(each, None)
            self.want(each, None)
            if self.ours:
                os.close(each)

    def settle(self) -> None:
        """Serve every link once more, without waiting: those end that have lost their writer or their reader."""
        for link in self.links:
            if poll_one(link.sink, 0) & GONE:
                link.ended = READER_GONE
            self._serve(link)
