"""Who descends from whom."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from .procfs import MOUNT, Stat, all_stats, is_own, why_not_own

if TYPE_CHECKING:
    from resource import struct_rusage


def ended_children() -> Iterator[tuple[int, int, struct_rusage]]:
    """Every child that has ended, adopted ones too, each waited for (wait4(2)): PID, wait status, what it used."""
    while True:
        try:
            ended = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if ended[0] == 0:
            return
        yield ended


def reap_ended() -> bool:
    """Collect every child that has ended, adopted ones too; return whether any child is left."""
    from .wait_status import has_children  # with the signals, which a listing has no use for

    for _ in ended_children():
        pass
    return has_children()


def not_found() -> str | None:
    """Return why processes that have fallen to this one cannot be found, and run on; None where none are left so."""
    from .wait_status import has_children  # as in reap_ended

    if is_own() or not has_children():
        return None
    return f"{why_not_own()}: what else was started here cannot be found to be ended, and runs on; {MOUNT}"


def children_by_parent(stats: Iterable[Stat]) -> dict[int, list[Stat]]:
    """The processes grouped by their parent's PID."""
    found: dict[int, list[Stat]] = {}
    for each in stats:
        found.setdefault(each.ppid, []).append(each)
    return found


def descendants(root: int, stats: Iterable[Stat] | None = None) -> list[Stat]:
    """Every process below `root`, parents before their children, zombies among them; `root` itself is not.

    A scan is a moment's picture: a process that forks meanwhile may be missing. To end a tree, scan until none is left.
    """
    families = children_by_parent(all_stats() if stats is None else stats)
    found: list[Stat] = []
    waiting = [root]
    while waiting:
        below = families.get(waiting.pop(0), [])
        found += below
        waiting += [each.pid for each in below]
    return found


def all_below(root: int) -> list[Stat]:
    """Return every process below `root` by a scan, those that /proc hides too."""
    from .unseen import hidden_children  # most runs end by themselves

    stats = all_stats()
    found = descendants(root, stats)
    while hidden := hidden_children([root, *(each.pid for each in found)], {each.pid for each in stats}):
        stats += hidden
        found = descendants(root, stats)
    return found


def ancestors(pid: int, stats: Iterable[Stat]) -> list[Stat]:
    """Every process above `pid`, its parent first."""
    by_pid = {each.pid: each for each in stats}
    found: list[Stat] = []
    at = by_pid.get(pid)
    while at and (parent := by_pid.get(at.ppid)) and parent not in found:
        found.append(parent)
        at = parent
    return found


def adopted(stats: Collection[Stat]) -> list[Stat]:
    """The processes whose parent is not the one that started them, as far as the kernel's records show it.

    A process is born into its parent's session, and leaves it only by setsid(2), which makes it the leader of a new one
    (credentials(7)). So one that leads no session, and whose parent is in another, was not started by that parent:
    it was adopted, by init or by a child subreaper. Two things hide it: an adopter in the same session, and a setsid of
    the process itself (a daemon, which looks like what init started). One thing feigns it: a parent that called setsid
    after the fork; it is told apart as long as the leader of the old session lives, and is not below that parent.
    """
    by_pid = {each.pid: each for each in stats}

    def left_the_session(parent: Stat, leader: Stat | None) -> bool:
        return leader is not None and parent not in ancestors(leader.pid, stats)

    def is_adopted(each: Stat) -> bool:
        parent = by_pid.get(each.ppid)
        if parent is None or each.in_kernel or each.session in (each.pid, parent.session):
            return False
        return not left_the_session(parent, by_pid.get(each.session))

    return [each for each in stats if is_adopted(each)]
