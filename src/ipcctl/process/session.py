"""The processes of one session.  See setsid(2), credentials(7)."""

from __future__ import annotations

import os
from collections.abc import Collection

from ..errors import IpcctlError
from .procfs import Stat, all_stats, is_there, stat_of


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
        led = leader is not None and leader.pid != daemon.pid and not leader.has_ended
        self.alone = led or daemon.session in (0, os.getsid(0))

    def found(self) -> list[Stat]:
        """All that are there now, zombies too, by one scan of /proc."""
        if self.alone:
            now = stat_of(self.daemon.pid)
            return [now] if now and now.start_ticks == self.daemon.start_ticks else self._hidden()
        found = [each for each in all_stats() if each.session == self.daemon.session]
        if any(each.pid == each.session and each.start_ticks != self.leader_ticks for each in found):
            return []
        return found if any(each.pid == self.daemon.pid for each in found) else found + self._hidden()

    def _hidden(self) -> list[Stat]:
        """The daemon, where it is there and /proc does not show it (hidepid)."""
        if stat_of(self.daemon.pid) is not None or not is_there(self.daemon.pid):
            return []
        from .unseen import is_still

        return [self.daemon] if is_still(self.daemon) else []

    def has(self, found: Stat, parents: Collection[int]) -> bool:
        """Whether a process that was just started is in it."""
        return not self.alone and found.session == self.daemon.session


def end_session(session: Session, grace_s: float) -> tuple[int, str, list[Stat]]:
    """End all of a session; returns when none is left that may be signalled.

    Returns how many there were, the last signal that it took, and those that run on, as they may not be signalled.
    Raises IpcctlError where the daemon itself is such a one, before any is signalled, or something outlives SIGKILL.
    """
    from .terminate import alive, end_set, may_signal

    if not may_signal(session.daemon):
        who = f"PID {session.daemon.pid} ({session.daemon.name})"
        raise IpcctlError(f"may not signal {who}; do it as its user, or as root")
    count = len(alive(session))
    left, last = end_set(session, grace_s, groups=not session.alone)
    return count, last.name, left
