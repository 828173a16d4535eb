"""Run jobs, so many at a time, and record how each went.

    source ─► start in a free slot ─► wait: a job ended ────► record it ─► again, or passed on and done
       ▲                                    a pipe has output ► keep it
       └────────────────────────────────────lines came in
                                            time is up ──────► end the job's whole tree
                                            asked to end ────► end every job's

The first jobs are started here; where there are many, threads start the others (see spawn_threads.py).
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import os
import signal
import time
from collections import deque
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING

from ..errors import EXIT_INTERNAL, LIMITS, CannotStart, IpcctlError
from ..process.procfs import Stat, require
from ..process.run import adopt_orphans, floor_kib
from ..process.signals import HIDDEN, Arrived, Signals, send_on
from ..process.spawn import cannot_start, start
from ..process.terminate import KILL_WITHIN_S, SCAN_EVERY_S, alive, end_descendants, kill, out_of_reach, signal_all
from ..process.tree import ended_children, not_found
from ..process.wait_status import has_children
from .job import Job, JobResult
from .job_tree import ChildCounter
from .jobs import JobSource
from .output import OutputForwarder, OutputStream, Writer
from .slots import Slot, Slots
from .template import Template
from .throttle import LOOK_EVERY_S, Throttle
from .wakeup import Wakeup

if TYPE_CHECKING:
    from resource import struct_rusage

    from ..process.agent import Report
    from .job_agents import JobAgents
    from .spawn_threads import SpawnThreads

MOST_DOUBLINGS = 64  # of the delay before a retry: a microsecond is half a million years by then
FEW = 50  # jobs: after so many starts, threads make the others


class Plan:
    """What is to be run, and how."""

    def __init__(self, template: Template, jobs: JobSource, slots: int) -> None:
        self.template = template
        self.jobs = jobs
        self.slots = slots
        self.mode = "group"  # how output is passed on, see OutputForwarder
        self.in_order = False
        self.tagged = False
        self.timeout_s: float | None = None
        self.grace_s = 5.0
        self.retries = 0
        self.delay_s = 0.0  # before the first retry; doubled with each
        self.halt = "never"  # on the first failure: "soon" starts no more, "now" ends those that run as well
        self.throttle = Throttle()


class Observer:
    """What a pool tells as it goes; this one does nothing of it."""

    def attempt(self, job: Job, began: bool) -> None:
        """An attempt began, or ended."""

    def final(self, job: Job, record: JobResult) -> None:
        """A job's record is final."""

    def given_up(self) -> None:
        """The pool ends before its time, for a reason that is told elsewhere: what ends now is ended by it."""

    def before_output(self) -> None:
        """Something is about to be written."""

    def before_wait(self, pool: Pool) -> float | None:
        """The pool will wait; returns when (time.monotonic) to be told again at the latest."""


class Pool:
    """Runs a plan; output is passed on to `sinks`, by descriptor. As Run, it waits for every child of this process."""

    def __init__(self, plan: Plan, sinks: Mapping[int, Writer], observer: Observer) -> None:
        self.plan = plan
        self.jobs = plan.jobs
        self.observer = observer
        self.wakeup = Wakeup(self._hand_on)
        self.forwarder = OutputForwarder(sinks, plan.mode, plan.in_order, plan.tagged, observer.before_output)
        self.retried = 0
        self.wall_s = 0.0
        self.fatal: CannotStart | None = None  # why nothing can be started any more
        self.out_of_reach: list[Stat] = []  # what may not be signalled by us, and so was left running
        self.not_found: str | None = None  # what is to be told of processes that could not be ended
        self.stopping = False  # no further job is to be started
        self.why_waiting: str | None = None  # what keeps the gate shut
        self._running: dict[int, Job] = {}  # by PID, in the order of their starts
        self._ending: list[Job] = []
        self._retries: list[tuple[float, int, Job]] = []  # a heap of retries, by when
        self._deferred: deque[Job] = deque()
        self._all_are_ending = False
        self._starter: SpawnThreads | None = None
        self._agents: JobAgents | None = None  # where a job's whole tree must be known
        self._started_here: set[int] = set()  # of the running, those that this thread started: their PIDs
        self._out_of_resources = False  # of processes or descriptors, until something ends
        self._final: deque[JobResult] = deque()
        self._starts = 0
        self._signals_handled = 0  # signals that asked to end
        self._throttle_again = 0.0
        self._watching = False  # the source

    @property
    def running(self) -> int:
        """How many jobs run now, or are being started."""
        starters = (self._starter, self._agents)
        return len(self._running) + sum(len(each.pending) for each in starters if each is not None)

    def _pending(self) -> list[Job]:
        """Those whose starts were asked for, and not told of yet."""
        return [job for each in (self._starter, self._agents) if each is not None for job in each.pending]

    def run(self) -> Generator[JobResult, None, None]:
        """Run everything; yields each job's final record as it ends. What is left when it is closed, is ended."""
        if self.plan.timeout_s is not None or self.plan.halt == "now":
            require("what a job starts could not be found, to be ended with it")
        self.begun = time.monotonic()
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, []) - HIDDEN
        self._environment = dict(os.environb)
        self._floor_kib = floor_kib()
        with self.wakeup, contextlib.ExitStack() as closing:
            self._child_counter = ChildCounter()
            closing.callback(self._child_counter.close)
            mode = self.plan.mode
            self.slots = Slots(self.plan.slots, mode != "ungroup", self.wakeup, mode == "line-buffer")
            closing.callback(self.slots.close)
            closing.callback(self._close_starter)
            if self.plan.timeout_s is not None:
                self._agents = self._new_agents(closing)
            adopt_orphans()
            try:
                yield from self._loop()
            except BaseException:
                self.stopping = self.forwarder.muted = True
                self.observer.given_up()
                try:
                    self._collect_spawned(all_of_them=True)
                finally:
                    self._end_all()
                raise
            finally:
                self.wall_s = round(time.monotonic() - self.begun, 6)

    def _loop(self) -> Generator[JobResult, None, None]:
        while True:
            if not self.stopping:
                self._start_ready()
            if self._final:
                self.observer.before_output()
                while self._final:
                    yield self._final.popleft()
            if self._is_over():
                break
            self._wait()
        if self._signals_handled or (self.stopping and self.plan.halt == "now"):
            self._end_all()
        for job in self._deferred:
            self.forwarder.cancelled(job)
        for each in tuple(self.slots.streams.values()):  # what is left of those that jobs left behind
            self._read(each)

    def _is_over(self) -> bool:
        if self.running or self._ending or self._final:
            return False
        return self.stopping or (self.jobs.exhausted and not self._retries and not self._deferred)

    # --- starting

    def _could_start(self) -> bool:
        return not self._out_of_resources and self.slots.any_free() and not self.stopping

    def _start_ready(self) -> None:
        while self._could_start():
            if not self._may_start():
                return
            job = self._next()
            if job is None:
                return
            self._start(job)

    def _may_start(self) -> bool:
        if not self.plan.throttle.enabled:
            return True
        now = time.monotonic()
        if now >= self._throttle_again:
            self.why_waiting = self.plan.throttle.reason_to_wait()
            self._throttle_again = now + LOOK_EVERY_S if self.why_waiting else now
        return self.why_waiting is None

    def _next(self) -> Job | None:
        if self._deferred:
            return self._deferred.popleft()
        if self._retries and self._retries[0][0] <= time.monotonic():
            return heapq.heappop(self._retries)[2]
        if self.jobs.exhausted or self.forwarder.backed_up:
            return None
        fresh = self.jobs.next()
        if fresh is not None:
            self.forwarder.submitted(fresh)
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
        job.missed = ()
        self._starts += 1
        argv = self.plan.template.argv(job.arguments, job.seq, slot.number)
        job.record = JobResult(argv, job.seq, slot.number, job.input, job.attempts)
        for each in slot.streams if self.plan.tagged else ():
            each.tag = self.forwarder.tag(job)
        if self._starts == FEW:
            self._starter = self._new_starter()
        if self._agents is not None:
            self._start_by_agent(self._agents, job, job.record)
        elif self._starter is None:
            self._start_here(job)
        else:
            self._starter.send(job)

    def _start_here(self, job: Job) -> None:
        assert job.slot is not None and job.record is not None
        job.begins()
        try:
            pid = start(job.record.argv, job.slot.actions, self._mask, self._environment)
        except CannotStart as error:
            self._not_started(job, job.record, error)
            return
        self._started_here.add(pid)
        self._has_started(job, pid)
        self._send_missed(job, pid)

    def _start_by_agent(self, agents: JobAgents, job: Job, record: JobResult) -> None:
        try:
            agents.send(job)
        except CannotStart as error:
            self._not_started(job, record, error)

    def _has_started(self, job: Job, pid: int) -> None:
        assert job.record is not None
        job.pid = job.record.pid = pid
        self._running[pid] = job
        self.observer.attempt(job, True)
        if self._all_are_ending:
            self._begin_to_end(job)

    def _new_starter(self) -> SpawnThreads | None:
        """Where slots are several, and have no agents."""
        if self.plan.slots == 1 or self._agents is not None:
            return None
        from .spawn_threads import SpawnThreads

        try:
            return SpawnThreads(self._mask, self._environment, self.wakeup.wake)
        except (AttributeError, OSError, RuntimeError):  # a libc without such a call, no more threads
            return None

    def _new_agents(self, closing: contextlib.ExitStack) -> JobAgents:
        from .job_agents import JobAgents

        agents = JobAgents(self._mask, self._environment)
        closing.callback(agents.close)
        self.wakeup.watch(agents.reading)
        closing.callback(self.wakeup.forget, agents.reading)
        return agents

    def _close_starter(self) -> None:
        if self._starter is not None:
            self._starter.close()

    def _collect_spawned(self, all_of_them: bool = False) -> None:
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
            else:
                self._send_missed(job, pid)

    def _hear_agents(self) -> None:
        """Take in what the agents have told."""
        if self._agents is None:
            return
        from ..process.agent import ENDED, NOT_STARTED, STARTED
        from .job_agents import why_not_started

        for job, report in self._agents.reports():
            assert job.record is not None
            if report.kind == STARTED:
                self._has_started(job, report.pid)
                self._send_missed(job, report.pid)
            elif report.kind == NOT_STARTED:
                self._not_started(job, job.record, why_not_started(job.record.argv[0], report))
            elif report.kind == ENDED:
                self._ended_by_agent(self._running.pop(report.pid), report)

    def _ended_by_agent(self, job: Job, report: Report) -> None:
        self._floor_kib = max(self._floor_kib, report.floor_kib)
        self._ended(job, report.code, report.usage, report.at)
        if job.left and job.slot is not None and job.slot.agent is not None:  # it is being ended
            job.slot.agent.tell_when_empty()

    def _agent_lost(self, job: Job) -> None:
        """Its agent was killed: the job itself is our child now, and is ended; who had lost its parent is left."""
        assert job.record is not None
        if job.pid is not None:
            self._begin_to_end(job)
            job.grace_until = 0.0
        elif job.grace_until is None:
            killed = CannotStart("the process that was to start it was killed", EXIT_INTERNAL)
            self._not_started(job, job.record, killed)

    def _not_started(self, job: Job, record: JobResult, error: CannotStart) -> None:
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
        self._deferred.append(job)
        self._out_of_resources = until_something_ends
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
                self.jobs.source.fill()
        self._collect_spawned()
        self._hear_agents()
        self._collect()
        self._collect_spawned()  # of those that had ended before we heard of them
        if self.wakeup.asks > self._signals_handled:
            self._asked_to_end()
        if self._ending or self.plan.timeout_s is not None:
            self._check_timeouts(time.monotonic())

    def _watch_source(self) -> None:
        """Only while a job could be started if a line came."""
        descriptor = self.jobs.source.descriptor
        wanted = (
            descriptor is not None and not self.stopping and not self.jobs.source.ended and not self.why_waiting
            and not self._out_of_resources and not self._deferred and not self.forwarder.backed_up
            and self.slots.any_free()
        )  # fmt: skip
        if descriptor is not None and wanted != self._watching:
            self._watching = wanted
            (self.wakeup.watch if wanted else self.wakeup.forget)(descriptor)

    def _deadline(self) -> float | None:
        moments = [each.grace_until for each in self._ending if each.grace_until is not None]
        if (first := self._first_to_time_out()) is not None:
            moments.append(first.begun + (self.plan.timeout_s or 0))
        if self._could_start():  # else these moments may be over, and nothing is done about it
            moments += [self._throttle_again] if self.why_waiting else [each[0] for each in self._retries[:1]]
        if (told := self.observer.before_wait(self)) is not None:
            moments.append(told)
        return min(moments, default=None)

    def _first_to_time_out(self) -> Job | None:
        if self.plan.timeout_s is None:
            return None
        return next((each for each in self._running.values() if each.grace_until is None), None)

    def _read(self, stream: OutputStream) -> None:
        closed = stream.read()
        if stream.line_buffered:
            self.forwarder.on_output(stream, at_end=closed)
        if closed:
            self._out_of_resources = False
            self.slots.ended(stream)

    # --- ending

    def _collect(self) -> None:
        """Wait for every child that has ended, adopted ones too."""
        for pid, wait_status, usage in ended_children():
            self._out_of_resources = False
            job = self._running.pop(pid, None)
            if job is not None:
                self._ended(job, wait_status, usage, time.monotonic())
            elif self._starter is not None and self._starter.pending:
                self._starter.keep(pid, (wait_status, usage, time.monotonic()))
            elif self._agents is not None:
                self._hear_agents()  # its last words, where it was one
                if (job := self._agents.lost(pid)) is not None:
                    self._agent_lost(job)

    def _reap(self) -> bool:
        """Collect what has ended; False when there is no child any more."""
        self._collect()
        return has_children()

    def _ended(self, job: Job, wait_status: int, usage: struct_rusage, at: float) -> None:
        if usage.ru_maxrss > self._floor_kib:  # perhaps we have grown
            self._floor_kib = max(self._floor_kib, floor_kib())
        assert job.record is not None
        job.record.ended(wait_status, usage, at - job.begun, self._floor_kib)
        job.pid = None
        self._out_of_resources = False
        self._started_here.discard(job.record.pid or 0)
        self.observer.attempt(job, False)
        if job.grace_until is None:  # else all of its tree must have ended
            self._attempt_is_over(job)

    def _attempt_is_over(self, job: Job) -> None:
        """Be done with it. Where all is given up for what cannot be written, that may fail again and is no matter."""
        try:
            self._settle(job)
        except IpcctlError:
            if not self.forwarder.muted:
                raise

    def _settle(self, job: Job) -> None:
        """Take its output, free its slot, and run it again or be done with it."""
        slot, record = job.slot, job.record
        assert slot is not None and record is not None
        for stream in slot.streams:
            stream.read()
        self.forwarder.attempt_ended(job, slot.streams)
        if self._others_may_write(job, slot):
            self.slots.leave_pipes(slot, self.forwarder.tag(job))
        self.slots.give_back(slot)
        if not record.succeeded and job.attempts <= self.plan.retries and not self.stopping:
            self.retried += 1
            job.grace_until = None
            again = time.monotonic() + self.plan.delay_s * 2.0 ** min(job.attempts - 1, MOST_DOUBLINGS)
            heapq.heappush(self._retries, (again, self._starts, job))
        else:
            self._is_final(job, record)

    def _others_may_write(self, job: Job, slot: Slot) -> bool:
        """Whether the job left some running, who may have its output still."""
        if self._agents is None:
            return self._child_counter.has_others(len(self._started_here))
        if job.left:
            self._agents.release(slot)
        return slot.agent is None

    def _is_final(self, job: Job, record: JobResult) -> None:
        self.forwarder.ended(job)
        self.observer.final(job, record)
        self._final.append(record)
        if not record.succeeded and self.plan.halt != "never" and not self.stopping:
            self._stop()
            if self.plan.halt == "now":
                self._end_running()

    def _stop(self) -> None:
        """Start nothing any more; those that waited to be tried again have failed."""
        self.stopping = True
        while self._retries:
            job = heapq.heappop(self._retries)[2]
            assert job.record is not None
            self._is_final(job, job.record)

    def _hand_on(self, info: Arrived) -> None:
        """Hand a signal to every job: one that asks nobody to end is theirs to act on."""
        for pid, job in self._running.items():
            self._send(info, job, pid)
        for job in self._pending():
            job.missed = [*job.missed, info]

    def _send(self, info: Arrived, job: Job, pid: int) -> None:
        with contextlib.suppress(PermissionError, ProcessLookupError):  # of a set-user-ID program; it has ended
            if job.holds_its_pid() and not self.wakeup.signals.has_it_too(info, pid):
                send_on(info, pid)

    def _send_missed(self, job: Job, pid: int) -> None:
        """Send a job, which runs, what came before we knew of it."""
        for info in job.missed:
            self._send(info, job, pid)
        job.missed = ()

    def _asked_to_end(self) -> None:
        first = not self._signals_handled
        self._signals_handled = self.wakeup.asks
        self._stop()
        if first:
            self._end_running()
        else:  # somebody is in a hurry
            for each in self._ending:
                each.grace_until = 0.0

    def _end_running(self) -> None:
        self._collect_spawned(all_of_them=True)
        for each in self._running.values():
            self._begin_to_end(each)
        self._all_are_ending = True  # those that agents are about to start, too

    def _begin_to_end(self, job: Job) -> None:
        if job.grace_until is None:
            job.refused = bool(signal_all(job.tree, signal.SIGTERM, wake=True))
            job.grace_until = time.monotonic() + self.plan.grace_s
            job.give_up = job.grace_until + KILL_WITHIN_S
            self._ending.append(job)

    def _check_timeouts(self, now: float) -> None:
        while (first := self._first_to_time_out()) is not None and now >= first.begun + (self.plan.timeout_s or 0):
            assert first.record is not None
            first.record.timed_out = True
            self._begin_to_end(first)
        for job in tuple(self._ending):
            if job.refused and (left := out_of_reach(job.tree)):
                self._leave_running(job, left)
            elif job.gone:
                self._ending.remove(job)
                self._attempt_is_over(job)
            elif job.grace_until is not None and now >= job.grace_until:
                if now > job.give_up:
                    who = ", ".join(f"{each.pid} ({each.name})" for each in alive(job.tree))
                    raise IpcctlError(f"job {job.seq} ({job.input!r}) does not end even by SIGKILL: {who}")
                kill(job.tree)
                job.refused = True  # perhaps: now all others have been killed
                job.grace_until = time.monotonic() + SCAN_EVERY_S

    def _leave_running(self, job: Job, left: list[Stat]) -> None:
        """Be done with a job of which there are left only those that may not be signalled."""
        assert job.record is not None
        self.out_of_reach += left
        if job.pid is not None:
            del self._running[job.pid]
            self._started_here.discard(job.pid)
            job.record.left_running(time.monotonic() - job.begun)
            job.pid, job.left = None, True
        self._ending.remove(job)
        self._attempt_is_over(job)

    def _end_all(self) -> None:
        """End whatever is below this process, what jobs left behind as well."""
        grace_s = 0.0 if self._signals_handled > 1 else self.plan.grace_s
        if self._agents is not None:
            self._agents.kill()
            self._hear_agents()
            self._agents.forget()
        with Signals() as signals:
            started = self._running.keys()
            refused = end_descendants(signals, self._reap, grace_s, signal.SIGTERM, started)
        self.out_of_reach += refused
        self.not_found = not_found()
        for job in self._ending:
            self._attempt_is_over(job)
        self._ending.clear()
