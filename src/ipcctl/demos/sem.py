"""Demonstrate a semaphore: so many at a time, the others wait.  See sem_overview(7), multiprocessing.Semaphore.

    Semaphore(3)    acquire: 3 → 2 → 1 → 0 ╎ a fourth waits ╎ release: 0 → 1 ──► it enters: 1 → 0

    task 1  ━━━━━━━━━━━━━━━━━┓                     three are inside; whoever leaves
    task 2  ━━━━━━━━━━━━━━━━━┿━━━━━━━━━            lets the next one in
    task 3  ━━━━━━━━━━━━━━━━━┿━━━━━
    task 4  acquire ░░░░░░░░░┗━━━━━━━━━━━

It keeps no list of who holds it. Whoever is killed inside never releases: the slot is lost (`ipcctl sem run` uses a
semaphore of another kind, whose slots the kernel gives back).
"""

from __future__ import annotations

import multiprocessing
import os
import select
import time
from multiprocessing.synchronize import Semaphore

from ..report.model import Row
from .channels import Barrier, Channel, ending_child
from .columns import TURN_COLUMNS
from .harness import Demonstration, Evidence, Skip, Stage, state_of, wait_for_state

demonstration = Demonstration("sem", TURN_COLUMNS)


def sizes(stage: Stage) -> tuple[int, int]:
    """How many slots, and how many tasks for them."""
    return stage.options.get("slots", 3), stage.options.get("tasks", 8)


def semaphore_of(value: int) -> Semaphore:
    """A semaphore that the children inherit. Raises Skip where the system has none."""
    try:
        return multiprocessing.get_context("fork").Semaphore(value)
    except (ImportError, OSError) as error:
        raise Skip(f"no semaphore can be made here: {error}; it needs /dev/shm, mounted and writable") from None


def acquired_at_once(semaphore: Semaphore) -> int:
    """How many slots can be had without waiting: the semaphore itself says no to one more."""
    count = 0
    while semaphore.acquire(block=False):
        count += 1
    return count


@demonstration.check("sem.initial-value", "a semaphore begins with the value that it is given")
def initial_value(stage: Stage) -> Evidence:
    """get_value says it, in a child as well; and so many may be acquired at once, not one more."""
    channel, (slots, _) = stage.channel(), sizes(stage)
    semaphore = semaphore_of(slots)
    pid = os.fork()
    if pid == 0:
        with ending_child():
            channel.send(semaphore.get_value())
    stage.record_process(pid, "child")
    stage.wait(pid)
    value, in_child, acquired = semaphore.get_value(), channel.recv(), acquired_at_once(semaphore)
    return Evidence(
        f"get_value {slots}, in a child {slots}; {slots} acquired at once",
        f"get_value {value}, in a child {in_child}; {acquired} acquired at once",
    )


@demonstration.check("sem.acquire-decrements", "each acquire takes one from the value")
def acquire_decrements(stage: Stage) -> Evidence:
    """The value after each acquire, down to 0."""
    slots, _ = sizes(stage)
    semaphore = semaphore_of(slots)
    values = [semaphore.get_value()]
    for _ in range(slots):
        semaphore.acquire()
        values.append(semaphore.get_value())
    return Evidence(told(range(slots, -1, -1)), told(values))


@demonstration.check("sem.release-increments", "each release adds one to the value")
def release_increments(stage: Stage) -> Evidence:
    """The value after each release, by a process that never acquired: it belongs to nobody."""
    channel, (slots, _) = stage.channel(), sizes(stage)
    semaphore = semaphore_of(0)
    pid = os.fork()
    if pid == 0:
        with ending_child():
            for _ in range(slots):
                channel.send(semaphore.get_value())
                semaphore.release()
    stage.record_process(pid, "child")
    stage.wait(pid)
    return Evidence(told(range(slots + 1)), told([*channel.recv_all(), semaphore.get_value()]))


def told(values: range | list[int]) -> str:
    """The values one after the other; of many only the first and the last."""
    listed = list(map(str, values))
    return " → ".join(listed if len(listed) <= 10 else [*listed[:5], "…", *listed[-4:], f"({len(listed)} values)"])


@demonstration.check(
    "sem.blocks-at-zero",
    "acquire waits until another process releases; acquire(block=False) returns False",
)
def blocks_at_zero(stage: Stage) -> Evidence:
    """At 0 one way says no, and the other falls asleep in the kernel, until this process releases."""
    channel = stage.channel()
    semaphore = semaphore_of(0)
    pid = os.fork()
    if pid == 0:
        with ending_child():
            channel.send(semaphore.acquire(block=False))
            semaphore.acquire()
            channel.send(time.monotonic())
    stage.record_process(pid, "waits")
    at_once = channel.recv()
    state = wait_for_state(pid, "S Z gone")
    stage.event(pid, "waiting", f"state {state}")
    released = time.monotonic()
    semaphore.release()
    stage.event(stage.pid, "release")
    stage.wait(pid)
    returned = channel.recv() if wait_is_over(channel) else released
    return Evidence(
        "block=False: False; acquire: state S, and back after the release",
        f"block=False: {at_once}; acquire: state {state},"
        f" and {'back after the release' if returned > released else 'not kept waiting for it'}",
    )


def wait_is_over(channel: Channel) -> bool:
    """Whether something was told."""
    return bool(select.select([channel.reading], [], [], 0)[0])


class Turns:
    """Tasks that are started together. Each acquires, says so, stays inside until it is let out, and releases."""

    def __init__(self, stage: Stage, semaphore: Semaphore, tasks: int) -> None:
        self.stage = stage
        self.semaphore = semaphore
        self.channel, self.start, self.out = stage.channel(), stage.barrier(), stage.barrier()
        self.rows: dict[int, Row] = {number: {"task": number} for number in range(1, tasks + 1)}
        self.pids = {number: self.started(number) for number in self.rows}
        self.inside = self.left = self.most = 0

    def started(self, number: int) -> int:
        """Start one: its PID."""
        pid = os.fork()
        if pid == 0:
            with ending_child():
                self.task(number)
        self.stage.record_process(pid, f"task {number}")
        self.rows[number]["pid"] = pid
        return pid

    def task(self, number: int) -> None:
        """The task's part."""
        self.start.wait()
        called = time.monotonic()
        self.semaphore.acquire()
        self.channel.send((number, "enter", time.monotonic(), called, self.semaphore.get_value()))
        self.out.wait()
        self.channel.send((number, "leave", time.monotonic(), called, None))
        self.semaphore.release()

    def recv(self) -> None:
        """The next one that enters or leaves. It tells of leaving before it releases: nobody is counted too often."""
        number, event, moment, called, value = self.channel.recv()
        row, at = self.rows[number], self.stage.since_begun(moment)
        self.stage.event(self.pids[number], event, at=moment)
        if event == "leave":
            row["left_ms"] = at
            self.inside -= 1
            self.left += 1
            return
        self.inside += 1
        self.most = max(self.most, self.inside)
        row.update(waited_s=round(moment - called, 6), entered_ms=at, value_seen=value, inside=self.inside)

    def recv_all(self) -> None:
        """All that was told by now."""
        while wait_is_over(self.channel):
            self.recv()


@demonstration.check(
    "sem.at-most-n", "many tasks started together: never more than N inside, and N was reached"
)
def at_most_n(stage: Stage) -> Evidence:
    """When N are inside and all others asleep, count; then let one out, hear who enters, and count again."""
    slots, tasks = sizes(stage)
    turns = Turns(stage, semaphore_of(slots), tasks)
    open_for_all(turns.start, tasks)
    while turns.left < tasks:
        while turns.inside < min(slots, tasks - turns.left):
            turns.recv()
        if turns.left == 0:
            for pid in turns.pids.values():
                wait_for_state(pid, "S")
        turns.recv_all()
        turns.out.open()
        left = turns.left
        while turns.left == left:
            turns.recv()
    for pid in turns.pids.values():
        stage.wait(pid)
    stage.results.extend(turns.rows.values())
    return Evidence(f"at most {slots} of {tasks} inside at once", f"at most {turns.most} of {tasks} inside at once")


def open_for_all(barrier: Barrier, count: int) -> None:
    """Let so many through at once."""
    for _ in range(count):
        barrier.open()


@demonstration.check("sem.all-finish", "every task gets its turn")
def all_finish(stage: Stage) -> Evidence:
    """The same written plainly, `with semaphore`: wait for all, and see how each ended, and what the value is then."""
    (slots, tasks), channel, start = sizes(stage), stage.channel(), stage.barrier()
    semaphore = semaphore_of(slots)
    pids = []
    for number in range(tasks):
        pid = os.fork()
        if pid == 0:
            with ending_child():
                start.wait()
                with semaphore:
                    channel.send(number)
        stage.record_process(pid, f"task {number + 1}")
        pids.append(pid)
    open_for_all(start, tasks)
    statuses = [stage.wait(pid) for pid in pids]
    turns, gone = len(set(channel.recv_all())), sum(state_of(pid) == "gone" for pid in pids)
    return Evidence(
        f"{tasks} had their turn, {tasks} ended with status 0, {tasks} are gone, value {slots}",
        f"{turns} had their turn, {statuses.count(0)} ended with status 0, {gone} are gone,"
        f" value {semaphore.get_value()}",
    )
