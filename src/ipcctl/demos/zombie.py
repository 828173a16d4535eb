"""Demonstrate zombies: exited, not reaped.  See wait(2), signal(7), proc(5).

    child   ──work──► _exit(n)   Z   Z   Z   Z  (gone)
    parent  ──────────goes on────────────► wait() ──► n

The record of a process stays until its parent has collected its exit status. Here a parent has several children that
exit, and deals with them in each of the ways there are; it is watched from outside, by what /proc shows.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from ..process.procfs import argv_of, stat_of, status_of
from ..process.wait_status import decode
from .channels import ending_child
from .columns import STRATEGY_COLUMNS
from .harness import Demonstration, Evidence, Skip, Stage, hold, state_of, wait_for_state, wait_until_zombie

demonstration = Demonstration("zombie", STRATEGY_COLUMNS)


@demonstration.check("zombie.seen", "the child that exited and was not waited for is in state Z")
def seen(stage: Stage) -> Evidence:
    """The kernel says when it has exited (WNOWAIT leaves it as it is), and /proc says what it is then."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    stage.record_process(pid, "child")
    wait_until_zombie(pid)
    state = state_of(pid)
    stage.wait(pid)
    return Evidence("state Z", f"state {state}")


@demonstration.check(
    "zombie.keeps-record-only",
    "it keeps its PID, parent and exit status; it has no memory, no open files, no command line",
)
def keeps_record_only(stage: Stage) -> Evidence:
    """Its record before and after it exits. That its files are closed is seen at the other end of its pipe."""
    barrier, pipe = stage.barrier(), stage.channel()
    pid = os.fork()
    if pid == 0:
        with ending_child(7):
            barrier.wait()
    stage.record_process(pid, "child")
    before = f"{has_memory(pid)}, {has_command_line(pid)}"
    barrier.open()
    exit_status = decode(wait_until_zombie(pid))[0]
    stat = stat_of(pid)
    kept = f"PID {stat and stat.pid}, parent {stat and stat.ppid}, exit status {exit_status}"
    files = "no open files" if pipe.recv_all() == [] else "open files"  # the end of the file: nobody has it open
    after = f"{has_memory(pid)}, {files}, {has_command_line(pid)}"
    stage.wait(pid)
    return Evidence(
        f"before: memory, a command line; after: PID {pid}, parent {os.getpid()}, exit status 7;"
        " no memory, no open files, no command line",
        f"before: {before}; after: {kept}; {after}",
    )


def has_memory(pid: int) -> str:
    """Whether the process has an address space (VmSize in proc(5))."""
    return "memory" if "VmSize" in status_of(pid) else "no memory"


def has_command_line(pid: int) -> str:
    """Whether its arguments, which it keeps in its memory, can be read."""
    return "a command line" if argv_of(pid) else "no command line"


@demonstration.check("zombie.cannot-be-killed", "SIGKILL changes nothing")
def cannot_be_killed(stage: Stage) -> Evidence:
    """What has ended cannot be ended: state and exit status are as they were."""
    pid = os.fork()
    if pid == 0:
        os._exit(3)
    stage.record_process(pid, "child")
    wait_until_zombie(pid)
    os.kill(pid, signal.SIGKILL)
    stage.event(pid, "signal", "SIGKILL")
    state = state_of(pid)
    return Evidence("state Z, exited with 3", f"state {state}, {how_ended(stage.wait(pid))}")


def how_ended(wait_status: int) -> str:
    """A wait status in words."""
    exit_code, signal_name, _ = decode(wait_status)
    return f"ended by {signal_name}" if signal_name else f"exited with {exit_code}"


@demonstration.check(
    "zombie.wait-reaps",
    "os.wait() blocks until the child exits, returns (pid, status); WEXITSTATUS gives the code; the record is gone",
)
def wait_reaps(stage: Stage) -> Evidence:
    """The child exits only once the parent is seen asleep in its wait."""
    channel, barrier = stage.channel(), stage.barrier()
    parent = os.fork()
    if parent == 0:
        with ending_child():
            pid = os.fork()
            if pid == 0:
                with ending_child(5):
                    barrier.wait()
            channel.send(pid)
            channel.send(os.wait())
            barrier.wait()
    stage.record_process(parent, "parent that waits")
    child = channel.recv()
    stage.record_process(child, "child")
    blocked = f"state {wait_for_state(parent, 'S')}, child in state {wait_for_state(child, 'S')}"
    barrier.open()
    returned, wait_status = channel.recv()
    stage.ended(child, wait_status)
    record = state_of(child)
    barrier.open()
    stage.wait(parent)
    return Evidence(
        f"parent in state S, child in state S; returned PID {child}, exit code 5; record gone",
        f"parent in {blocked}; returned PID {returned}, exit code {os.WEXITSTATUS(wait_status)}; record {record}",
    )


# --- each way of dealing with children that exit, as the parent has it


class Family:
    """A parent with children that exit when they are let go, seen from outside; and what it does, from inside."""

    def __init__(self, stage: Stage, strategy: str, deal: Callable[[Family], None]) -> None:
        self.stage = stage
        self.count: int = stage.options.get("count", 5)
        self.born, self.channel = stage.channel(), stage.channel()
        self.go, self.all_exited, self.end = stage.barrier(), stage.barrier(), stage.barrier()
        self.parent = os.fork()
        if self.parent == 0:
            with ending_child():
                deal(self)
        stage.record_process(self.parent, f"parent, {strategy}")
        self.codes: dict[int, int] = dict(self.born.recv() for _ in range(self.count))
        for pid in self.codes:
            stage.record_process(pid, f"child, {strategy}")
        self.peak = 0

    # from inside

    def child(self, number: int) -> None:
        """A child's part: exit, when let go, with a code of its own."""
        with ending_child(number % 256):
            self.born.send((os.getpid(), number % 256))
            self.go.wait()

    def have_children(self) -> None:
        """The parent's part: fork them all."""
        for number in range(self.count):
            if os.fork() == 0:
                self.child(number)

    def send(self, statuses: list[tuple[int, int]], blocked_s: float = 0.0, more: Any = None) -> None:
        """The parent's part: say what it collected, and stay until it may end."""
        self.channel.send((dict(statuses), round(blocked_s * 1000, 3), more))
        self.end.wait()

    # from outside

    def zombies(self) -> list[int]:
        """The children that are zombies of this parent now.

        Each is looked at twice: the kernel has a record as Z for an instant even where it drops it at once.
        """
        found = [pid for pid in self.codes if self.is_zombie(pid) and self.is_zombie(pid)]
        self.peak = max(self.peak, len(found))
        return found

    def is_zombie(self, pid: int) -> bool:
        """Whether it is in state Z, and this parent's."""
        stat = stat_of(pid)
        return stat is not None and stat.state == "Z" and stat.ppid == self.parent

    def close_other_fds(self) -> None:
        """Let the children exit, and return when they all have."""
        for _ in self.codes:
            self.go.open()
        for pid in self.codes:
            while wait_for_state(pid, "R S D Z gone") not in ("Z", "gone"):
                self.zombies()
            self.stage.event(pid, "exit")
        self.zombies()
        self.all_exited.open()

    def told(self, strategy: str) -> tuple[str, Any]:
        """What came of it, in words and as a row: zombies left, statuses; and what more the parent told."""
        statuses, blocked_ms, more = self.channel.recv()
        left = len(self.zombies())
        self.stage.results.append({
            "strategy": strategy, "children": self.count, "zombies_at_peak": self.peak, "zombies_left": left,
            "statuses": len(statuses), "blocked_ms": blocked_ms,
        })  # fmt: skip
        right = sum(self.codes.get(pid) == os.WEXITSTATUS(status) for pid, status in statuses.items())
        return f"{left} zombies left, {right} statuses collected", more

    def ended(self) -> None:
        """Let the parent end, and wait for it."""
        self.end.open()
        self.stage.wait(self.parent)


def asked_for(stage: Stage, strategy: str) -> None:
    """Skip the check where another strategy was asked for."""
    avoid = stage.options.get("avoid")
    if avoid not in (None, strategy):
        raise Skip(f"--avoid {avoid} was asked for")


@demonstration.check(
    "zombie.avoid-wait", "with a wait for each child there is no zombie, and every status is collected"
)
def avoid_wait(stage: Stage) -> Evidence:
    """The parent is blocked until all have exited: seen asleep before the first does."""
    asked_for(stage, "wait")
    family = Family(stage, "wait", wait_for_each)
    wait_for_state(family.parent, "S")
    family.close_other_fds()
    seen, _ = family.told("wait")
    family.ended()
    return Evidence(f"0 zombies left, {family.count} statuses collected", seen)


def wait_for_each(family: Family) -> None:
    """wait(2), once for each child."""
    family.have_children()
    began = time.monotonic()
    statuses = [os.wait() for _ in range(family.count)]
    family.send(statuses, time.monotonic() - began)


@demonstration.check(
    "zombie.avoid-waitpid-handler",
    "with a SIGCHLD handler looping waitpid(WNOHANG) there is no zombie: N exits may bring fewer than N signals",
)
def avoid_waitpid_handler(stage: Stage) -> Evidence:
    """The parent takes no signals while all its children exit: what comes then is one signal for them all."""
    asked_for(stage, "handler")
    family = Family(stage, "handler", in_a_handler)
    family.close_other_fds()
    seen, signals = family.told("handler")
    family.ended()
    expected = f"{family.count} exits, 1 signal; 0 zombies left, {family.count} statuses collected"
    return Evidence(expected, f"{family.count} exits, {signals} signal; {seen}")


def in_a_handler(family: Family) -> None:
    """Collect whatever has exited whenever SIGCHLD comes; until then, go on with the work."""
    signals: list[int] = []
    statuses: list[tuple[int, int]] = []

    def collect(number: int, frame: object) -> None:
        signals.append(number)
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                statuses.append(ended)
        except ChildProcessError:
            pass  # that was the last one

    signal.signal(signal.SIGCHLD, collect)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    family.have_children()
    family.all_exited.wait()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    family.send(statuses, more=len(signals))


@demonstration.check(
    "zombie.avoid-double-fork",
    "forked twice, the worker is no child of the parent's: no zombie, and nothing to collect",
)
def avoid_double_fork(stage: Stage) -> Evidence:
    """The parent waits for the first child, which exits at once; the adopter, this process, reaps the workers."""
    asked_for(stage, "double-fork")
    family = Family(stage, "double-fork", forking_twice)
    error = family.channel.recv()  # the first children are gone: the workers have been adopted
    parents = {stat.ppid for pid in family.codes if (stat := stat_of(pid))}
    family.close_other_fds()
    for pid in family.codes:
        stage.wait(pid)
    seen, _ = family.told("double-fork")
    family.ended()
    return Evidence(
        f"workers' parent {os.getpid()}, wait gives ECHILD; 0 zombies left, 0 statuses collected",
        f"workers' parent {', '.join(map(str, parents))}, wait gives {error}; {seen}",
    )


def forking_twice(family: Family) -> None:
    """The first child forks the worker and exits."""
    blocked_s = 0.0
    for number in range(family.count):
        first = os.fork()
        if first == 0:
            if os.fork() == 0:
                family.child(number)
            os._exit(0)
        began = time.monotonic()
        os.waitpid(first, 0)
        blocked_s += time.monotonic() - began
    family.channel.send(what_wait_gives())
    family.all_exited.wait()
    family.send([], blocked_s)


def what_wait_gives() -> str:
    """What comes of a wait(2) for any child."""
    try:
        return f"the status of {os.wait()[0]}"
    except ChildProcessError:
        return "ECHILD"


@demonstration.check(
    "zombie.avoid-sigchld-ignored",
    "with SIGCHLD ignored there is no zombie, and no status to collect: wait fails with ECHILD",
)
def avoid_sigchld_ignored(stage: Stage) -> Evidence:
    """The kernel drops the record as soon as the child exits. A wait blocks until all have, and has nothing to give."""
    asked_for(stage, "ignore")
    family = Family(stage, "ignore", ignoring)
    family.close_other_fds()
    seen, error = family.told("ignore")
    family.ended()
    peak = f"{family.peak} zombies at the peak"
    expected = "0 zombies at the peak, wait gives ECHILD; 0 zombies left, 0 statuses collected"
    return Evidence(expected, f"{peak}, wait gives {error}; {seen}")


def ignoring(family: Family) -> None:
    """SIGCHLD set to SIG_IGN, which says that nobody will ask for the statuses (wait(2), NOTES)."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    family.have_children()
    began = time.monotonic()
    error = what_wait_gives()
    family.send([], time.monotonic() - began, error)


@demonstration.check("zombie.unreaped-accumulate", "N children, none reaped: N zombies")
def unreaped_accumulate(stage: Stage) -> Evidence:
    """Nothing but the parent, or its end, takes them away."""
    asked_for(stage, "none")
    family = Family(stage, "none", not_at_all)
    family.close_other_fds()
    seen, _ = family.told("none")
    zombies = family.zombies()
    hold(stage, f"zombies of process {family.parent}: {' '.join(map(str, zombies))}")
    family.ended()
    return Evidence(f"{family.count} zombies left, 0 statuses collected", seen)


def not_at_all(family: Family) -> None:
    """The parent goes on, and does not wait."""
    family.have_children()
    family.send([])


@demonstration.check("zombie.parent-exit-clears", "once the negligent parent exits, its adopter reaps them")
def parent_exit_clears(stage: Stage) -> Evidence:
    """When the parent ends its zombies get another parent, which waits for them: this process, a child subreaper."""
    asked_for(stage, "none")
    family = Family(stage, "none", not_at_all)
    family.close_other_fds()
    before = len(family.zombies())
    family.ended()
    adopters = {stat.ppid for pid in family.codes if (stat := stat_of(pid))}
    statuses = [stage.wait(pid) for pid in family.codes]
    right = sum(os.WEXITSTATUS(status) == code for status, code in zip(statuses, family.codes.values(), strict=True))
    records = {state_of(pid) for pid in family.codes}
    count, me = family.count, os.getpid()
    return Evidence(
        f"{count} zombies; their parent ended: adopted by {me}, {count} statuses collected, records gone",
        f"{before} zombies; their parent ended: adopted by {', '.join(map(str, adopters))},"
        f" {right} statuses collected, records {', '.join(records)}",
    )
