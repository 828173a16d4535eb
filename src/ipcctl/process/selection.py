"""Which of the system's processes are meant."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Generator, Iterable, Iterator

from .forked_map import forked_map
from .listing import Lister, Row, stats
from .procfs import Stat, is_there, owner_of, pids, stat_of
from .tree import adopted, ancestors, descendants

SHARED_FROM = 500  # processes: a helper costs some milliseconds, and saves half of 40 µs each
BATCH = 128

Keep = Callable[[Stat], bool]


class Selection:
    """The processes that all of these are true of; what is None is not asked.

    numbers: these PIDs. user: the effective user ID. states: the letters. zombies: no process that runs in threads
    beside a first one that has ended. name: found in the name. threads_over: more threads. children_of, parents_of:
    below or above that PID. orphans: adopted (see process.tree). below: with each of `numbers`, all its descendants.
    """

    def __init__(
        self,
        numbers: Collection[int] = (),
        *,
        user: int | None = None,
        states: Collection[str] | None = None,
        zombies: bool = False,
        name: re.Pattern[str] | None = None,
        threads_over: int | None = None,
        children_of: int | None = None,
        parents_of: int | None = None,
        orphans: bool = False,
        below: bool = False,
    ) -> None:
        self.numbers = numbers
        self.user = user
        self.states = states
        self.zombies = zombies
        self.name = name
        self.threads_over = threads_over
        self.children_of = children_of
        self.parents_of = parents_of
        self.orphans = orphans
        self.below = below
        self.missing: list[int] = []  # those of the PIDs asked for that there are not
        self.hidden: list[int] = []  # those that there are, and that /proc does not show

    def look(self) -> None:
        """Note which of the PIDs asked for are not there, or not shown. Raises NoProc."""
        asked_for = [*self.numbers, *(each for each in (self.children_of, self.parents_of) if each is not None)]
        there = set(pids()) if asked_for else set()  # not by /proc/N, which is there for a thread's number too
        not_shown = [each for each in dict.fromkeys(asked_for) if each not in there or self._is_unreadable(each)]
        self.hidden = [each for each in not_shown if is_there(each)]
        self.missing = [each for each in not_shown if each not in self.hidden]

    def _is_unreadable(self, pid: int) -> bool:
        """Whether a process is listed in /proc and its files are not to be read (hidepid=1)."""
        return stat_of(pid) is None and is_there(pid)

    def rows(self, lister: Lister) -> Generator[Row, None, None]:
        """The rows of the processes meant, each as it is asked for where that can be. Close it: it has a helper."""
        if self.below or self.orphans or self.children_of is not None or self.parents_of is not None:
            yield from lister.rows(self.kept(self.of_family()))
            return
        numbers = self.named() if self.numbers else pids()
        if not lister.reads_much or len(numbers) < SHARED_FROM or len(os.sched_getaffinity(0)) < 2:
            yield from lister.rows(self.kept(stats(numbers)))
            return
        batches = [numbers[i : i + BATCH] for i in range(0, len(numbers), BATCH)]
        yield from forked_map(batches, lambda batch: lister.rows(self.kept(stats(batch))))

    def kept(self, found: Iterable[Stat]) -> Iterator[Stat]:
        """Those of them that all that is asked of a single process is true of."""
        keeps = self.keeps()
        return filter(lambda stat: all(keep(stat) for keep in keeps), found) if keeps else iter(found)

    def named(self) -> list[int]:
        """The PIDs asked for that there are, in the order asked for."""
        return [each for each in dict.fromkeys(self.numbers) if each not in (*self.missing, *self.hidden)]

    def of_family(self) -> list[Stat]:
        """Those that are related as asked: for that every process must be known first."""
        everyone = list(stats())
        wanted = self.named_ones(everyone) if self.numbers else everyone
        for relatives in self.relatives(everyone):
            numbers = {each.pid for each in relatives}
            wanted = [each for each in wanted if each.pid in numbers]
        return wanted

    def named_ones(self, everyone: list[Stat]) -> list[Stat]:
        """The PIDs asked for, and what is below them where that is wanted."""
        numbers = set(self.numbers)
        if self.below:
            numbers |= {stat.pid for each in self.numbers for stat in descendants(each, everyone)}
        return [each for each in everyone if each.pid in numbers]

    def relatives(self, everyone: list[Stat]) -> Iterator[list[Stat]]:
        """For each relation asked for, those that have it."""
        if self.children_of is not None:
            yield descendants(self.children_of, everyone)
        if self.parents_of is not None:
            yield ancestors(self.parents_of, everyone)
        if self.orphans:
            yield adopted(everyone)

    def keeps(self) -> list[Keep]:
        """What to ask of a single process."""
        states, name, threads_over, user = self.states, self.name, self.threads_over, self.user
        found: list[Keep] = []
        if self.zombies:
            found.append(lambda stat: stat.has_ended)
        if states is not None:
            found.append(lambda stat: stat.state in states)
        if name is not None:
            found.append(lambda stat: name.search(stat.name) is not None)
        if threads_over is not None:
            found.append(lambda stat: stat.threads > threads_over)
        if user is not None:
            found.append(lambda stat: owner_of(stat.pid) == user)
        return found
