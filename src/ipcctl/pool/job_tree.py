"""Which processes are a job's: its whole tree, with those that called setsid and those whose parents are gone.

Who loses its parent falls to this process, a child subreaper; a mark that the kernel hands down says whose it is. The
mark is a limit that every process inherits, through fork, exec, setsid and a cleared environment: the soft limit on
real-time CPU time (getrlimit(2) RLIMIT_RTTIME), which is unlimited where nobody set it, and here so many thousand years
that it limits nobody, a different number for each job.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Collection

from ..process.procfs import Stat, children_of, is_own, path_of, read
from ..process.tree import all_below
from ..process.unseen import record_of, unseen_children

RTTIME = getattr(resource, "RLIMIT_RTTIME", 15)
MARKED = 1 << 62  # microseconds


class RlimitTag:
    """Sets the mark that the next started process gets, where marks are wanted; taken off again at the end."""

    def __init__(self, wanted: bool) -> None:
        self._before = resource.getrlimit(RTTIME)
        self._mine = MARKED | os.getpid() << 36
        self.usable = wanted and (self._before[0] == resource.RLIM_INFINITY or self._before[0] >= MARKED)

    def set(self, number: int) -> int | None:
        """Mark what is started next; returns the mark, None where the limit is used for what it is meant for."""
        if not self.usable:
            return None
        mark = self._mine | number
        try:
            resource.setrlimit(RTTIME, (mark, self._before[1]))
        except (OSError, ValueError):
            self.usable = False
            return None
        return mark

    def clear(self) -> None:
        """Take the mark off this process."""
        if self.usable:
            resource.setrlimit(RTTIME, self._before)


def mark_of(pid: int) -> int | None:
    """The mark that a process carries; None where there is none to be read."""
    try:
        return resource.prlimit(pid, RTTIME)[0]
    except (OSError, ValueError):  # another user's: /proc tells of those too
        for line in (read(path_of(pid, "limits")) or b"").splitlines():
            if line.startswith(b"Max realtime timeout"):
                soft = line.split()[3]
                return int(soft) if soft.isdigit() else None
    return None


class JobTree:
    """The processes of one job, for process/terminate.py; `pid` is the job's own, None once it was waited for."""

    def __init__(self, pid: int | None, mark: int | None) -> None:
        self.pid = pid
        self.mark = mark

    def heads(self) -> list[int]:
        """Those of it that are children of this process, zombies too: the job itself, and the orphans."""
        if not is_own():
            return [] if self.pid is None else [self.pid]
        return [pid for pid in children_of(os.getpid()) if self.has_child(pid)]

    def has_child(self, pid: int) -> bool:
        """Whether a child of this process is one of them."""
        return pid == self.pid or (self.mark is not None and mark_of(pid) == self.mark)

    def found(self) -> list[Stat]:
        """Those that a scan finds, zombies too."""
        heads = set(self.heads())
        if not heads or not is_own():
            return unseen_children(heads)
        found = [record_of(head, os.getpid()) for head in heads]
        return [each for each in found if each] + [each for head in heads for each in all_below(head)]

    def has(self, found: Stat, parents: Collection[int]) -> bool:
        """Whether one that was just started is one of them."""
        return found.ppid in parents or (found.ppid == os.getpid() and self.has_child(found.pid))


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
