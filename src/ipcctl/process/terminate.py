"""End processes: TERM, a grace period, KILL, until nothing is left.

    TERM ──► all have ended? ── grace over ──► STOP all, scan until none is new ──► KILL all ──► again

Of the descendants of this process the kernel tells when they end, and when none is left (end_descendants); the end of
others is waited for by pidfds (end_set). What may not be signalled (kill(2) EPERM: a set-user-ID program's, another
user's) neither keeps the others from being ended nor is waited for: it is returned, to be reported.

A process that forks while it is being killed would outrun a scan: so what is found is stopped first, and killed when a
scan finds nobody that still runs. No process outruns a signal to its group, which the kernel gives to all members at
once, letting none of them fork before it has acted on it (kill(2), fork(2)): so where a group is sure to be theirs
alone, all of it is killed.

Without a /proc of ours there is nothing to scan: then the children that were started are ended, and no others.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Protocol

from ..errors import IpcctlError
from ..waiting import TICK_S, is_over, poll_for
from .pid_counter import PidCounter
from .procfs import NEVER_READ, Stat, is_own, stat_of
from .signals import CATCHABLE, ENDING, Arrived, Signals, Taking, blocked, repeats, send_on
from .tree import all_below
from .unseen import is_still, unseen_children

KILL_WITHIN_S = 30.0  # only a process in an uninterruptible sleep outlives SIGKILL for so long
CATCH_FOR_S = 0.01  # so long after a scan, or as long as that took, what was just started is looked for
FREEZE_WITHIN_S = 2.0  # those that may not be stopped may go on forking; and what is missed is killed the next time
PASSES = 5  # a process that forks while it is being signalled: its child is found by the next scan
SCAN_EVERY_S = 0.02  # while killing: what a process in its last moments forked may appear without any signal to us

Reap = Callable[[], bool]  # collects the children that have ended; False when there is no child any more


def send(process: Stat, number: int, queued: Arrived | None = None) -> bool:
    """Send a signal to the very process that was seen, and to no later one that got its PID.

    `queued` is a signal that we got: where it was queued it is sent on with its value and sender. Returns whether
    it was sent: False when the process is gone, or is not ours to signal (kill(2) EPERM).
    """
    if queued is not None and queued.queued:
        return send_by_pid(process, number, queued)
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    except OSError:  # no pidfd here (an old kernel, a seccomp profile)
        return send_by_pid(process, number)
    try:
        if not is_the_same(process):
            return False
        signal.pidfd_send_signal(handle, number)
        return True
    except ProcessLookupError:
        return False
    except OSError:
        return send_by_pid(process, number)
    finally:
        os.close(handle)


def send_by_pid(process: Stat, number: int, queued: Arrived | None = None) -> bool:
    """As `send`, by PID and start time."""
    if not is_the_same(process):
        return False
    try:
        os.kill(process.pid, number) if queued is None else send_on(queued, process.pid)
        return True
    except (ProcessLookupError, PermissionError):
        return False


def is_the_same(process: Stat) -> bool:
    """Return whether the PID is that process's still."""
    if process.start_ticks == NEVER_READ:
        return is_still(process)
    now = stat_of(process.pid)
    return now.start_ticks == process.start_ticks if now else is_still(process)


def may_signal(process: Stat) -> bool:
    """Whether this process may be signalled by us (kill(2)); one that is gone may."""
    try:
        os.kill(process.pid, 0)
    except PermissionError:
        return not is_the_same(process)
    except ProcessLookupError:
        pass
    return True


class ProcessSet(Protocol):
    """Processes that are to be ended together."""

    def found(self) -> list[Stat]:
        """Those of them that a scan finds, zombies too."""

    def has(self, found: Stat, parents: Collection[int]) -> bool:
        """Whether a process that was just started is one of them; `parents` are some that are known."""


class Descendants:
    """All descendants of a process, adopted orphans included.

    The process is this one, unless another is named by `of`. `started` are the PIDs of children of ours that are known;
    without a /proc of ours there are no others.
    """

    def __init__(self, started: Collection[int] = (), of: int | None = None) -> None:
        self.started = started
        self.of = os.getpid() if of is None else of

    def found(self) -> list[Stat]:
        """Those that a scan finds, zombies too."""
        if not is_own():
            return unseen_children(self.started)
        return all_below(self.of)

    def has(self, found: Stat, parents: Collection[int]) -> bool:
        """Whether it was started by one of `parents`, or has fallen to the process."""
        return found.ppid == self.of or found.ppid in parents


def alive(processes: ProcessSet) -> list[Stat]:
    """Those of them that still run."""
    return [each for each in processes.found() if not each.has_ended]


def out_of_reach(processes: ProcessSet) -> list[Stat]:
    """Those that run and may not be signalled, where no other of the set runs; else none."""
    running = alive(processes)
    return [] if any(map(may_signal, running)) else running


def signal_all(
    processes: ProcessSet, number: int, group: int | None = None, wake: bool = False, queued: Arrived | None = None
) -> list[Stat]:
    """Send a signal, once, to each of them (in that process group), those forked meanwhile as well.

    `queued` is as in `send`. `wake` lets those that are stopped run again: only then does a process act on a signal
    that asks it to end. Returns those that may not be signalled.
    """
    sent: set[tuple[int, int]] = set()
    refused: list[Stat] = []
    for _ in range(PASSES):
        members = [each for each in alive(processes) if group in (None, each.pgrp)]
        new = [each for each in members if (each.pid, each.start_ticks) not in sent]
        if not new:
            break
        for each in new:
            if not send(each, number, queued) and not may_signal(each):
                refused.append(each)
            if wake and each.state == "T":
                send(each, signal.SIGCONT)
            sent.add((each.pid, each.start_ticks))
    return refused


def end_descendants(
    signals: Signals,
    reap: Reap,
    grace_s: float,
    first: int = signal.SIGTERM,
    started: Collection[int] = (),
) -> list[Stat]:
    """End every descendant of this process and reap what falls to it; returns when none is left that can be found
    and signalled.

    `first` is the polite signal; 0 sends none, and only waits for the grace period. This process must be a child
    subreaper, so that nothing escapes by losing its parent, and `signals` be entered; one that asks to end cuts the
    grace period short. Children that it had before are ended as well, unless it was set apart from them (set_apart.py).
    `started` are the PIDs of the children that are known, as they are now (see tree.not_found). Returns those that may
    not be signalled, and run on. Raises IpcctlError when something outlives SIGKILL.
    """
    processes = Descendants(started)
    refused = signal_all(processes, first, wake=True) if first else []
    deadline = time.monotonic() + grace_s
    while reap() and can_find(started):
        if refused and (left := out_of_reach(processes)):
            return left
        info = signals.wait(deadline)
        if info is None or signals.asks(info):  # a second Ctrl-C: somebody is in a hurry
            return kill_descendants(signals, reap, started)
    return []


def kill_descendants(signals: Signals, reap: Reap, started: Collection[int] = ()) -> list[Stat]:
    """Kill every descendant of this process, those that fork meanwhile as well, and reap them; as end_descendants."""
    processes, give_up = Descendants(started), time.monotonic() + KILL_WITHIN_S
    while reap() and can_find(started):
        kill(processes)
        signals.wait(time.monotonic() + SCAN_EVERY_S)
        if reap() and (left := out_of_reach(processes)):
            return left
        if time.monotonic() > give_up:
            raise does_not_end(processes)
    return []


def end_set(processes: ProcessSet, grace_s: float, groups: bool = True) -> tuple[list[Stat], signal.Signals]:
    """End them, whoever their parents are; returns when none runs that may be signalled.

    `groups` is as in kill. Returns those that may not be signalled, and run on; and the last signal that it took.
    Raises IpcctlError when something outlives SIGKILL.
    """
    refused = signal_all(processes, signal.SIGTERM, wake=True)
    in_time = ended_within(processes, grace_s, refused)
    with undisturbed():  # nobody is to be left stopped
        left = kill_set(processes, groups)  # where all were seen to end as well: one may have outrun the scans
    return left, signal.SIGTERM if in_time else signal.SIGKILL


def kill_set(processes: ProcessSet, groups: bool = True) -> list[Stat]:
    """Kill them, those that fork meanwhile as well. Returns and raises as end_set."""
    give_up = time.monotonic() + KILL_WITHIN_S
    while True:
        kill(processes, groups)
        running = alive(processes)
        if not any(map(may_signal, running)):
            return running
        wait_for_ends(filter(may_signal, running), SCAN_EVERY_S)
        if time.monotonic() > give_up:
            raise does_not_end(processes)


def refusal(processes: Iterable[Stat]) -> str:
    """What to say of those that may not be signalled."""
    who = ", ".join(f"PID {each.pid} ({each.name})" for each in processes)
    return f"may not signal {who}: another user's, and left running; end it as that user, or as root"


def does_not_end(processes: ProcessSet) -> IpcctlError:
    """The error of those that outlive SIGKILL."""
    left = ", ".join(f"{each.pid} ({each.name}, state {each.state})" for each in alive(processes))
    return IpcctlError(f"these do not end even by SIGKILL: {left}")


def ended_within(processes: ProcessSet, seconds: float, refused: Collection[Stat] = ()) -> bool:
    """Wait until none runs but those that `refused` a signal; False when some do after so long, or when `hurried`."""
    deadline = time.monotonic() + seconds
    beyond = {(each.pid, each.start_ticks) for each in refused}
    while running := [each for each in alive(processes) if (each.pid, each.start_ticks) not in beyond]:
        left_s = deadline - time.monotonic()
        if left_s <= 0 or hurried():
            return False
        wait_for_ends(running, left_s)
    return True


def wait_for_ends(processes: Iterable[Stat], seconds: float) -> None:
    """Return when these have ended, or after so long."""
    deadline = time.monotonic() + seconds
    for each in processes:
        wait_for_end(each, deadline)


def wait_for_end(process: Stat, deadline: float) -> None:
    """Return when this very process has ended, or at `deadline` (time.monotonic)."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    except OSError:  # no pidfd here (a seccomp profile, or no descriptor left): let the caller look again in a while
        time.sleep(min(SCAN_EVERY_S, max(deadline - time.monotonic(), 0)))
        return
    try:
        if is_the_same(process):
            while not (poll_for([handle], min(deadline, time.monotonic() + TICK_S)) or is_over(deadline) or hurried()):
                pass
    finally:
        os.close(handle)


class Hurry:
    """Whether a signal that was taken has asked to end."""

    is_on = False


def hurried() -> bool:
    """Return whether a blocked signal asks to end: while others are ended, by somebody who would not wait longer."""
    pending = signal.sigpending() & ENDING - {signal.SIGHUP}  # which is no end of one command
    asking = {each for each in pending if signal.getsignal(each) is not signal.SIG_IGN}
    if asking and repeats and Taking(asking).take(0.0) is not None:  # what came before, another way, is dropped by that
        Hurry.is_on = True  # and stays so: the signal itself was taken
    return Hurry.is_on if repeats else bool(asking)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let no signal end or stop us in the block; one that came is acted on after it."""
    with blocked(CATCHABLE):
        yield


def can_find(started: Collection[int]) -> bool:
    """Return whether what is left can be found: by a scan, or because it is one of those that were started."""
    return is_own() or bool(started)


def kill(processes: ProcessSet, groups: bool = True) -> None:
    """Kill all of them, once; those that ended last may have started others, so kill again until none is found.

    `groups`: who is in another session than ours is killed with the whole process group.
    """
    freeze(processes)
    for each in processes.found():
        strike(each, groups)


def strike(process: Stat, groups: bool = True) -> None:
    """Kill a process; with its whole group where that is in another session than ours, and `groups`.

    A session is entered by descent from its leader alone (credentials(7)), and the leader is of the same set: so are
    all of the group. The group of a zombie may have others, that no scan has found.
    """
    if not groups or process.session in (0, os.getsid(0)):  # 0: of an outer PID namespace
        send(process, signal.SIGKILL)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pgrp, signal.SIGKILL)


def freeze(processes: ProcessSet) -> None:
    """Stop them all, until a scan finds none that was not stopped before, or for FREEZE_WITHIN_S.

    Without a /proc of ours there is no scan.

    Where each process starts its successor and ends, a scan finds only those of yesterday, or none: so after each scan
    those that were just started are caught, one by one, as they come.
    """
    if not is_own():
        return
    stopped: dict[tuple[int, int], Stat] = {}
    give_up = time.monotonic() + FREEZE_WITHIN_S
    newest = PidCounter()
    try:
        while time.monotonic() < give_up:
            before, began = len(stopped), time.monotonic()
            for each in alive(processes):
                if (each.pid, each.start_ticks) not in stopped:
                    send(each, signal.SIGSTOP)
                    stopped[each.pid, each.start_ticks] = each
            end = time.monotonic() + max(CATCH_FOR_S, time.monotonic() - began)
            while time.monotonic() < end:
                for each in catch_new(newest, {each.pid for each in stopped.values()}, processes):
                    stopped[each.pid, each.start_ticks] = each
                os.sched_yield()
            if len(stopped) == before:
                return
    finally:
        newest.close()


def catch_new(newest: PidCounter, parents: Collection[int], processes: ProcessSet) -> Iterator[Stat]:
    """Stop whatever of them was started since the last look."""
    for pid in sorted(newest.new_pids(), reverse=True):
        found = stat_of(pid)
        if found is None or found.has_ended or not processes.has(found, parents):
            continue
        if send(found, signal.SIGSTOP):
            yield found
