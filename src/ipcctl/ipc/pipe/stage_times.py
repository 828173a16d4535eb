"""Who waits for whom in a pipeline: looked at now and then, while the bytes flow.

    its input is empty, and it reads or waits   ─► starved
    its output is full, and it writes or waits  ─► blocked
    anything else                               ─► busy: computing, sleeping, waiting for a disk or for a processor

What a stage does is what its first process does: where /proc/PID/syscall may be read, a stage that sleeps of its own
accord is not taken for one that waits for input. The looks are spaced unevenly, lest they keep step with a stage, and
by what they cost.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import time
from collections.abc import Sequence

from ...process.procfs import NoProc, path_of
from .relay import Link, Periodic, capacity, poll_one, waiting_bytes

BUSY, STARVED, BLOCKED = "busy", "starved", "blocked"
AT_FIRST_EVERY_S, AT_FIRST_S, EVERY_S = 0.002, 0.1, 0.01
SPACING = 50  # a look that took so long is followed by so many times that without one
UNOBSERVED_S = 1.0  # after a longer gap we did not run (Ctrl-Z, a suspended machine): nobody's time

# System calls by machine: read, write, nanosleep, clock_nanosleep, select, pselect6.
SYSCALLS = {
    "x86_64": (0, 1, 35, 230, 23, 270),
    "aarch64": (63, 64, 101, 115, 72, 72),
    "riscv64": (63, 64, 101, 115, 72, 72),
}
READS, WRITES, SLEEPS, SELECTS, RUNS, UNKNOWN = "reads", "writes", "sleeps", "selects", "runs", "unknown"

CLEAR = 2 / 3  # a bottleneck is busy for that part of the time at least, and every other for no more than that of its


class StageTimes:
    """One stage: its links, and its time by what it spent it on. A link of None is ipcctl's own stdin or stdout.

    `starved_s` is None where it cannot be known whether the stage wants any of ipcctl's own stdin.
    """

    def __init__(self, received: Link | None, sent: Link | None) -> None:
        self.received = received
        self.sent = sent
        self.pid: int | None = None  # while it runs
        self.busy_s = 0.0
        self.starved_s: float | None = 0.0
        self.blocked_s = 0.0
        self.received_bytes: int | None = None
        self.sent_bytes: int | None = None
        self.unread: int | None = None  # the reading end of its input, kept to see what it leaves there
        self.last = BUSY  # what it was seen to do
        self._unsure = False
        self._unsure_s = 0.0
        self._since = 0.0
        self._may_read_unseen = received is None and not os.isatty(0)
        self._capacity = 0
        if sent is not None:
            with contextlib.suppress(OSError):
                self._capacity = capacity(sent.source)

    def began(self, pid: int, when: float) -> None:
        """The stage was started then, by time.monotonic."""
        self.pid = pid
        self._since = when

    def ended(self) -> None:
        """The stage was waited for."""
        self._count()
        self.pid = None
        if self.unread is not None and self.received_bytes is not None:
            self.received_bytes -= waiting_bytes(self.unread)
            os.close(self.unread)

    def look(self) -> None:
        """Count the time since the last look for what the stage does now."""
        if self.pid is not None:
            self._unsure = False
            self.last = self.doing()
            self._count()

    def _count(self) -> None:
        now = time.monotonic()
        passed, self._since = now - self._since, now
        if passed >= UNOBSERVED_S:
            return
        if self.last == BLOCKED:
            self.blocked_s += passed
        elif self.last == STARVED and self.starved_s is not None:
            self.starved_s += passed
        else:
            self._unsure_s += passed if self._unsure else 0.0
            self.busy_s += passed

    def round(self) -> None:
        """Round the times to microseconds, for the report; what is not known of most of the time is not known."""
        if self._unsure_s > self.busy_s / 2:
            self.starved_s = None
        self.busy_s, self.blocked_s = round(self.busy_s, 6), round(self.blocked_s, 6)
        self.starved_s = None if self.starved_s is None else round(self.starved_s, 6)

    def doing(self) -> str:
        """Busy, starved or blocked."""
        assert self.pid is not None
        empty, full = self.input_is_empty(), self.output_is_full()
        act = activity(self.pid) if empty or full else RUNS
        if act in (RUNS, SLEEPS):
            return BUSY
        if act == WRITES and full:
            return BLOCKED
        if empty and self.received is None and act == UNKNOWN:
            self._unsure = self._may_read_unseen
            return BLOCKED if full else BUSY
        if act != WRITES and empty:
            return BLOCKED if full and act != READS else STARVED
        return BLOCKED if full and act == UNKNOWN else BUSY

    def input_is_empty(self) -> bool:
        """Whether there is nothing to read, and more may come."""
        link = self.received
        if link is None:
            return not poll_one(0, select.POLLIN)
        return link.ended is None and waiting_bytes(link.sink) == 0

    def output_is_full(self) -> bool:
        """Whether there is no room for more; between stages, where a pipe is at least half full and nothing moves on.

        A pipe is full when its pages are used, however little of each: by half at worst, of writes of all sizes.
        """
        link = self.sent
        if link is None:
            return not poll_one(1, select.POLLOUT)
        return link.ended is None and waiting_bytes(link.source) * 2 >= self._capacity


@functools.cache
def known_calls() -> tuple[int, ...]:
    """The numbers of the system calls of SYSCALLS on this machine; none where they are not known."""
    return SYSCALLS.get(os.uname().machine, ())


def activity(pid: int) -> str:
    """What the process's first thread does: the system call that it waits in, or RUNS (proc(5)); or UNKNOWN."""
    try:
        descriptor = os.open(path_of(pid, "syscall"), os.O_RDONLY)
        try:
            words = os.read(descriptor, 64).split()
        finally:
            os.close(descriptor)
    except (OSError, NoProc):  # gone; or the kernel does not tell
        return UNKNOWN
    if words[:1] == [b"running"]:
        return RUNS
    known = known_calls()
    number = int(words[0]) if words else -1
    if number == -1:  # in none: it waits for a page
        return RUNS
    if number not in known:
        return UNKNOWN
    first = int(words[1], 16)
    what = (READS, WRITES, SLEEPS, SLEEPS, SELECTS, SELECTS)[known.index(number)]
    if what == SELECTS:  # of no descriptor it is a sleep
        return UNKNOWN if first else SLEEPS
    return what if what == SLEEPS or (what, first) in ((READS, 0), (WRITES, 1)) else RUNS


class Sampler(Periodic):
    """Looks at the stages now and then."""

    def __init__(self, stages: Sequence[StageTimes]) -> None:
        self.stages = stages
        self.began = self.due = time.monotonic()
        self._phase = 0.0

    def look(self, now: float) -> None:
        """Look at each, and name the next moment."""
        for each in self.stages:
            each.look()
        cost = time.monotonic() - now
        every = AT_FIRST_EVERY_S if now - self.began < AT_FIRST_S else EVERY_S
        self._phase = (self._phase + 0.618) % 1
        self.due = now + max(every * (0.5 + self._phase), cost * SPACING)


def bottleneck(stages: Sequence[StageTimes], wall_s: float) -> int | None:
    """The index of the stage that held the others up; None where there is no clear one."""
    ranked = sorted(range(len(stages)), key=lambda i: stages[i].busy_s, reverse=True)
    if len(ranked) < 2:
        return None
    most, next_most = (stages[i].busy_s for i in ranked[:2])
    if stages[ranked[0]].starved_s is None:
        return None
    return ranked[0] if most >= CLEAR * wall_s and next_most <= CLEAR * most else None
