"""Demonstrate orphans: the parent went first.  See prctl(2) PR_SET_CHILD_SUBREAPER, _exit(2), wait(2).

    parent  ──fork()──► _exit()
                 │          ╲ the kernel gives the child another parent: the nearest child subreaper above, or init
    child        └──────────────work──────────────► _exit(n)
    adopter  ···············adopts it·····························wait() ──► n
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

from ..process.prctl import PR_SET_PDEATHSIG, prctl, set_child_subreaper
from ..process.procfs import is_there, stat_of
from .channels import Barrier, Channel, ending_child
from .columns import ADOPTED_COLUMNS
from .deadline import TooLong
from .harness import Demonstration, Evidence, Stage, hold, state_of, wait_for_state

REAPED_WITHIN_S = 0.25  # an init reaps at once; some look only now and then
demonstration = Demonstration("orphan", ADOPTED_COLUMNS)


class Orphan:
    """A process whose parent has ended while it waits at a barrier; `adopter` is its parent now."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.channel, self.barrier = stage.channel(), stage.barrier()
        ready = stage.barrier()
        self.parent = os.fork()
        if self.parent == 0:
            with ending_child():
                if os.fork() == 0:
                    self.child()
                ready.wait()
                self.channel.send(time.monotonic())
        stage.record_process(self.parent, "parent")
        self.pid, self.parent_before = self.channel.recv()
        stage.record_process(self.pid, "child")
        parent_in_proc = parent_of(self.pid)
        ready.open()
        last_act = self.channel.recv()
        adopted, self.parent_after = self.channel.recv()
        self.parent_status = stage.wait(self.parent)
        self.agree = parent_in_proc == self.parent_before and parent_of(self.pid) == self.parent_after
        self.adopter = name_of(self.parent_after)
        stage.event(self.pid, "adopted", f"by {self.adopter}")
        self.row = {"pid": self.pid, "role": "child", "check": stage.rows[-1]["check"],
                    "parent_before_pid": self.parent_before, "parent_after_pid": self.parent_after,
                    "adopter": program_of(self.parent_after), "adoption_ms": round((adopted - last_act) * 1000, 3),
                    "reaped_by_pid": None, "exit_code": None}  # fmt: skip
        parent_row = {"pid": self.parent, "role": "parent", "check": self.row["check"], "parent_before_pid": stage.pid,
                      "parent_after_pid": stage.pid, "reaped_by_pid": stage.pid,
                      "exit_code": os.WEXITSTATUS(self.parent_status)}  # fmt: skip
        stage.results += [parent_row, self.row]

    def child(self) -> None:
        """The child's part: say who its parent is, then and when that has ended; work; exit with 7."""
        with ending_child(7):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
            prctl(PR_SET_PDEATHSIG, signal.SIGUSR1)  # the kernel tells when the parent has ended
            self.channel.send((os.getpid(), os.getppid()))
            signal.sigwait({signal.SIGUSR1})
            self.channel.send((time.monotonic(), os.getppid()))
            self.barrier.wait()
            self.channel.send(sum(range(1001)))

    def finish(self) -> int:
        """Let it do its work and exit; returns what the work came to."""
        self.barrier.open()
        result: int = self.channel.recv()
        self.stage.event(self.pid, "worked", str(result))
        return result

    def reaped(self) -> str:
        """Wait until the adopter has waited for it; what /proc says of it then."""
        if self.parent_after == self.stage.pid:
            self.row["exit_code"] = os.WEXITSTATUS(self.stage.wait(self.pid))
        else:
            with contextlib.suppress(TooLong):
                wait_for_state(self.pid, "gone", REAPED_WITHIN_S)
        state = state_of(self.pid)
        self.stage.event(self.pid, "end", state)
        if state == "gone":
            self.row["reaped_by_pid"] = self.parent_after
        return state


def parent_of(pid: int) -> int | None:
    """A process's parent, by /proc."""
    stat = stat_of(pid)
    return stat.ppid if stat else None


def program_of(pid: int) -> str:
    """The kernel's name for what a process runs."""
    stat = stat_of(pid)
    return stat.name if stat else "hidden" if is_there(pid) else "gone"


def name_of(pid: int) -> str:
    """A process by PID and program."""
    return f"{pid} ({program_of(pid)})"


@contextlib.contextmanager
def adopter_of_the_system(stage: Stage) -> Iterator[None]:
    """While the block runs orphans fall to whom they fall to on this system, or with --subreaper to this process.

    Who is out of our reach by that waits at a barrier of ours, and ends when that is closed or we end.
    """
    set_child_subreaper(bool(stage.options.get("subreaper")))
    try:
        yield
    finally:
        set_child_subreaper()


@demonstration.check(
    "orphan.adopted",
    "the child's parent changes from the one that exited to an adopter, named with its PID and program",
)
def adopted(stage: Stage) -> Evidence:
    """Who its parent is the child asks the kernel, before and after; /proc says the same."""
    with adopter_of_the_system(stage):
        orphan = Orphan(stage)
    hold(stage, f"process {orphan.pid} was left by {orphan.parent}, and adopted by {orphan.adopter}")
    orphan.finish()
    exited, adopter_state = state_of(orphan.parent), state_of(orphan.parent_after)
    return Evidence(
        f"parent {orphan.parent}, then gone; another parent, which is there; /proc agrees",
        f"parent {orphan.parent_before}, then {exited}; parent {orphan.adopter}, in state {adopter_state};"
        f" /proc {'agrees' if orphan.agree else 'does not agree'}",
        held=orphan.parent_before == orphan.parent != orphan.parent_after
        and exited == "gone"
        and adopter_state not in ("gone", "Z")
        and orphan.agree,
    )


@demonstration.check("orphan.runs-on", "it goes on running and finishes its work")
def runs_on(stage: Stage) -> Evidence:
    """Its work begins when its parent has ended and was waited for."""
    with adopter_of_the_system(stage):
        orphan = Orphan(stage)
    states = f"parent {state_of(orphan.parent)}, child in state {wait_for_state(orphan.pid, 'S')}"
    return Evidence(
        f"parent gone, child in state S; its work comes to {1000 * 1001 // 2}",
        f"{states}; its work comes to {orphan.finish()}",
    )


@demonstration.check("orphan.adopter-reaps", "after it exits no zombie stays")
def adopter_reaps(stage: Stage) -> Evidence:
    """It is no child of ours: when its record goes, it was the adopter that waited for it."""
    with adopter_of_the_system(stage):
        orphan = Orphan(stage)
    orphan.finish()
    state = orphan.reaped()
    if state != "Z" or orphan.parent_after == stage.pid:
        return Evidence("record gone", f"record {state}")
    reason = f"the adopter here, {orphan.adopter}, had not waited for it after {REAPED_WITHIN_S:g} s; where one never"
    reason += " does zombies stay, and an init is the remedy (docker run --init, ipcctl orphan -- COMMAND)"
    return Evidence("under an init: record gone", f"under an init: record {left_to_an_init(stage)}", reason=reason)


def left_to_an_init(stage: Stage) -> str:
    """What /proc says of an orphan that has exited, once an adopter that does nothing but wait has waited for it."""
    channel, barrier, adopted, ended = stage.channel(), stage.barrier(), stage.barrier(), stage.barrier()
    init = os.fork()
    if init == 0:
        with ending_child():
            set_child_subreaper()
            if os.fork() == 0:
                parent_that_leaves(channel, barrier)
            os.wait()  # for the parent
            adopted.open()
            channel.send(os.wait())  # for the orphan
            ended.wait()
    stage.record_process(init, "init")
    orphan, parent = channel.recv()
    stage.record_process(orphan, "child")
    adopted.wait()
    adopter = parent_of(orphan)
    barrier.open()
    pid, wait_status = channel.recv()
    state = state_of(orphan) if pid == orphan else f"that of {pid}"
    stage.ended(orphan, wait_status)
    stage.results.append({"pid": orphan, "role": "child", "check": stage.rows[-1]["check"],
                          "parent_before_pid": parent, "parent_after_pid": adopter, "adopter": program_of(init),
                          "reaped_by_pid": init, "exit_code": os.waitstatus_to_exitcode(wait_status)})  # fmt: skip
    ended.open()
    stage.wait(init)
    return state


def parent_that_leaves(channel: Channel, barrier: Barrier) -> None:
    """Have a child that waits at the gate, and exit before it does."""
    with ending_child():
        parent = os.getpid()  # it may be gone before the child asks for it
        if os.fork() == 0:
            with ending_child(7):
                channel.send((os.getpid(), parent))
                barrier.wait()


@demonstration.check(
    "orphan.subreaper",
    "under a child subreaper the adopter is the subreaper, which collects the orphan's exit status",
)
def subreaper(stage: Stage) -> Evidence:
    """This process is one (prctl): the orphan falls to it, whoever is further up."""
    set_child_subreaper()
    orphan = Orphan(stage)
    orphan.finish()
    state = orphan.reaped()
    return Evidence(
        f"adopter {name_of(stage.pid)}, exit status 7, record gone",
        f"adopter {orphan.adopter}, exit status {orphan.row['exit_code']}, record {state}",
    )
