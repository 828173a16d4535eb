"""Processes that are there and that /proc does not show: what the kernel tells of them by PID alone.

There is no /proc of ours (see procfs.why_not_own), or one that hides a descendant that runs as another user, as a
set-user-ID program does (hidepid). A child that was not waited for keeps its PID: it can be signalled all the same.
"""

from __future__ import annotations

import os
import select
from collections.abc import Collection

from .procfs import NEVER_READ, Stat, children_of, hides_others, stat_of


def is_child(pid: int) -> bool:
    """Return whether it is a child of this process that was not waited for (waitid(2))."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def unseen(pid: int, ppid: int) -> Stat | None:
    """Return a record of what is known of it: its group and session (getpgid(2), getsid(2)); None when it is gone."""
    try:
        group, session = os.getpgid(pid), os.getsid(pid)
    except ProcessLookupError:
        return None
    state = "Z" if has_exited(pid) else "?"
    return Stat(pid, "?", state, ppid, group, session, 0, -1, 0, 0, 0, 0, 0, 0, 1, NEVER_READ, 0)


def has_exited(pid: int) -> bool:
    """Return whether a process is a zombie: then its pidfd can be read (pidfd_open(2)); False where none can be had."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        poller = select.poll()
        poller.register(handle, select.POLLIN)
        return bool(poller.poll(0))
    finally:
        os.close(handle)


def record_of(pid: int, ppid: int) -> Stat | None:
    """Return the record of a child of that parent, read from /proc or, where that does not show it, as `unseen`."""
    return stat_of(pid) or unseen(pid, ppid)


def unseen_children(pids: Collection[int]) -> list[Stat]:
    """Return those of them that are children of this process; no look at /proc is needed."""
    me = os.getpid()
    return [found for pid in tuple(pids) if is_child(pid) and (found := unseen(pid, me))]


def is_still(process: Stat) -> bool:
    """Return whether the PID of an `unseen` process is still its own.

    Its parent has it as a child; or it is in its session, where that is not ours, which nobody enters but by descent.
    """
    if process.ppid == os.getpid():
        return is_child(process.pid)
    return process.pid in children_of(process.ppid) or (process.session != os.getsid(0) and in_session(process))


def in_session(process: Stat) -> bool:
    """Return whether there is a process of that PID in the session that it was in."""
    try:
        return os.getsid(process.pid) == process.session
    except ProcessLookupError:
        return False


def hidden_children(parents: Collection[int], shown: Collection[int]) -> list[Stat]:
    """Return the children of these that /proc lists with them and does not show by themselves."""
    if not hides_others():
        return []
    missing = [(pid, parent) for parent in parents for pid in children_of(parent) if pid not in shown]
    return [found for pid, parent in missing if (found := record_of(pid, parent))]
