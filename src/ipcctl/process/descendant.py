"""One process below a watched command: what was last known of it, and who its parent was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .procfs import NEVER_READ, Stat, argv_of, is_there, stat_of

if TYPE_CHECKING:
    from resource import struct_rusage


class Descendant:
    """What is known of one process; moments are by time.monotonic.

    `parent` is the one that it had while that lived, None where that was gone before anybody looked. `holder` is the
    parent it has now, None when that is this process, which adopted it.
    """

    def __init__(self, stat: Stat, parent: Descendant | None, now: float) -> None:
        self.pid = stat.pid
        self.stat = stat
        self.argv = argv_of(stat.pid) or None
        self.parent = parent
        self.holder = parent
        self.children: set[Descendant] = set()
        self.handle: int | None = None  # a pidfd
        self.met = self.look_at = now  # look_at: when to read its name and arguments again
        self.orphaned: float | None = None  # when it was first seen to run with its parent gone
        self.adopter: int | None = None
        self.exited: float | None = None
        self.gone: float | None = None
        self.wait_status: int | None = None  # known of those that this process waited for
        self.usage: struct_rusage | None = None
        if parent is not None:
            parent.children.add(self)

    @property
    def name(self) -> str:
        """The kernel's name for it (comm)."""
        return self.stat.name

    def look(self) -> bool:
        """Read again what /proc says of it; returns whether it is still there, if hidden from us by now (hidepid).

        A zombie keeps its name and has no arguments: where the name is another than the one that the arguments were
        read under, it called exec since, and they are not its own.
        """
        stat = stat_of(self.pid)
        if stat is None:
            return is_there(self.pid)
        if self.stat.start_ticks not in (stat.start_ticks, NEVER_READ):
            return False
        name, self.stat = self.stat.name, stat
        argv = None if stat.has_ended else argv_of(self.pid)
        if argv:
            self.argv = argv
        elif stat.name != name:
            self.argv = None
        return True

    def ancestors(self) -> list[Descendant]:
        """Its parents as they were, the nearest first, up to the command or to the first whose parent is unknown."""
        found: list[Descendant] = []
        at = self.parent
        while at is not None:
            found.append(at)
            at = at.parent
        return found
