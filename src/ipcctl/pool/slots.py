"""The slots that jobs run in: the lowest free one first, each with its pipes, made when first needed."""

from __future__ import annotations

import errno
import heapq
import os
from typing import TYPE_CHECKING

from .output import OutputStream

if TYPE_CHECKING:
    from ..process.agent import Agent
    from ..process.posix_spawn import Files
    from .job import Job
    from .wakeup import Wakeup

RESERVE = 24  # descriptors that are left for everything else


class Slot:
    """One slot: what a job in it is started with."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.streams: list[OutputStream] = []
        self.actions: list[tuple[int, int, int]] = []
        self.files: Files | None = None  # the same, prepared for threads that start jobs
        self.agent: Agent | None = None  # what runs its jobs, where their trees must be known
        self.job: Job | None = None  # what the agent has to run

    def __lt__(self, other: Slot) -> bool:
        return self.number < other.number


class Slots:
    """At most so many slots. `piped`: jobs write to pipes of ours, not to what we write to."""

    def __init__(self, most: int, piped: bool, wakeup: Wakeup, line_buffered: bool = False) -> None:
        self.most = most
        self.piped = piped
        self.line_buffered = line_buffered
        self.wakeup = wakeup
        self.streams: dict[int, OutputStream] = {}  # by the end that we read
        self.null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._free: list[Slot] = []
        self._made = 0
        self._highest = highest_descriptor()

    def any_free(self) -> bool:
        """Whether a job can be started."""
        return bool(self._free) or self._made < self.most

    def take(self) -> Slot:
        """The lowest free slot. Raises OSError (EMFILE, ENFILE) where there is no descriptor left for its pipes."""
        if self._free:
            if self.piped and not self._free[0].streams:
                self._pipe(self._free[0])
            return heapq.heappop(self._free)
        slot = Slot(self._made + 1)
        self._pipe(slot)
        self._made += 1
        return slot

    def give_back(self, slot: Slot) -> None:
        """The slot is free again."""
        heapq.heappush(self._free, slot)

    def no_more(self) -> bool:
        """Make do with the slots there are; False when there is none."""
        self.most = self._made
        return self._made > 0

    def leave_pipes(self, slot: Slot, tag: bytes) -> None:
        """A background process still has the write ends: keep reading, line by line, until it closes them."""
        for stream in slot.streams:
            stream.leave()
            stream.tag = tag
        slot.streams = []

    @property
    def some_are_left(self) -> bool:
        """Whether pipes are still held by somebody whom a job left behind."""
        return any(stream.writing < 0 for stream in self.streams.values())

    def ended(self, stream: OutputStream) -> None:
        """The last one who held on to a left pipe has closed it."""
        self.wakeup.forget(stream.reading)
        del self.streams[stream.reading]
        stream.close()

    def close(self) -> None:
        """Let go of everything."""
        for stream in list(self.streams.values()):
            self.ended(stream)
        os.close(self.null)

    def _pipe(self, slot: Slot) -> None:
        slot.streams = []
        try:
            for target in (1, 2) if self.piped else ():
                slot.streams.append(self._stream(target))
        except OSError:
            for each in slot.streams:
                self.ended(each)
            slot.streams = []
            raise
        slot.actions = [(os.POSIX_SPAWN_DUP2, self.null, 0)]
        slot.files = None
        slot.actions += [(os.POSIX_SPAWN_DUP2, each.writing, each.target) for each in slot.streams]

    def _stream(self, target: int) -> OutputStream:
        stream = OutputStream(target)
        stream.line_buffered = self.line_buffered
        self.streams[stream.reading] = stream
        self.wakeup.watch(stream.reading)
        if stream.writing > self._highest:
            self.ended(stream)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return stream


def highest_descriptor() -> float:
    """The highest that slots may use."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return float("inf") if limit == resource.RLIM_INFINITY else limit - RESERVE
