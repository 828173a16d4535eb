"""Who descends from whom."""

from __future__ import annotations

import os
from collections.abc import Iterable

from .procfs import Stat, all_stats, children_of


def has_children() -> bool:
    """Whether this process has any child, a zombie too, without a look at /proc (waitid(2))."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def children_of_ours() -> frozenset[int]:
    """The children of this process.

    There may be some at the very start, that it never made: `sh -c 'server & exec ipcctl …'` has its server as a child.
    """
    return frozenset(children_of(os.getpid())) if has_children() else frozenset()


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
