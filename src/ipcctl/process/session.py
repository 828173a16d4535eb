"""The processes of one session, and their end.  See setsid(2), credentials(7).

    end_session: TERM to each ──► none left, or grace over
                   └► STOP each, until a scan finds no other ──► KILL each process group, until none is left

A process that forks while it is being killed outruns every scan, but not a signal to its process group: the kernel
gives that to all members at once, and lets none of them fork before it has acted on it (kill(2), fork(2)). So each
group is killed even where a scan finds only zombies in it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

from ..errors import IpcctlError
from ..waiting import poll_for
from .procfs import Stat, all_stats, stat_of
from .signals import ENDING
from .terminate import KILL_WITHIN_S, SCAN_EVERY_S, send

MOST_SCANS = 10


class Session:
    """A session that a daemon is in.

    Its ID stays its own while it has members; afterwards the kernel may give it to a new session, which has a leader
    that was not there when this one was looked at first. A daemon that never left somebody's session (ours, a login's,
    a container's), whose leader lives on, is taken `alone`.
    """

    def __init__(self, daemon: Stat) -> None:
        self.daemon = daemon
        leader = stat_of(daemon.session) if daemon.session else None  # 0: of another PID namespace
        self.leader_ticks = leader.start_ticks if leader else None
        led = leader is not None and leader.pid != daemon.pid and leader.state not in "ZX"
        self.alone = led or daemon.session in (0, os.getsid(0))

    def everyone(self) -> list[Stat]:
        """All that are there now, zombies too, by one scan of /proc."""
        if self.alone:
            now = stat_of(self.daemon.pid)
            return [now] if now and now.start_ticks == self.daemon.start_ticks else []
        found = [each for each in all_stats() if each.session == self.daemon.session]
        if any(each.pid == each.session and each.start_ticks != self.leader_ticks for each in found):
            return []
        return found

    def members(self) -> list[Stat]:
        """Those that run now."""
        return [each for each in self.everyone() if each.state not in "ZX"]


def end_session(session: Session, grace_s: float) -> tuple[int, str | None]:
    """End all of a session; returns when none is left: how many there were, and the last signal that it took.

    Raises IpcctlError where they are not ours to signal, or outlive SIGKILL.
    """
    members = session.members()
    may_signal(members)
    for each in members:
        send(each, signal.SIGTERM)
        if each.state == "T":
            send(each, signal.SIGCONT)  # a stopped process acts on a signal only once it runs again
    in_time = gone_within(session, grace_s)
    with undisturbed():  # nobody is to be left stopped
        kill(session)
    return len(members), "SIGTERM" if in_time else "SIGKILL"


def may_signal(processes: list[Stat]) -> None:
    """Raise IpcctlError, before any is signalled, where one of them is not ours to signal (kill(2))."""
    for each in processes:
        try:
            os.kill(each.pid, 0)
        except PermissionError:
            raise IpcctlError(f"may not signal PID {each.pid} ({each.name}); do it as its user, or as root") from None
        except ProcessLookupError:
            continue


def gone_within(session: Session, seconds: float) -> bool:
    """Wait until the session has no members; False when some are left after so long."""
    deadline = time.monotonic() + seconds
    while members := session.members():
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return False
        wait_for_ends(members, left_s)
    return True


def wait_for_ends(processes: list[Stat], seconds: float) -> None:
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
        now = stat_of(process.pid)
        if now and now.start_ticks == process.start_ticks:
            poll_for([handle], deadline)
    finally:
        os.close(handle)


def kill(session: Session) -> None:
    """Kill all of a session, those that fork meanwhile as well; returns when none is left."""
    give_up = time.monotonic() + KILL_WITHIN_S
    while True:
        freeze(session)  # a group is held in being by its members that are stopped, or not yet waited for
        for each in session.everyone():
            strike(session, each)
        members = session.members()
        if not members:
            return
        wait_for_ends(members, KILL_WITHIN_S)
        if time.monotonic() > give_up:
            left = ", ".join(f"{each.pid} ({each.name}, state {each.state})" for each in members)
            raise IpcctlError(f"these do not end even by SIGKILL: {left}")


def strike(session: Session, process: Stat) -> None:
    """Kill a process with its whole group, or alone where the session is not the daemon's own."""
    if session.alone:
        send(process, signal.SIGKILL)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pgrp, signal.SIGKILL)


def freeze(session: Session) -> None:
    """Stop all members, until a scan finds none that was not stopped before, or they are too quick for that."""
    stopped: set[tuple[int, int]] = set()
    for _ in range(MOST_SCANS):
        new = [each for each in session.members() if (each.pid, each.start_ticks) not in stopped]
        if not new:
            return
        for each in new:
            send(each, signal.SIGSTOP)
            stopped.add((each.pid, each.start_ticks))


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let no signal end us in the block; one that came is acted on after it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
