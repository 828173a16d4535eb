"""What is known of a pool's jobs together: counted as they end, so that the records themselves need not be kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import EXIT_FALSE, EXIT_OK, EXIT_SIGNALLED, EXIT_TIMED_OUT
from ..process.event import Event
from .job import Job, JobResult, how_it_failed, named
from .scheduler import Observer, Pool

if TYPE_CHECKING:
    from .joblog import JobLog


class Display(Protocol):
    """Shows how far the jobs are."""

    def show(self, done: int, failed: int, running: int, total: int | None, waiting: str | None) -> float:
        """Show it; returns when (time.monotonic) to be called again at the latest."""

    def clear(self) -> None:
        """Make room for other text."""


class Statistics(Observer):
    """Counts, writes the log, tells of failures, and shows the progress where there is one to show.

    `tell` is given a line for each failed job, and whether it could not be started.
    """

    def __init__(
        self, tell: Callable[[str, bool], None], log: JobLog | None, progress: Display | None, keep_events: bool
    ) -> None:
        self.tell = tell
        self.log = log
        self.progress = progress
        self.keep_events = keep_events
        self.events: list[Event] = []
        self.jobs = self.failed = self.timed_out = self.signalled = 0
        self.cpu_s = self.job_s = 0.0
        self.slowest: JobResult | None = None
        self.largest: JobResult | None = None
        self._begun = time.monotonic()

    # --- told by the pool

    def attempt(self, job: Job, began: bool) -> None:
        """An attempt began, or ended: events, and what it took."""
        record = job.record
        assert record is not None
        if self.keep_events:
            at = job.begun if began else time.monotonic()  # of a start made by a thread we hear later
            t_ms = round((at - self._begun) * 1000, 3)
            what = ("start", job.input) if began else ("end", record.signal or f"exit {record.exit_code}")
            self.events.append(Event(t_ms, record.pid or 0, f"slot {record.slot} job {job.seq}", *what))
        if not began:
            self.cpu_s += (record.user_s or 0) + (record.system_s or 0)
            self.job_s += record.wall_s or 0

    def final(self, job: Job, record: JobResult) -> None:
        """A job's record is final."""
        self.jobs += 1
        if self.log is not None:
            self.log.write(job, record)
        if record.wall_s is not None and (self.slowest is None or record.wall_s > (self.slowest.wall_s or 0)):
            self.slowest = record
        peak = record.max_rss_kib
        if peak is not None and (self.largest is None or peak > (self.largest.max_rss_kib or 0)):
            self.largest = record
        if not record.succeeded:
            self._failed(record)

    def _failed(self, record: JobResult) -> None:
        self.failed += 1
        self.timed_out += record.timed_out
        self.signalled += record.signal is not None and not record.timed_out
        self.before_output()
        line = f"job {record.seq} ({named(record.input)!r}) failed: {how_it_failed(record)}"
        self.tell(line, record.start_error is not None)

    def given_up(self) -> None:
        """Name no more jobs: they did not fail by themselves."""
        self.tell = lambda line, not_started: None

    def before_output(self) -> None:
        """Take the bar away."""
        if self.progress is not None:
            self.progress.clear()

    def before_wait(self, pool: Pool) -> float | None:
        """Show how far it is."""
        if self.progress is None:
            return None
        total = pool.jobs.total if pool.jobs.total is None else pool.jobs.total - pool.jobs.skipped
        return self.progress.show(self.jobs, self.failed, pool.running, total, pool.why_waiting)

    # --- asked at the end

    def status(self, pool: Pool) -> int:
        """The exit status."""
        if pool.wakeup.asked is not None:
            return EXIT_SIGNALLED + pool.wakeup.asked
        if pool.fatal is not None:
            return pool.fatal.status
        if not self.failed:
            return EXIT_OK
        return EXIT_TIMED_OUT if self.timed_out == self.failed else EXIT_FALSE

    def summary(self, pool: Pool) -> dict[str, Any]:
        """The figures of all jobs together."""
        slowest, largest = self.slowest, self.largest
        return {
            "status": self.status(pool),
            "jobs": self.jobs,
            "succeeded": self.jobs - self.failed,
            "failed": self.failed,
            "timed_out": self.timed_out,
            "signalled": self.signalled,
            "retried": pool.retried,
            "skipped": pool.jobs.skipped,
            "repeated": pool.jobs.repeated,
            "slots": pool.plan.slots,
            "wall_s": pool.wall_s,
            "cpu_s": round(self.cpu_s, 6),
            "busy_s": round(self.job_s, 6),
            "speed_up": round(self.job_s / pool.wall_s, 2) if pool.wall_s else None,
            "slowest_input": named(slowest.input) if slowest else None,
            "slowest_s": slowest.wall_s if slowest else None,
            "largest_input": named(largest.input) if largest else None,
            "largest_kib": largest.max_rss_kib if largest else None,
        }
