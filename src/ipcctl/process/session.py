"""The processes of one session, and their end.  See setsid(2), credentials(7).

    end_session: TERM to each ──► none left? ── grace over ──► STOP each, scan until none is new ──► KILL each ──► again
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator

from ..errors import IpcctlError
from .procfs import Stat, all_stats, stat_of
from .signals import ENDING
from .stop import KILL_WITHIN_S, SCAN_EVERY_S, send


class Session:
    """A session that a daemon is in: the processes that still run (a zombie does not).

    Its ID stays its own while it has members; afterwards the kernel may give it to a new session, which has a leader
    that was not there when this one was looked at first. Where the session is our own, it is the daemon alone.
    """

    def __init__(self, daemon: Stat) -> None:
        self.daemon = daemon
        self.alone = daemon.session == os.getsid(0)
        leader = stat_of(daemon.session)
        self.leader_ticks = leader.start_ticks if leader else None

    def members(self) -> list[Stat]:
        """Those that run now, by one scan of /proc."""
        if self.alone:
            now = stat_of(self.daemon.pid)
            found = [now] if now and now.start_ticks == self.daemon.start_ticks else []
        else:
            found = [each for each in all_stats() if each.session == self.daemon.session]
        if any(each.pid == each.session and each.start_ticks != self.leader_ticks for each in found) and not self.alone:
            return []
        return [each for each in found if each.state not in "ZX"]


def end_session(session: Session, grace_s: float) -> tuple[int, str | None]:
    """End all of a session; returns when none is left: how many there were, and the last signal that it took.

    Raises IpcctlError where they are not ours to signal, or outlive SIGKILL.
    """
    members = session.members()
    if not members:
        return 0, None
    may_signal(members)
    for each in members:
        send(each, signal.SIGTERM)
        if each.state == "T":
            send(each, signal.SIGCONT)  # a stopped process acts on a signal only once it runs again
    if gone_within(session, grace_s):
        return len(members), "SIGTERM"
    with undisturbed():  # nobody is to be left stopped
        kill(session)
    return len(members), "SIGKILL"


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
    left_ms = max(deadline - time.monotonic(), 0) * 1000
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    except OSError:  # no pidfd here (a seccomp profile, or no descriptor left): let the caller look again in a while
        select.poll().poll(min(SCAN_EVERY_S * 1000, left_ms))
        return
    try:
        now = stat_of(process.pid)
        if now and now.start_ticks == process.start_ticks:
            poller = select.poll()
            poller.register(handle, select.POLLIN)
            poller.poll(left_ms)
    finally:
        os.close(handle)


def kill(session: Session) -> None:
    """Kill all of a session, those that fork meanwhile as well."""
    give_up = time.monotonic() + KILL_WITHIN_S
    while members := freeze(session):
        for each in members:
            send(each, signal.SIGKILL)
        wait_for_ends(members, KILL_WITHIN_S)
        if time.monotonic() > give_up:
            left = ", ".join(f"{each.pid} ({each.name}, state {each.state})" for each in members)
            raise IpcctlError(f"these do not end even by SIGKILL: {left}")


def freeze(session: Session) -> list[Stat]:
    """Stop all members, until a scan finds none that was not stopped before; returns them."""
    stopped: set[tuple[int, int]] = set()
    while True:
        members = session.members()
        new = [each for each in members if (each.pid, each.start_ticks) not in stopped]
        if not new:
            return members
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
