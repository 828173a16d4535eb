"""Watch everything that descends from one command: who exits, who waits for whom, who loses its parent.

    epoll ─┬─ signalfd            a signal is there                      ─► returned to who waits, as Signals.wait does
           ├─ pidfd, one each     it exited (IN); it was waited for (HUP, from Linux 6.9)
           └─ time for a look     did the kernel give out a PID since?   ─► read those, and only those

PIDs are given out one after the other: the new processes are between the newest PID of the last look and that of now.
So where nothing was started nothing is read, and where something was, the cost does not grow with the number of
processes on the machine. A look everywhere now and then finds what came out of turn. Looks are spaced by what they
cost: together they take one and a half percent of a processor at most.

What lives between two looks is never met. If its parent was never seen, a process's parent is unknown; one that is
waited for without having been met is counted as unseen.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ..waiting import seconds_until
from .descendant import Descendant
from .pid_counter import PidCounter
from .procfs import Stat, path_of, pids, read, require, stat_of
from .signals import FORWARDED, Arrived, Signals, signal_descriptor
from .unseen import record_of

if TYPE_CHECKING:
    from resource import struct_rusage

LOOK_EVERY_S = 0.02  # in quiet times
LOOK_AT_FIRST_EVERY_S = 0.001  # a shell that starts something and ends lives for a few milliseconds
AT_FIRST_S = 0.05
SPACING = 100  # a look that took so much processor time is followed by so many times that without one
SPACING_EVERYWHERE = 300
LOOK_EVERYWHERE_S = 1.0  # for what came by a way that gives out PIDs out of turn (clone3's set_tid)
SPARE_DESCRIPTORS = 64  # left free for everything else
FIRST_LOOK_AGAIN_S = 0.004  # after a fork the exec mostly comes within milliseconds
YOUNG_S = 0.2

Callback = Callable[[Descendant], None]


class Watcher(Signals):
    """Signals, and the descendants of a command, to be waited for at once. This process must be a child subreaper.

    `on_orphan` hears of each that is seen to run with its parent gone; `on_gone` of each whose record went, `exited`
    and `gone` set. With `wait_status` set it was waited for by this process, else by another.
    """

    def __init__(self, on_orphan: Callback, on_gone: Callback, wanted: Iterable[int] = FORWARDED) -> None:
        super().__init__(wanted)
        self.on_orphan = on_orphan
        self.on_gone = on_gone
        self.pid = os.getpid()
        self.root: Descendant | None = None  # the command
        self.known: dict[int, Descendant] = {}
        self.met = 0
        self.unseen = 0
        self._by_handle: dict[int, Descendant] = {}
        self._without_handle: set[Descendant] = set()
        self._zombies: set[Descendant] = set()
        self._young: list[Descendant] = []
        self._next_look = self._next_everywhere = self._earliest = float("inf")

    def __enter__(self) -> Watcher:
        require("the command's processes cannot be watched")
        self._epoll = select.epoll()
        descriptor = signal_descriptor(self.waited_for)
        self._epoll.register(descriptor, select.EPOLLIN)
        self._signals = descriptor
        self._newest = PidCounter()
        self._highest_pidfd = highest_pidfd()
        super().__enter__()
        return self

    def __exit__(self, *what_happened: object) -> None:
        self._epoll.close()
        self._newest.close()
        for each in (self._signals, *self._by_handle):
            os.close(each)
        self._by_handle.clear()
        super().__exit__(None, None, None)

    def began(self, pid: int) -> None:
        """The command was started: what descends from it is watched from now on."""
        now = time.monotonic()
        stat = record_of(pid, self.pid)
        assert stat is not None, "a child that was not waited for has a record"
        self.root = self._add(stat, None, now)
        self._counts = self._newest.read() != self._newest.last  # a container's own /proc/loadavg may stand still
        self._begun = self._next_look = self._earliest = now
        self._next_everywhere = now + LOOK_EVERYWHERE_S

    def wait(self, deadline: float | None = None) -> Arrived | None:
        """The next signal; None once `deadline` (time.monotonic) has passed. Meanwhile the descendants are watched."""
        while True:
            # Those that ended are looked at before a signal is taken, after which they are waited for.
            if self._take_events(0) and (info := self.take()) is not None:
                return info
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                return None
            if now >= self._next_look:
                self.look()
            else:
                until = self._next_look if deadline is None else min(self._next_look, deadline)
                self._take_events(seconds_until(until))

    def reaped(self, pid: int, wait_status: int, usage: struct_rusage) -> None:
        """This process has waited for a child: the command, or one that it adopted."""
        found = self.known.get(pid)
        if found is None:
            self.unseen += 1
            return
        found.wait_status, found.usage = wait_status, usage
        self._take_events(0)  # in the order in which they happened: whether it ended before its parent did
        if found.gone is None:
            self._gone(found, time.monotonic())

    def look(self, everywhere: bool = False) -> None:
        """Meet what was started since the last look, and see who is gone whose going makes no event."""
        before = time.thread_time()
        now = time.monotonic()
        new = self._newest.new_pids()
        if new or everywhere or not self._counts:
            everywhere = everywhere or not self._counts or now >= self._next_everywhere
            self._meet(pids() if everywhere else new)
        self._look_again(self.known.values() if everywhere else [each for each in self._young if now >= each.look_at])
        for each in [*self._without_handle, *self._zombies]:
            self._look_after(each)
        self._space(now, time.thread_time() - before, everywhere)

    def _space(self, now: float, cost: float, everywhere: bool) -> None:
        """Say when to look next. Looks everywhere have a time of their own, lest the others wait for what they cost."""
        if everywhere and self._counts:
            self._next_everywhere, cost = now + max(LOOK_EVERYWHERE_S, cost * SPACING_EVERYWHERE), 0.0
        self._earliest = now + cost * SPACING
        if now - self._begun < AT_FIRST_S:
            self._earliest = now + max(LOOK_AT_FIRST_EVERY_S, 2 * cost)
            self._next_look = self._earliest
        else:
            self._next_look = max(now + LOOK_EVERY_S, self._earliest)

    def _look_again(self, these: Iterable[Descendant]) -> None:
        """Read their names and arguments again: they may have called exec since."""
        for each in [each for each in these if each.exited is None]:
            each.look()
        ages = [(each, each.look_at - each.met) for each in self._young if time.monotonic() >= each.look_at]
        for each, age_s in ages:
            each.look_at += age_s * 4
        self._young = [each for each in self._young if each.exited is None and each.look_at - each.met < YOUNG_S]

    # --- meeting

    def _meet(self, candidates: Iterable[int]) -> None:
        """Read those processes, and keep the descendants. One whose parent went meanwhile is read again."""
        new = [pid for pid in candidates if pid not in self.known]
        others = {stat.pid: stat for stat in map(stat_of, new) if stat and not self._meet_one(stat)}
        gone = set(new) - others.keys()
        for each in [stat.pid for stat in others.values() if stat.ppid in gone]:
            if (stat := stat_of(each)) is not None:
                self._meet_one(stat)

    def _meet_one(self, stat: Stat) -> bool:
        """Keep it, if it is a descendant; returns whether it is settled what it is."""
        if stat.ppid == self.pid:
            if stat.has_ended:  # the zombie is about to be waited for, by us
                return True
            parent = None
        elif (parent := self.known.get(stat.ppid)) is None:
            return False
        now = time.monotonic()
        found = self._add(stat, parent, now)
        if found and parent is None:
            self._orphaned(found, now, self.pid)
        return True

    def _add(self, stat: Stat, parent: Descendant | None, now: float) -> Descendant | None:
        """Begin to watch it; None for what turns out to be a thread, which has a PID and a record as well."""
        handle = self._open(stat.pid)
        if handle is None and not is_process(stat.pid):
            return None
        found = self.known[stat.pid] = Descendant(stat, parent, now)
        self.met += 1
        if handle is None:
            self._without_handle.add(found)
        else:
            found.handle = handle
            self._by_handle[handle] = found
            self._epoll.register(handle, select.EPOLLIN | select.EPOLLET)
        if stat.has_ended:
            self._exited(found, now)
        else:
            found.look_at = now + FIRST_LOOK_AGAIN_S
            self._young.append(found)
        return found

    def _open(self, pid: int) -> int | None:
        try:
            handle = os.pidfd_open(pid)
        except OSError:  # gone; or a thread; or none to be had (an old kernel, a seccomp profile, a limit)
            return None
        if handle > self._highest_pidfd:
            os.close(handle)
            return None
        return handle

    # --- what happens to them

    def _take_events(self, timeout_s: float | None) -> bool:
        """Act on what happened to the descendants, and return whether a signal is there."""
        signal_pending = False
        for handle, flags in self._epoll.poll(timeout_s):
            found = self._by_handle.get(handle)
            if found is None:  # or of one that is gone since
                signal_pending = signal_pending or handle == self._signals
                continue
            now = time.monotonic()
            self._exited(found, now)
            if flags & select.EPOLLHUP:
                self._gone(found, now)
        return signal_pending

    def _look_after(self, found: Descendant) -> None:
        """See what became of one that makes no event."""
        now = time.monotonic()
        if found.gone is None and is_gone(found):
            self._gone(found, now)
        elif found.exited is None and found.stat.has_ended:
            self._exited(found, now)

    def _exited(self, found: Descendant, now: float) -> None:
        if found.exited is not None:
            return
        found.exited = now
        found.look()
        if found.holder is not None:
            self._zombies.add(found)
        for child in found.children:
            self._lost_its_parent(child, now)
        found.children = set()
        self._next_look = min(self._next_look, max(now, self._earliest))  # it may leave some that nobody met

    def _lost_its_parent(self, child: Descendant, now: float) -> None:
        if not child.look():
            return  # gone as well, which is an event of its own
        adopter = self.known.get(child.stat.ppid)  # a subreaper further down, or None: this process
        child.holder = adopter
        if adopter is not None:
            adopter.children.add(child)
        if child.exited is None:
            self._orphaned(child, now, child.stat.ppid)

    def _orphaned(self, found: Descendant, now: float, adopter: int) -> None:
        found.adopter = adopter
        if found.orphaned is None:
            found.orphaned = now
            self.on_orphan(found)

    def _gone(self, found: Descendant, now: float) -> None:
        self._exited(found, now)
        found.gone = now
        self.known.pop(found.pid, None)
        self._without_handle.discard(found)
        self._zombies.discard(found)
        if found.holder is not None:
            found.holder.children.discard(found)
        if found.handle is not None:
            del self._by_handle[found.handle]
            os.close(found.handle)
            found.handle = None
        self.on_gone(found)

    def zombies(self) -> list[Descendant]:
        """Those that have exited and were not waited for."""
        self._take_events(0)
        return [each for each in self._zombies if each.look()]

    def alive(self) -> list[Descendant]:
        """Those that run."""
        self._take_events(0)
        return [each for each in self.known.values() if each.exited is None and each.look()]


def is_gone(found: Descendant) -> bool:
    """Whether the kernel has no record of it any more."""
    if found.handle is None:
        return not found.look()
    try:
        signal.pidfd_send_signal(found.handle, 0)
        return False
    except ProcessLookupError:
        return True
    except OSError:  # another user's: it is there
        return False


def is_process(pid: int) -> bool:
    """Whether the PID is that of a process, and not of a thread of one (Tgid in proc(5))."""
    raw = read(path_of(pid, "status")) or b""
    return f"\nTgid:\t{pid}\n".encode() in raw


def highest_pidfd() -> int:
    """The highest descriptor that is used for a pidfd."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (1 << 30 if soft == resource.RLIM_INFINITY else soft) - SPARE_DESCRIPTORS
