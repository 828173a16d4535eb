"""Demonstrate a pool: a fixed set of workers, and tasks.  See the documentation of multiprocessing.pool.

    parent  apply_async(1) apply_async(2) apply_async(3) … close() ······················ get() ► results, join()
               │  a queue of tasks                                                           ▲ a queue of results
    worker A   └─►──task 1──►──task 3──► …  ─────────────────────────────────────────────────┤
    worker B   └─►──task 2──────────►──task 4──► …  ─────────────────────────────────────────┘

Each check makes a pool of its own, after the pipes that its tasks use: the workers are forked with those. A task tells
on a channel that it has begun, and waits at a barrier until the parent opens it, for one task at a time.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import time
from collections.abc import Iterator, Sequence
from multiprocessing.pool import AsyncResult, Pool
from typing import Any

from ..process.procfs import children_of
from ..process.signals import ENDING
from . import deadline
from .channels import Barrier, Channel, recv, send
from .columns import TASK_COLUMNS
from .deadline import TooLong
from .harness import Demonstration, Evidence, Skip, Stage, wait_for_state

demonstration = Demonstration("pool", TASK_COLUMNS)
fork = multiprocessing.get_context("fork")  # on Linux the default, until Python 3.14
FEW_WORKERS, MANY_WORKERS = 2, 8  # as many as the processors, within these


# --- the workers' part


def task(number: int, seconds: float = 0.0, channel: int | None = None, barrier: int | None = None) -> tuple[Any, ...]:
    """A task: it says who did it and when, and its number squared."""
    started = time.monotonic()
    if channel is not None:
        send(channel, number)
    if barrier is not None:
        wait_at(barrier)
    time.sleep(seconds)
    return os.getpid(), started, time.monotonic(), number * number


def wait_at(barrier: int) -> None:
    """Wait until the parent opens the gate, for one task."""
    if not select.select([barrier], [], [], deadline.LIMIT_S)[0]:
        raise TooLong
    os.read(barrier, 1)


def fail(text: str) -> None:
    """A task that goes wrong."""
    raise LookupError(text)


# --- the parent's part


class Tasks:
    """A pool, and the tasks that it is given; each has a row."""

    def __init__(self, stage: Stage, pool: Pool, pids: Sequence[int]) -> None:
        self.stage = stage
        self.pool = pool
        self.pids = pids  # of the workers, as the kernel tells
        self.results: list[AsyncResult[tuple[Any, ...]]] = []
        self.rows: list[dict[str, Any]] = []

    def submit(self, *args: Any, **kwds: Any) -> AsyncResult[tuple[Any, ...]]:
        """pool.apply_async(task, args, kwds)."""
        row = {"task": args[0], "submitted_ms": self.stage.elapsed_ms(), "check": self.stage.rows[-1]["check"]}
        self.rows.append(row)
        self.stage.results.append(row)
        self.results.append(self.pool.apply_async(task, args, kwds))
        return self.results[-1]

    def get(self, number: int = -1) -> Any:
        """What the task gave; its row has when it was done, and by whom."""
        pid, started, ended, value = self.results[number].get(deadline.LIMIT_S)
        at = [self.stage.since_begun(moment) for moment in (started, ended)]
        self.rows[number].update(worker_pid=pid, started_ms=at[0], ended_ms=at[1], result=str(value))
        self.stage.event(pid, "begin", f"task {self.rows[number]['task']}", started)
        self.stage.event(pid, "done", f"task {self.rows[number]['task']}", ended)
        return value

    def get_all(self) -> list[Any]:
        """What all of them gave, in the order of submission."""
        return [self.get(number) for number in range(len(self.results))]

    def under_way(self, moment: float) -> int:
        """Return how many had begun at a moment (s, monotonic) and were not yet done."""
        spans = [result.get(deadline.LIMIT_S)[1:3] for result in self.results]
        return sum(started <= moment <= ended for started, ended in spans)

    def workers(self) -> set[int]:
        """Who did them."""
        return {row["worker_pid"] for row in self.rows}


@contextlib.contextmanager
def a_pool(stage: Stage, workers: int | None) -> Iterator[Tasks]:
    """A Pool(workers): closed when the block ends, and joined; terminated when it does not come to its end.

    A terminate of a pool that is only just starting may wait for ever for a lock that a worker holds.
    """
    before = set(children_of(os.getpid()))
    with new_pool(workers) as pool:
        pids = sorted(set(children_of(os.getpid())) - before)
        for number, pid in enumerate(pids, 1):
            stage.record_process(pid, f"worker {number}")
        try:
            yield Tasks(stage, pool, pids)
        except BaseException:
            stage.more_time()  # it must not wait for ever
            raise
        pool.close()
        pool.join()


@contextlib.contextmanager
def new_pool(workers: int | None) -> Iterator[Pool]:
    """Pool(workers), which no signal leaves half made: one of its threads would start workers for ever."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        with fork.Pool(workers, signal.pthread_sigmask, (signal.SIG_SETMASK, before)) as pool:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)  # a signal that came meanwhile is acted on here
            yield pool
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def workers_of(stage: Stage, at_least: int = 1) -> int:
    """How many workers a check's pool has."""
    workers: int = stage.options.get("workers") or min(max(os.cpu_count() or 1, FEW_WORKERS), MANY_WORKERS)
    if workers < at_least:
        raise Skip(f"it takes {at_least} workers, and -j {workers} was asked for")
    return workers


def default_size() -> int:
    """How many processors the system has; from Python 3.13, those that this process may use."""
    count = getattr(os, "process_cpu_count", os.cpu_count)
    return count() or 1


@demonstration.check("pool.default-size", "with no number given, as many workers as the system has processors")
def default_number(stage: Stage) -> Evidence:
    """Pool(): the children that this process has then, as /proc lists them."""
    with a_pool(stage, None) as tasks:
        return Evidence(f"{default_size()} workers", f"{len(tasks.pids)} workers")


@demonstration.check(
    "pool.apply-async-returns-at-once", "apply_async returns at once, while the task is still to be done"
)
def apply_async_returns_at_once(stage: Stage) -> Evidence:
    """The task waits at a barrier that is closed: nobody could have waited for its result."""
    channel, barrier = stage.channel(), stage.barrier()
    with a_pool(stage, 1) as tasks:
        result = tasks.submit(7, channel=channel.writing, barrier=barrier.reading)
        recv(channel.reading)
        ready, state = result.ready(), wait_for_state(tasks.pids[0], "S")
        barrier.open()
        value = tasks.get()
    seen = f"{'a' if ready else 'no'} result when it returned, worker in state {state}; with the gate open: {value}"
    return Evidence("no result when it returned, worker in state S; with the gate open: 49", seen)


@demonstration.check("pool.get-gives-the-result", "get waits for the result of a task, and gives it")
def get_gives_the_result(stage: Stage) -> Evidence:
    """apply_async(func, args, kwds): what the function returns in the worker, get returns here."""
    with a_pool(stage, 1) as tasks:
        tasks.submit(12, seconds=0.001)
        value = tasks.get()
        done_by = tasks.workers()
    where = "a worker" if done_by == set(tasks.pids) else f"process {done_by}"
    return Evidence("144, worked out by a worker", f"{value}, worked out by {where}")


@demonstration.check("pool.workers-are-reused", "more tasks than workers, no more PIDs than workers")
def workers_are_reused(stage: Stage) -> Evidence:
    """Every task says the PID of who did it."""
    workers = workers_of(stage)
    count = max(stage.options.get("tasks", 12), workers + 1)
    with a_pool(stage, workers) as tasks:
        for number in range(1, count + 1):
            tasks.submit(number, seconds=stage.options.get("seconds", 0.0))
        stage.more_time(count * stage.options.get("seconds", 0.0))
        tasks.get_all()
        strangers = tasks.workers() - set(tasks.pids)
    return Evidence(
        f"{count} tasks by at most {workers} processes, all workers",
        f"{count} tasks by {len(tasks.workers())} processes, {'others too' if strangers else 'all workers'}",
        held=len(tasks.workers()) <= workers and not strangers,
    )


@demonstration.check("pool.runs-in-parallel", "the most tasks under way at once equals the number of workers")
def runs_in_parallel(stage: Stage) -> Evidence:
    """Twice as many tasks as workers, each waiting at the gate: as many begin as there are workers, and no more."""
    workers = workers_of(stage)
    channel, barrier = stage.channel(), stage.barrier()
    with a_pool(stage, workers) as tasks:
        for number in range(1, 2 * workers + 1):
            tasks.submit(number, channel=channel.writing, barrier=barrier.reading)
        moment = all_begun(channel, tasks)
        for _ in tasks.results:
            barrier.open()
        tasks.get_all()
        under_way = tasks.under_way(moment)
    seen = "{} under way at once, by {} workers"
    return Evidence(seen.format(workers, workers), seen.format(under_way, len(tasks.pids)))


def all_begun(channel: Channel, tasks: Tasks) -> float:
    """Return a moment (s, monotonic) at which all tasks that can begin have: each worker is at the gate, or idle."""
    begun = 0
    while True:
        for pid in tasks.pids:
            wait_for_state(pid, "S")
        new = 0
        while select.select([channel.reading], [], [], 0 if begun >= len(tasks.pids) else deadline.LIMIT_S)[0]:
            recv(channel.reading)
            new += 1
            begun += 1
        if not new:
            return time.monotonic()


@demonstration.check(
    "pool.order", "completion order may differ from submission order; each result is still its own task's"
)
def order(stage: Stage) -> Evidence:
    """The first task waits until the second is done."""
    workers = workers_of(stage, at_least=2)
    barrier: Barrier = stage.barrier()
    with a_pool(stage, workers) as tasks:
        first = tasks.submit(3, barrier=barrier.reading)
        tasks.submit(4)
        second_value = tasks.get()
        first_ready = first.ready()
        barrier.open()
        values = [tasks.get(0), second_value]
    seen = "done in the order {}; results {}, {}"
    return Evidence(seen.format("2, 1", 9, 16), seen.format("1, 2" if first_ready else "2, 1", *values))


@demonstration.check("pool.close-refuses", "after close a submission raises")
def close_refuses(stage: Stage) -> Evidence:
    """What was submitted before is still done."""
    with a_pool(stage, 1) as tasks:
        tasks.submit(5)
        tasks.pool.close()
        refused = raised_by(lambda: tasks.pool.apply_async(task, (6,)))
        value = tasks.get()
    return Evidence("refused: ValueError; the one before: 25", f"refused: {refused}; the one before: {value}")


@demonstration.check(
    "pool.join-waits", "join waits until all tasks are done and the workers gone; join before close raises"
)
def join_waits(stage: Stage) -> Evidence:
    """A task is under way when join is called."""
    channel = stage.channel()
    with a_pool(stage, 1) as tasks:
        refused = raised_by(tasks.pool.join)
        results = [tasks.submit(number, 0.005, channel.writing) for number in (1, 2)]
        recv(channel.reading)
        tasks.pool.close()
        tasks.pool.join()
        done = sum(result.ready() for result in results)
        left = set(tasks.pids) & set(children_of(os.getpid()))
        tasks.get_all()
    return Evidence(
        "before close: ValueError; after join: 2 of 2 tasks done, 0 workers left",
        f"before close: {refused}; after join: {done} of 2 tasks done, {len(left)} workers left",
    )


def raised_by(call: Any) -> str:
    """The name of what a call raises; "nothing" when it returns."""
    try:
        call()
    except Exception as error:
        return type(error).__name__
    return "nothing"


@demonstration.check("pool.exception-reaches-get", "a worker's exception is raised again by get")
def exception_reaches_get(stage: Stage) -> Evidence:
    """The worker lives on, and does the next task."""
    with a_pool(stage, 1) as tasks:
        result = tasks.pool.apply_async(fail, ("no such key",))
        try:
            result.get(deadline.LIMIT_S)
            seen = "nothing"
        except LookupError as error:
            seen = f"{type(error).__name__}: {error}"
        tasks.submit(2)
        value = tasks.get()
        same = tasks.workers() == set(tasks.pids)
    went_on = f"the {'same' if same else 'next'} worker went on: {value}"
    return Evidence("get raised LookupError: no such key; the same worker went on: 4", f"get raised {seen}; {went_on}")
