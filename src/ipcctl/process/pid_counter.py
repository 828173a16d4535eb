"""The PIDs given out since the last look: what is new on the machine, without reading all that is there.

The kernel gives out PIDs one after the other, and begins anew at the highest. Where it shows no counter (/proc mounted
with subset=pid), all PIDs are listed, and compared with those of the last look. Where a container shows one that stands
still, that must be found out by who uses this.
"""

from __future__ import annotations

import os
from collections.abc import Collection

from .procfs import pids

COUNTERS = ("/proc/sys/kernel/ns_last_pid", "/proc/loadavg")  # the first is there in most kernels
TRY_EACH = 256  # up to so many PIDs may be tried one by one; with more, /proc is listed


class PidCounter:
    """The PID that was given out last in this PID namespace, and those since the last look. Close it after use."""

    def __init__(self) -> None:
        self._counter = open_counter()
        self._seen = frozenset(pids()) if self._counter is None else frozenset()
        self.last = self.read()

    def close(self) -> None:
        """Close the counter's file."""
        if self._counter is not None:
            os.close(self._counter)

    def read(self) -> int:
        """The newest PID there is, or was; 0 where there is no counter."""
        return 0 if self._counter is None else int(os.pread(self._counter, 128, 0).split()[-1])

    def new_pids(self) -> Collection[int]:
        """The PIDs given out since this was asked last; a process of that PID may or may not be there."""
        if self._counter is None:
            before, self._seen = self._seen, frozenset(pids())
            return self._seen - before
        last, self.last = self.last, self.read()
        if last == self.last:
            return ()
        if last < self.last <= last + TRY_EACH:
            return range(last + 1, self.last + 1)
        if last < self.last:
            return [pid for pid in pids() if last < pid <= self.last]
        return [pid for pid in pids() if pid > last or pid <= self.last]


def open_counter() -> int | None:
    """Open a file whose last word is the newest PID; None where there is none to be read."""
    for path in COUNTERS:
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, PermissionError):
            continue
    return None
