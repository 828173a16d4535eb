"""Run jobs, so many at a time, and record how each went.

    source ─► start in a free slot ─► wait: a job ended ────► record it ─► again, or passed on and done
       ▲                                    a pipe has output ► keep it
       └────────────────────────────────────lines came in
                                            time is up ──────► end the job's whole tree
                                            asked to end ────► end every job's

The first jobs are started here; where there are many, threads start the others (see starter.py).
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import os
import signal
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from typing import TYPE_CHECKING

from ..errors import LIMITS, CannotStart, IpcctlError
from ..process.procfs import peak_rss_kib
from ..process.run import PEAK_NOISE_KIB, adopt_orphans
from ..process.signals import Signals
from ..process.spawn import cannot_start, start
from ..process.stop import KILL_WITHIN_S, SCAN_EVERY_S, alive, end_descendants, kill, signal_family
from ..process.tree import children_of_ours, ended_children, others_are_left
from .family import Kin, Marks
from .feed import Feed
from .gate import LOOK_EVERY_S, Gate
from .job import Job, JobRecord
from .output import Stream
from .passing import Passer
from .slots import Slots
from .template import Template
from .wakeup import Wakeup

if TYPE_CHECKING:
    from resource import struct_rusage

    from ..report.sink import Sink
    from .starter import Starter

FEW = 50  # jobs: after so many starts, threads make the others


class Plan:
    """What is to be run, and how."""

    def __init__(self, template: Template, feed: Feed, slots: int) -> None:
        self.template = template
        self.feed = feed
        self.slots = slots
        self.mode = "whole"  # how output is passed on, see Passer
        self.in_order = False
        self.tagged = False
        self.timeout_s: float | None = None
        self.grace_s = 5.0
        self.retries = 0
        self.delay_s = 0.0  # before the first retry; doubled with each
        self.halt = "never"  # on the first failure: "soon" starts no more, "now" ends those that run as well
        self.gate = Gate()


class Observer:
    """What a pool tells as it goes; this one does nothing of it."""

    def attempt(self, job: Job, began: bool) -> None:
        """An attempt began, or ended."""

    def final(self, job: Job, record: JobRecord) -> None:
        """A job's record is final."""

    def given_up(self) -> None:
        """The pool ends before its time, for a reason that is told elsewhere: what ends now is ended by it."""

    def before_output(self) -> None:
        """Something is about to be written."""

    def before_wait(self, pool: Pool) -> float | None:
        """The pool will wait; returns when (time.monotonic) to be told again at the latest."""


class Pool:
    """Runs a plan; output is passed on to `sinks`, by descriptor."""

    def __init__(self, plan: Plan, sinks: Mapping[int, Sink], observer: Observer) -> None:
        self.plan = plan
        self.feed = plan.feed
        self.observer = observer
        self.wakeup = Wakeup()
        self.passer = Passer(sinks, plan.mode, plan.in_order, plan.tagged, self._interruptible)
        self.retried = 0
        self.wall_s = 0.0
        self.fatal: CannotStart | None = None  # why nothing can be started any more
        self.stopping = False  # no further job is to be started
        self.why_waiting: str | None = None  # what keeps the gate shut
        self._running: dict[int, Job] = {}  # by PID, in the order of their starts
        self._ending: list[Job] = []
        self._again: list[tuple[float, int, Job]] = []  # a heap of retries, by when
        self._put_back: deque[Job] = deque()
        self._starter: Starter | None = None
        self._ours: set[int] = set()  # of the running, those that this thread started: their PIDs
        self._short = False  # of processes or descriptors, until something ends
        self._final: deque[JobRecord] = deque()
        self._starts = 0
        self._answered = 0  # signals that asked to end
        self._gate_at = 0.0
        self._watching = False  # the source

    @property
    def running(self) -> int:
        """How many jobs run now, or are being started."""
        return len(self._running) + (self._starter.pending if self._starter else 0)

    def run(self) -> Generator[JobRecord, None, None]:
        """Run everything; yields each job's final record as it ends. What is left when it is closed, is ended."""
        self.begun = time.monotonic()
        self._spared = children_of_ours()
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        self._environment = dict(os.environb)
        self._floor_kib = (peak_rss_kib() or 0) + PEAK_NOISE_KIB
        with self.wakeup, contextlib.ExitStack() as closing:
            self._marks = Marks(self.plan.timeout_s is not None)
            closing.callback(self._marks.clear)
            self._kin = Kin()
            closing.callback(self._kin.close)
            mode = self.plan.mode
            self.slots = Slots(self.plan.slots, mode != "straight", self.wakeup, mode == "lines")
            closing.callback(self.slots.close)
            closing.callback(self._close_starter)
            adopt_orphans()
            try:
                yield from self._loop()
            except BaseException:
                self.stopping = self.passer.muted = True
                self.observer.given_up()
                try:
                    self._hear_of_starts(all_of_them=True)
                finally:
                    self._end_all()
                raise
            finally:
                self.wall_s = round(time.monotonic() - self.begun, 6)

    def _loop(self) -> Generator[JobRecord, None, None]:
        while True:
            if not self.stopping:
                self._start_what_may()
            if self._final:
                with self._interruptible():
                    while self._final:
                        yield self._final.popleft()
            if self._is_over():
                break
            self._wait()
        if self._answered or (self.stopping and self.plan.halt == "now"):
            self._end_all()
        for job in self._put_back:
            self.passer.left_out(job)
        for each in tuple(self.slots.streams.values()):  # what is left of those that jobs left behind
            self._read(each)

    def _is_over(self) -> bool:
        if self.running or self._ending or self._final:
            return False
        return self.stopping or (self.feed.exhausted and not self._again and not self._put_back)

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """While something is written, to somebody who may not read it."""
        self.observer.before_output()
        with self.wakeup.interruptible():
            yield

    # --- starting

    def _start_what_may(self) -> None:
        while not self._short and self.slots.any_free() and not self.stopping:
            if not self._gate_is_open():
                return
            job = self._next()
            if job is None:
                return
            self._start(job)

    def _gate_is_open(self) -> bool:
        if not self.plan.gate.ever_shuts:
            return True
        now = time.monotonic()
        if now >= self._gate_at:
            self.why_waiting = self.plan.gate.shut()
            self._gate_at = now + LOOK_EVERY_S if self.why_waiting else now
        return self.why_waiting is None

    def _next(self) -> Job | None:
        if self._put_back:
            return self._put_back.popleft()
        if self._again and self._again[0][0] <= time.monotonic():
            return heapq.heappop(self._again)[2]
        if self.feed.exhausted or self.passer.backed_up:
            return None
        fresh = self.feed.next()
        if fresh is not None:
            self.passer.taken(fresh)
        return fresh

    def _start(self, job: Job) -> None:
        try:
            slot = self.slots.take()
        except OSError as error:
            some_will_come = self.running > 0 or self.slots.some_are_left
            why = cannot_start(self.plan.template.words[0], error)
            self._put_off(job, why, error.errno in LIMITS and self.slots.no_more() and some_will_come)
            return
        job.slot = slot
        job.attempts += 1
        self._starts += 1
        argv = self.plan.template.argv(job.arguments, job.seq, slot.number)
        job.record = JobRecord(argv, job.seq, slot.number, job.input, job.attempts)
        for each in slot.streams if self.plan.tagged else ():
            each.tag = self.passer.tag(job)
        if self._starts == FEW:
            self._starter = self._new_starter()
        if self._starter is None:
            self._start_here(job)
        else:
            self._starter.send(job)

    def _start_here(self, job: Job) -> None:
        assert job.slot is not None and job.record is not None
        job.mark = self._marks.set(self._starts)
        job.begins()
        try:
            pid = start(job.record.argv, job.slot.actions, self._mask, self._environment)
        except CannotStart as error:
            self._not_started(job, job.record, error)
            return
        self._ours.add(pid)
        self._has_started(job, pid)

    def _has_started(self, job: Job, pid: int) -> None:
        assert job.record is not None
        job.pid = job.record.pid = pid
        self._running[pid] = job
        self.observer.attempt(job, True)

    def _new_starter(self) -> Starter | None:
        """Where slots are several; with a time-out starts are marked, which is for one at a time."""
        if self.plan.slots == 1 or self.plan.timeout_s is not None:
            return None
        from .starter import Starter

        try:
            return Starter(self._mask, self._environment, self.wakeup.wake)
        except (AttributeError, OSError, RuntimeError):  # a libc without such a call, no more threads
            return None

    def _close_starter(self) -> None:
        if self._starter is not None:
            self._starter.close()

    def _hear_of_starts(self, all_of_them: bool = False) -> None:
        """Take the threads' answers; `all_of_them`: wait until none is missing."""
        if self._starter is None:
            return
        for job, pid in self._starter.answers(all_of_them):
            if pid is None:
                self._start_here(job)
                continue
            self._has_started(job, pid)
            ended = self._starter.kept(pid)
            if ended is not None:
                self._ended(self._running.pop(pid), *ended)

    def _not_started(self, job: Job, record: JobRecord, error: CannotStart) -> None:
        """A limit is waited for, while something runs; what no job can start, ends all; else the job has failed."""
        assert job.slot is not None
        if error.errno in LIMITS:
            self.slots.give_back(job.slot)
            job.attempts -= 1
            self._put_off(job, error, self.running > 0)
        elif self.plan.template.fixed_program and error.errno not in (None, errno.E2BIG):
            self.slots.give_back(job.slot)
            self._cannot(error)
        else:
            record.start_error, record.status, record.started = str(error), error.status, None
            self._attempt_is_over(job)

    def _put_off(self, job: Job, why: CannotStart, until_something_ends: bool) -> None:
        """Start it later, when something has ended; where nothing will, that is the end of all."""
        self._put_back.append(job)
        self._short = until_something_ends
        if not until_something_ends:
            self._cannot(why)

    def _cannot(self, error: CannotStart) -> None:
        self.fatal = error
        self._stop()

    # --- waiting

    def _wait(self) -> None:
        self._watch_source()
        for descriptor in self.wakeup.wait(self._deadline()):
            stream = self.slots.streams.get(descriptor)
            if stream is not None:
                self._read(stream)
            elif self._watching:
                self.feed.source.fill()
        self._hear_of_starts()
        self._collect()
        self._hear_of_starts()  # of those that had ended before we heard of them
        if self.wakeup.asks > self._answered:
            self._asked_to_end()
        if self._ending or self.plan.timeout_s is not None:
            self._look_at_the_clock(time.monotonic())

    def _watch_source(self) -> None:
        """Only while a job could be started if a line came."""
        descriptor = self.feed.source.descriptor
        wanted = (
            descriptor is not None and not self.stopping and not self.feed.source.ended and not self.why_waiting
            and not self._short and not self._put_back and not self.passer.backed_up and self.slots.any_free()
        )  # fmt: skip
        if descriptor is not None and wanted != self._watching:
            self._watching = wanted
            (self.wakeup.watch if wanted else self.wakeup.forget)(descriptor)

    def _deadline(self) -> float | None:
        moments = [each.grace_until for each in self._ending if each.grace_until is not None]
        if (first := self._first_to_time_out()) is not None:
            moments.append(first.begun + (self.plan.timeout_s or 0))
        if self._again and not self.stopping and self.slots.any_free() and not self.why_waiting:
            moments.append(self._again[0][0])
        if self.why_waiting and not self.stopping:
            moments.append(self._gate_at)
        if (told := self.observer.before_wait(self)) is not None:
            moments.append(told)
        return min(moments, default=None)

    def _first_to_time_out(self) -> Job | None:
        if self.plan.timeout_s is None:
            return None
        return next((each for each in self._running.values() if each.grace_until is None), None)

    def _read(self, stream: Stream) -> None:
        closed = stream.read()
        if stream.line_buffered:
            self.passer.came(stream, at_end=closed)
        if closed:
            self._short = False
            self.slots.ended(stream)

    # --- ending

    def _collect(self) -> None:
        """Wait for every child that has ended, adopted ones too."""
        for pid, wait_status, usage in ended_children():
            self._short = False
            job = self._running.pop(pid, None)
            if job is not None:
                self._ended(job, wait_status, usage, time.monotonic())
            elif pid in self._spared:
                self._spared -= {pid}
            elif self._starter is not None and self._starter.pending:
                self._starter.keep(pid, (wait_status, usage, time.monotonic()))

    def _reap(self) -> bool:
        """Collect what has ended; False when there is no child but the spared."""
        self._collect()
        return others_are_left(self._spared)

    def _ended(self, job: Job, wait_status: int, usage: struct_rusage, at: float) -> None:
        if usage.ru_maxrss > self._floor_kib:  # perhaps we have grown
            self._floor_kib = max(self._floor_kib, (peak_rss_kib() or 0) + PEAK_NOISE_KIB)
        assert job.record is not None
        job.record.ended(wait_status, usage, at - job.begun, self._floor_kib)
        job.pid = None
        self._short = False
        self._ours.discard(job.record.pid or 0)
        self.observer.attempt(job, False)
        if job.grace_until is None:  # else all of its tree must have ended
            self._attempt_is_over(job)

    def _attempt_is_over(self, job: Job) -> None:
        """Be done with it. Where all is given up for what cannot be written, that may fail again and is no matter."""
        try:
            self._settle(job)
        except IpcctlError:
            if not self.passer.muted:
                raise

    def _settle(self, job: Job) -> None:
        """Take its output, free its slot, and run it again or be done with it."""
        slot, record = job.slot, job.record
        assert slot is not None and record is not None
        for stream in slot.streams:
            stream.read()
        self.passer.attempt_ended(job, slot.streams)
        if self._kin.beside(len(self._ours) + len(self._spared)):
            self.slots.leave_pipes(slot, self.passer.tag(job))
        self.slots.give_back(slot)
        if not record.succeeded and job.attempts <= self.plan.retries and not self.stopping:
            self.retried += 1
            job.grace_until = None
            again = time.monotonic() + self.plan.delay_s * 2 ** (job.attempts - 1)
            heapq.heappush(self._again, (again, self._starts, job))
        else:
            self._is_final(job, record)

    def _is_final(self, job: Job, record: JobRecord) -> None:
        self.passer.ended(job)
        self.observer.final(job, record)
        self._final.append(record)
        if not record.succeeded and self.plan.halt != "never" and not self.stopping:
            self._stop()
            if self.plan.halt == "now":
                self._end_running()

    def _stop(self) -> None:
        """Start nothing any more; those that waited to be tried again have failed."""
        self.stopping = True
        while self._again:
            job = heapq.heappop(self._again)[2]
            assert job.record is not None
            self._is_final(job, job.record)

    def _asked_to_end(self) -> None:
        first = not self._answered
        self._answered = self.wakeup.asks
        self._stop()
        if first:
            self._end_running()
        else:  # somebody is in a hurry
            for each in self._ending:
                each.grace_until = 0.0

    def _end_running(self) -> None:
        self._hear_of_starts(all_of_them=True)
        for each in self._running.values():
            self._begin_to_end(each)

    def _begin_to_end(self, job: Job) -> None:
        if job.grace_until is None:
            signal_family(job.family, signal.SIGTERM, wake=True)
            job.grace_until = time.monotonic() + self.plan.grace_s
            job.give_up = job.grace_until + KILL_WITHIN_S
            self._ending.append(job)

    def _look_at_the_clock(self, now: float) -> None:
        while (first := self._first_to_time_out()) is not None and now >= first.begun + (self.plan.timeout_s or 0):
            assert first.record is not None
            first.record.timed_out = True
            self._begin_to_end(first)
        for job in tuple(self._ending):
            if job.pid is None and not job.family.heads():
                self._ending.remove(job)
                self._attempt_is_over(job)
            elif job.grace_until is not None and now >= job.grace_until:
                if now > job.give_up:
                    left = ", ".join(f"{each.pid} ({each.name})" for each in alive(job.family))
                    raise IpcctlError(f"job {job.seq} ({job.input!r}) does not end even by SIGKILL: {left}")
                kill(job.family)
                job.grace_until = time.monotonic() + SCAN_EVERY_S

    def _end_all(self) -> None:
        """End whatever is below this process, what jobs left behind as well."""
        grace_s = 0.0 if self._answered > 1 else self.plan.grace_s
        with Signals() as signals:
            end_descendants(signals, self._reap, grace_s, signal.SIGTERM, self._spared)
        for job in self._ending:
            self._attempt_is_over(job)
        self._ending.clear()
