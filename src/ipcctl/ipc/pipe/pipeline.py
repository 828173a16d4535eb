"""A pipeline as the shell runs it, with what each stage did, how it ended, and who held the others up.

    stdin ─► stage 1 ─► pipe ═ relay ═ pipe ─► stage 2 ─► pipe ═ relay ═ pipe ─► stage 3 ─► stdout
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ...errors import EXIT_OK, EXIT_SIGNALLED, EXIT_TIMED_OUT
from ...process.result import RunResult
from ...process.run import Run
from ...process.signals import ENDING, Signals
from .relay import INPUT_ENDED, PIPE_BYTES, READER_GONE, Link, Periodic, Relay, set_capacity, waiting_bytes
from .stage_times import Sampler, StageTimes, bottleneck

if TYPE_CHECKING:
    from resource import struct_rusage


BY_SIGPIPE = EXIT_SIGNALLED + int(signal.SIGPIPE)
ALL_PIPES_BYTES = 1 << 25  # half of what an unprivileged user's pipes may hold before new ones hold next to nothing


class StageDisplay(Periodic, Protocol):
    """Shows the stages while they run."""

    def begin(self, pipeline: Pipeline) -> None:
        """Note that the stages are about to start."""


class Pipeline(Run):
    """Stages, each run by sh -c, each one's output the next one's input.

    strict: a stage that SIGPIPE ended counts as failed, even where its reader was done and succeeded.
    """

    ending = ENDING

    def __init__(
        self, commands: Sequence[str], timeout_s: float | None = None, grace_s: float = 5.0, strict: bool = False
    ) -> None:
        super().__init__(["sh"], len(commands), timeout_s, grace_s)
        self.commands = commands
        self.strict = strict
        self.stages: list[StageTimes] = []
        self.bottleneck: int | None = None
        self.progress: StageDisplay | None = None
        self._relay = Relay(self._count)
        self._links: list[Link] = []
        self._offsets: tuple[int | None, int | None] = (None, None)

    @property
    def status(self) -> int:
        """124 when time was up; else that of the last stage that failed, as with the shell's pipefail."""
        if any(each.timed_out for each in self.records):
            return EXIT_TIMED_OUT
        return next((each.status for i, each in reversed([*enumerate(self.records)]) if self.failed(i)), EXIT_OK)

    def failed(self, i: int) -> bool:
        """Whether a stage failed: SIGPIPE is no failure where its reader was done, and that reader did not fail."""
        status = self.records[i].status
        if status != BY_SIGPIPE or self.strict or i == len(self.links):
            return status != EXIT_OK
        return self.links[i].ended != READER_GONE or self.failed(i + 1)

    @property
    def links(self) -> Sequence[Link]:
        """What is between the stages, in order."""
        return self._links

    def rows(self) -> list[dict[str, Any]]:
        """A row for each stage."""
        return [self._row(i, record, self.stages[i]) for i, record in enumerate(self.records)]

    def _row(self, i: int, record: RunResult, stage: StageTimes) -> dict[str, Any]:
        moved = stage.sent_bytes if stage.received_bytes is None else stage.received_bytes
        ran = record.wall_s is not None
        return {
            "stage": i + 1, "command": self.commands[i], **record.row(),
            "received_bytes": stage.received_bytes, "sent_bytes": stage.sent_bytes,
            "rate_bytes_per_s": round(moved / record.wall_s, 1) if moved is not None and record.wall_s else None,
            "starved_s": stage.starved_s if ran else None, "blocked_s": stage.blocked_s if ran else None,
            "busy_s": stage.busy_s if ran else None, "failed": self.failed(i),
            "bottleneck": None if self.bottleneck is None else i == self.bottleneck,
        }  # fmt: skip

    # --- what Run does otherwise

    def _signals(self) -> Signals:
        return self._relay

    def _start_all(self, signals: Signals) -> None:
        """Make every pipe before any stage runs: where they cannot be had, nothing has been done by halves."""
        ends = self._pipes()
        self._offsets = (offset(0), offset(1))
        self.stages = [StageTimes(*each) for each in zip([None, *self._links], [*self._links, None])]  # noqa: B905
        self._relay.periodic.append(Sampler(self.stages))
        if self.progress is not None:
            self.progress.begin(self)
            self._relay.periodic.append(self.progress)
        try:
            for i, command in enumerate(self.commands):
                record = RunResult(["sh", "-c", command])
                self.records.append(record)
                self._start_one(record, ends[i], signals)
                if record.pid is not None:
                    self.stages[i].began(record.pid, self._running[record.pid][1])
                close_all(ends[i])
        finally:
            for each in ends:
                close_all(each)
        for link in self._links:
            self._relay.add(link)
        self._relay.plan()

    def _pipes(self) -> list[dict[int, int]]:
        """Make the links; each stage's own descriptors, by the number that it is to have."""
        ends: list[dict[int, int]] = [{} for _ in self.commands]
        unused: list[int] = []
        share = min(PIPE_BYTES, ALL_PIPES_BYTES // (2 * len(self.commands)))
        size = 1 << share.bit_length() - 1  # the kernel would round it up
        try:
            for i in range(len(self.commands) - 1):
                unused += (written := os.pipe())
                unused += (read := os.pipe())
                source, ends[i][1] = written
                ends[i + 1][0], sink = read
                for each in (source, sink):
                    set_capacity(each, size)
                self._links.append(Link(source, sink))
        except OSError:
            for each in unused:
                os.close(each)
            self._links = []
            raise
        return ends

    def _reaped(self, pid: int, wait_status: int, usage: struct_rusage) -> None:
        for each in self.stages:
            if each.pid == pid:
                each.ended()

    def _role(self, pid: int) -> str:
        """The first word of the stage."""
        words = next((self.commands[i].split() for i, each in enumerate(self.records) if each.pid == pid), [])
        return os.path.basename(words[0]) if words else "sh"

    def _see_through(self, signals: Signals) -> None:
        super()._see_through(signals)
        self._relay.settle()
        for link in self._relay.links:
            self._count(link)
        self._count_files()
        for each in self.stages:
            each.round()
        self.bottleneck = bottleneck(self.stages, time.monotonic() - self._begun)
        if self._relay.links:  # what the stages left running goes on writing and reading
            from .background import relay_in_background

            relay_in_background(self._relay)

    def _end_all(self, signals: Signals, had_grace: bool = False) -> None:
        self._relay.stop_looking()  # what is shown might keep us waiting
        super()._end_all(signals, had_grace)

    def _count(self, link: Link) -> None:
        """A link ends: count for its stages what the first wrote and the second did not read, too."""
        i = self._links.index(link)
        reader = self.stages[i + 1]
        self.stages[i].sent_bytes = link.moved_bytes + waiting_bytes(link.source)
        reader.received_bytes = link.moved_bytes
        if link.ended == INPUT_ENDED and reader.pid is not None:
            try:
                reader.unread = os.open(f"/proc/self/fd/{link.sink}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:  # no /proc, or no more descriptors: what it leaves unread cannot be known
                reader.received_bytes = link.moved_bytes if waiting_bytes(link.sink) == 0 else None
        else:
            reader.received_bytes -= waiting_bytes(link.sink)

    def _count_files(self) -> None:
        """What was read of a file on stdin, and written to one on stdout, by how far it was moved on."""
        before, after = self._offsets, (offset(0), offset(1))
        if before[0] is not None and after[0] is not None:
            self.stages[0].received_bytes = after[0] - before[0]
        if before[1] is not None and after[1] is not None and not same_file(1, 2):
            self.stages[-1].sent_bytes = after[1] - before[1]


def close_all(ends: dict[int, int]) -> None:
    """Close a stage's descriptors, once."""
    while ends:
        os.close(ends.popitem()[1])


def offset(descriptor: int) -> int | None:
    """How far a regular file was read or written; None for anything else."""
    import stat

    try:
        return os.lseek(descriptor, 0, os.SEEK_CUR) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    except OSError:
        return None


def same_file(one: int, other: int) -> bool:
    """Whether both are open on the same file."""
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False
