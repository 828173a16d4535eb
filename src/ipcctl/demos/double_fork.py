"""Demonstrate the double fork: a second-level child does the work.  See fork(2), setsid(2), wait(2), daemon(7).

    parent ──fork()──► first child: setsid() ──fork()──► grandchild ──► its own job … ──► _exit()
      │ ◄── waitpid() ── _exit()                            │                               │
      └─► its own job …                                     └► its parent is now the adopter: that one reaps it

The first child lives only for a moment, so waiting for it blocks nobody; the grandchild is nobody's to wait for but the
adopter's. Here this process is the adopter, as a child subreaper (prctl(2)): it watches a family of three below it.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import NamedTuple

from ..process.procfs import Stat, stat_of
from ..process.terminal import terminal_name
from ..process.tree import descendants
from ..process.wait_status import decode
from .channels import Channel, ending_child
from .columns import GENERATION_COLUMNS
from .harness import Demonstration, Evidence, Skip, Stage, state_of

demonstration = Demonstration("double-fork", GENERATION_COLUMNS)
JOBS_S = (0.06, 0.08)
STATUS = 7  # what a grandchild gives to exit, to be known by


class Family(NamedTuple):
    """The three generations, by PID."""

    parent: int
    first: int
    grandchild: int


def nothing() -> None:
    """What the parent does before it forks, mostly."""


def double_fork(
    stage: Stage, parents_part: Callable[[int], None], grandchilds_part: Callable[[], None], before: Callable[[], None]
) -> Family:
    """The double fork itself, in a parent of its own. The first child stays until it has been looked at.

    `parents_part` is given the first child's PID.
    """
    stage.results = stage.rows  # the generations are the processes that take part
    channel, looked_at = stage.channel(), stage.barrier()
    parent = os.fork()
    if parent == 0:
        with ending_child():
            before()
            first = os.fork()
            if first == 0:
                with ending_child():
                    os.setsid()
                    grandchild = os.fork()
                    if grandchild == 0:
                        with ending_child(STATUS):
                            grandchilds_part()
                    channel.send((os.getpid(), grandchild))
                    looked_at.wait()
            parents_part(first)
    stage.record_process(parent, "parent of the family")
    first, grandchild = channel.recv()
    stage.record_process(first, "first child")
    stage.record_process(grandchild, "grandchild")
    for pid, did in ((parent, "forked; waited"), (first, "setsid; forked; exited"), (grandchild, "worked")):
        look_at(stage, pid, did)
    looked_at.open()
    return Family(parent, first, grandchild)


def look_at(stage: Stage, pid: int, did: str) -> None:
    """Put what the kernel says of a process, and what it did, into its row."""
    stat = seen(pid)
    terminal = terminal_name(stat.tty_nr)
    stage.note(pid, ppid=stat.ppid, pgid=stat.pgrp, sid=stat.session, terminal=terminal, did=did)


def seen(pid: int) -> Stat:
    """The kernel's record of a process that must be there."""
    stat = stat_of(pid)
    assert stat is not None, f"there is no process {pid}"
    return stat


def reap_first(first: int, channel: Channel) -> None:
    """In the parent: wait for the first child, and tell what the wait gave."""
    reaped, wait_status = os.waitpid(first, 0)
    channel.send((reaped, wait_status))


def hear_of_first(stage: Stage, channel: Channel) -> tuple[int, int | None]:
    """Whom the parent reaped, and its exit status."""
    reaped, wait_status = channel.recv()
    stage.ended(reaped, wait_status)
    return reaped, decode(wait_status)[0]


@demonstration.check("double-fork.parent-waits-first-child-only", "the parent reaps the first child, at once")
def parent_waits_first_child_only(stage: Stage) -> Evidence:
    """The grandchild cannot end before its gate opens; the parent's wait has returned by then."""
    channel, barrier = stage.channel(), stage.barrier()

    def parents_part(first: int) -> None:
        reap_first(first, channel)
        channel.send(has_children())

    family = double_fork(stage, parents_part, barrier.wait, nothing)
    reaped, status = hear_of_first(stage, channel)
    more = channel.recv()
    first, grandchild = state_of(family.first), state_of(family.grandchild)
    barrier.open()
    stage.wait(family.grandchild)
    stage.wait(family.parent)
    alive = "lives" if grandchild in ("R", "S") else f"is in state {grandchild}"
    return Evidence(
        f"wait gave {family.first} with status 0; it is gone; the parent has no child left, the grandchild lives",
        f"wait gave {reaped} with status {status}; it is {first}; "
        f"the parent has {'another child' if more else 'no child left'}, the grandchild {alive}",
    )


def has_children() -> bool:
    """Whether this process has anybody to wait for: the kernel's word (ECHILD)."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


@demonstration.check("double-fork.grandchild-is-orphan", "the grandchild's parent is the adopter")
def grandchild_is_orphan(stage: Stage) -> Evidence:
    """Its parent as the kernel has it, once the first child is reaped; only a parent is given its exit status."""
    channel, barrier = stage.channel(), stage.barrier()

    family = double_fork(stage, lambda first: reap_first(first, channel), barrier.wait, nothing)
    hear_of_first(stage, channel)
    look_at(stage, family.grandchild, "worked, adopted")
    adopter = seen(family.grandchild).ppid
    stage.event(family.grandchild, "adopted", f"by {adopter}")
    barrier.open()
    stage.wait(family.parent)
    status, _, _ = decode(stage.wait(family.grandchild))
    names = {os.getpid(): "the adopter", family.first: "the first child", family.parent: "the parent"}
    return Evidence(
        f"its parent is the adopter, {os.getpid()}, which got its exit status {STATUS}",
        f"its parent is {names.get(adopter, 'another process')}, {adopter}, which got its exit status {status}",
    )


@demonstration.check(
    "double-fork.both-jobs-run",
    "the parent's job and the grandchild's overlap: the time taken is the longer, not the sum",
)
def both_jobs_run(stage: Stage) -> Evidence:
    """Each tells when it began; none goes on before both have, so that they overlap if they can."""
    channel, begun, go, done = stage.channel(), stage.channel(), stage.barrier(), stage.channel()
    parents_s, grandchilds_s = stage.options.get("jobs", JOBS_S)
    stage.more_time(max(parents_s, grandchilds_s))

    def job(who: str, seconds: float) -> None:
        start = time.monotonic()
        begun.send(who)
        go.wait()
        select.select([], [], [], seconds)  # the work: it takes so long
        done.send((who, start, time.monotonic()))

    def parents_part(first: int) -> None:
        reap_first(first, channel)
        job("parent", parents_s)

    family = double_fork(stage, parents_part, lambda: job("grandchild", grandchilds_s), nothing)
    hear_of_first(stage, channel)
    began = {begun.recv(), begun.recv()}
    alive = {state_of(pid) for pid in (family.parent, family.grandchild)} <= {"R", "S"}
    for _ in began:
        go.open()
    for pid in (family.parent, family.grandchild) if parents_s <= grandchilds_s else (family.grandchild, family.parent):
        stage.wait(pid)
    spans = {who: (start, end) for who, start, end in (done.recv(), done.recv())}
    for pid, who in ((family.parent, "parent"), (family.grandchild, "grandchild")):
        tell_job(stage, pid, *spans[who])
    return overlap(spans, alive)


def tell_job(stage: Stage, pid: int, start: float, end: float) -> None:
    """Put a job into its process's row, and on the timeline."""
    from_ms, until_ms = stage.since_begun(start), stage.since_begun(end)
    stage.note(pid, did=f"worked from {from_ms:.0f} to {until_ms:.0f} ms")
    stage.event(pid, "job begins", at=start)
    stage.event(pid, "job ends", at=end)


def overlap(spans: dict[str, tuple[float, float]], alive: bool) -> Evidence:
    """The evidence: both processes were there, their spans overlap, and so take less than one after the other."""
    lengths = {who: end - start for who, (start, end) in spans.items()}
    together = max(end for _, end in spans.values()) - min(start for start, _ in spans.values())
    in_turn = sum(lengths.values())
    each = ", ".join(f"the {who}'s job took {length * 1000:.0f} ms" for who, length in lengths.items())
    both = "both were at work at once" if alive else "not both were at work at once"
    return Evidence(
        f"both were at work at once, for less than {in_turn * 1000:.0f} ms, their sum",
        f"{each}; {both}, for {together * 1000:.0f} ms in all",
        held=alive and len(spans) == 2 and together < in_turn,
    )


@demonstration.check("double-fork.no-zombie", "none is left by either")
def no_zombie(stage: Stage) -> Evidence:
    """The parent runs on while it is looked at: it is not its end that clears anything away."""
    channel, barrier, stay = stage.channel(), stage.barrier(), stage.barrier()

    def parents_part(first: int) -> None:
        reap_first(first, channel)
        stay.wait()

    family = double_fork(stage, parents_part, barrier.wait, nothing)
    hear_of_first(stage, channel)
    barrier.open()
    stage.wait(family.grandchild)
    zombies = sum(each.state == "Z" for each in descendants(os.getpid()))
    first, grandchild, parent = map(state_of, (family.first, family.grandchild, family.parent))
    stay.open()
    stage.wait(family.parent)
    return Evidence(
        "first child gone, grandchild gone, 0 zombies, while the parent runs on",
        f"first child {first}, grandchild {grandchild}, {zombies} zombies, "
        f"while the parent {'runs on' if parent in ('R', 'S') else f'is {parent}'}",
    )


@demonstration.check(
    "double-fork.detached",
    "with setsid between the forks: own session, no controlling terminal, and not a session leader,"
    " so it cannot acquire one",
)
def detached(stage: Stage) -> Evidence:
    """Two that open a terminal in the same way: the parent, a session leader, acquires it; the grandchild does not."""
    channel, opened, barrier = stage.channel(), stage.barrier(), stage.barrier()
    parents_terminal, another = new_terminal(stage), new_terminal(stage)

    def before() -> None:
        os.setsid()
        os.open(parents_terminal, os.O_RDWR)  # without O_NOCTTY

    def grandchilds_part() -> None:
        os.open(another, os.O_RDWR)
        opened.open()
        barrier.wait()

    def parents_part(first: int) -> None:
        reap_first(first, channel)
        barrier.wait()

    family = double_fork(stage, parents_part, grandchilds_part, before)
    hear_of_first(stage, channel)
    opened.wait()
    look_at(stage, family.grandchild, f"opened {another}")
    parent, grandchild = seen(family.parent), seen(family.grandchild)
    for _ in ("parent", "grandchild"):
        barrier.open()
    for pid in (family.grandchild, family.parent):
        stage.wait(pid)
    return Evidence(
        f"a session leader opened {parents_terminal} and has it; "
        f"the grandchild, not a leader, of another session, opened {another} and has no terminal",
        f"a session leader opened {parents_terminal} and has {owned(parent, parents_terminal)}; "
        f"the grandchild, {'a' if grandchild.pid == grandchild.session else 'not a'} leader, "
        f"of {'another' if grandchild.session != parent.session else 'the same'} session, "
        f"opened {another} and has {owned(grandchild, another)}",
    )


def new_terminal(stage: Stage) -> str:
    """A pseudo-terminal that is nobody's yet, until the check is over."""
    try:
        ends = os.openpty()
    except OSError as error:
        raise Skip(f"no pseudo-terminal is to be had: {error.strerror}") from None
    for each in ends:
        stage.closing(each)
    return os.ttyname(ends[1])


def owned(process: Stat, opened: str) -> str:
    """Which controlling terminal a process has."""
    name = terminal_name(process.tty_nr)
    return "no terminal" if name is None else "it" if f"/dev/{name}" == opened else f"/dev/{name}"
