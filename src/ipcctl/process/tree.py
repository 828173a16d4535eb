"""Who descends from whom."""

from __future__ import annotations

from collections.abc import Iterable

from .procfs import Stat, all_stats


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
