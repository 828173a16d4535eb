"""Jobs made of arguments as they come: so many a job, none twice, none that is done."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence

from .arguments import Listed, Source
from .job import Job

Arguments = tuple[str, ...]


class JobSource:
    """Takes jobs from a source. `done` counts the jobs that are not to be run again, by their arguments."""

    def __init__(self, source: Source, per_job: int = 1, unique: bool = False) -> None:
        self.source = source
        self.per_job = per_job
        self.unique = unique
        self.done: Counter[Arguments] = Counter()
        self.seq = 0  # of the job that was made last
        self.skipped = 0  # done already
        self.repeated = 0  # left out by `unique`
        self.exhausted = False
        self._arguments: list[str] = []
        self._seen: set[Arguments] = set()

    @property
    def total(self) -> int | None:
        """How many jobs there are in all; None while that is unknown."""
        count = self.source.total
        return None if count is None else -(-count // self.per_job)

    def next(self) -> Job | None:
        """The next job; None when its arguments have not come yet, or there is none any more (`exhausted`)."""
        while self._gather():
            arguments, self._arguments = self._arguments, []
            self.seq += 1
            if self._wanted(tuple(arguments)):
                return Job(arguments, self.seq)
        return None

    def all(self) -> Iterator[Job]:
        """Every job, waiting for arguments where they have not come."""
        while not self.exhausted:
            job = self.next()
            if job is not None:
                yield job
            elif not self.source.ended:
                self.source.fill()

    def _gather(self) -> bool:
        while len(self._arguments) < self.per_job:
            raw = self.source.take()
            if raw is None:
                self.exhausted = self.source.ended and not self._arguments
                return self.source.ended and bool(self._arguments)
            self._arguments.append(os.fsdecode(raw))
        return True

    def _wanted(self, arguments: Arguments) -> bool:
        if self.unique:
            if arguments in self._seen:
                self.repeated += 1
                return False
            self._seen.add(arguments)
        if self.done and self.done[arguments] > 0:
            self.done[arguments] -= 1
            self.skipped += 1
            return False
        return True


class FailedJobs(JobSource):
    """Jobs that are known already, with their numbers."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        super().__init__(Listed(()))
        self._left = list(reversed(jobs))
        self._count = len(jobs)

    @property
    def total(self) -> int | None:
        """How many there are."""
        return self._count

    def next(self) -> Job | None:
        """The next."""
        self.exhausted = not self._left
        return self._left.pop() if self._left else None
