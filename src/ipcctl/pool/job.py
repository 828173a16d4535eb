"""One job: its arguments, and the record of how it went."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..process.result import RunResult
from .job_tree import JobTree

if TYPE_CHECKING:
    from ..process.signals import Arrived
    from ..process.terminate import ProcessSet
    from .output import Held
    from .slots import Slot

NAMED_CHARS = 200


class JobResult(RunResult):
    """The record of a job's last attempt."""

    def __init__(self, argv: Sequence[str], seq: int, slot: int, input: str, attempts: int) -> None:
        super().__init__(argv)
        self.seq = seq
        self.slot = slot
        self.input = input
        self.attempts = attempts

    def row(self) -> dict[str, Any]:
        """The record as a flat object."""
        return vars(self)


class Job:
    """Arguments that are to be run, and what is known of the attempt under way; moments are by time.monotonic."""

    attempts = 0
    record: JobResult | None = None  # of the last attempt
    output: Sequence[tuple[int, Held]] = ()  # of the last attempt, by the descriptor that it was written to
    slot: Slot | None = None
    begun = 0.0
    pid: int | None = None  # while it runs
    missed: Sequence[Arrived] = ()  # the signals that came when its start was asked for and not told of yet
    left = False  # whether some of its tree run though it has ended, as its agent tells
    grace_until: float | None = None  # set while its tree is being ended: then it is killed, again and again
    give_up = 0.0
    refused = False  # one of its tree may not be signalled, as far as is known

    def __init__(self, arguments: list[str], seq: int) -> None:
        self.arguments = arguments
        self.seq = seq
        self.input = arguments[0] if len(arguments) == 1 else shlex.join(arguments)

    def begins(self) -> None:
        """An attempt begins now."""
        assert self.record is not None
        self.record.started, self.begun = round(time.time(), 6), time.monotonic()
        self.left = False

    def holds_its_pid(self) -> bool:
        """Whether its PID is its own still: where it has an agent, that may have waited for it, and not told so yet."""
        agent = self.slot.agent if self.slot else None
        return self.pid is not None and (agent is None or agent.has_child(self.pid))

    @property
    def tree(self) -> ProcessSet:
        """The processes of its tree: with an agent, all that descend from that."""
        return self.slot.agent if self.slot and self.slot.agent else JobTree(self.pid)

    @property
    def gone(self) -> bool:
        """Whether it, and what is known of its tree, has ended."""
        return self.pid is None and not self.left


def how_it_failed(record: JobResult) -> str:
    """In words, for a person who did not see it."""
    if record.start_error:
        return record.start_error
    if record.timed_out:
        return f"timed out after {record.wall_s:.3g} s"
    if record.signal is None and record.exit_code is None:
        return "it may not be signalled, and was left running"
    if record.signal is None:
        return f"exit status {record.exit_code}"
    known, below = record.max_rss_kib, record.max_rss_below_kib
    peak = f"{known} KiB" if known is not None else f"less than {below} KiB"
    return f"ended by {record.signal}, its memory at its peak {peak}" + (", core dumped" if record.core_dumped else "")


def named(input: str) -> str:
    """A job's input, no longer than a person reads."""
    return input if len(input) <= NAMED_CHARS else input[:NAMED_CHARS] + "…"
