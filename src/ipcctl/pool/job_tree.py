"""What is known of a job's processes without an agent: itself and its descendants, and whether there are others."""

from __future__ import annotations

import os
from collections.abc import Collection

from ..process.procfs import Stat, is_own
from ..process.tree import all_below
from ..process.unseen import record_of, unseen_children


class JobTree:
    """A job and its descendants, for process/terminate.py: without those that have lost their parent.

    `pid` is None once the job was waited for.
    """

    def __init__(self, pid: int | None) -> None:
        self.pid = pid

    def found(self) -> list[Stat]:
        """Those that a scan finds, zombies too."""
        if self.pid is None:
            return []
        if not is_own():
            return unseen_children([self.pid])
        itself = record_of(self.pid, os.getpid())
        return [*([itself] if itself else []), *all_below(self.pid)]

    def has(self, found: Stat, parents: Collection[int]) -> bool:
        """Whether one that was just started is one of them."""
        return found.ppid in parents


class ChildCounter:
    """How many children the main thread has, told by one read of a file kept open.

    Orphans that fall to this process are among them; what its other threads started is not, for each has a list.
    """

    def __init__(self) -> None:
        try:
            self._file = os.open("/proc/thread-self/children", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # no /proc, or a kernel that was not configured for it
            self._file = -1

    def has_others(self, known: int) -> bool:
        """Whether there are others beside so many known ones; where nobody can tell, there may be."""
        if self._file < 0:
            return True
        count = start = 0
        while chunk := os.pread(self._file, 1 << 16, start):
            count += chunk.count(b" ")
            start += len(chunk)
            if start < 2048:  # the kernel hands out a page or less at a time
                break
        return count != known

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
