"""Two commands that talk to each other: what the one writes the other reads, both ways, through a relay in between.

    A ──stdout──► pipe ──► relay ──► pipe ──stdin──► B        each direction for itself: when A closes its output, B
    A ◄──stdin─── pipe ◄── relay ◄── pipe ◄─stdout── B        sees the end of file, while B's own still reaches A

The relay holds one piece of each direction at most, so that a writer is held up by a reader that is slow, and is told
(EPIPE) when the reader is gone, as by a single pipe.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import FAILED, HELD, SIGNALLED, TIMED_OUT
from ..process.outcome import RunRecord
from ..process.polled import NEVER, Polled
from ..process.procfs import all_stats, stat_of
from ..process.run import Run
from ..process.signals import ENDING, Signals
from .stall import Waiting, waiting_of
from .transcript import Transcript

PIECE = 1 << 16
LOOK_AGAIN_S = 1.0
SIDES = ("A", "B")
WAITS = {
    "input": "for {other} to write",
    "output": "for {other} to read",
    "event": "for an event, perhaps for {other} to write",
    "unknown": "for something that cannot be seen",
}

Tell = Callable[[str], None]


class Direction:
    """One way through the relay: from what one side writes to what the other reads."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.source, self.speaks = os.pipe()
        try:
            self.hears, self.sink = os.pipe()
        except OSError:
            os.close(self.source)
            os.close(self.speaks)
            raise
        os.set_blocking(self.source, False)
        os.set_blocking(self.sink, False)
        self.spoken, self.heard = pipe_name(self.source), pipe_name(self.sink)  # as the sides' /proc/PID/fd have them
        self.piece = memoryview(b"")
        self.said_bytes = 0
        self.delivered_bytes = 0
        self.finished = False
        self.open = {self.source, self.speaks, self.hears, self.sink}

    def close(self, *ends: int) -> None:
        """Close these ends, those that are open."""
        for each in self.open.intersection(ends):
            os.close(each)
            self.open.remove(each)

    def read(self) -> bytes | None:
        """The next piece, b"" at the end of file; None when there is none yet."""
        try:
            found = os.read(self.source, PIECE)
        except BlockingIOError:
            return None
        self.said_bytes += len(found)
        self.piece = memoryview(found)
        return found

    def write(self) -> bool:
        """Write of the piece as much as is taken; False when nobody is left to read it."""
        try:
            count = os.write(self.sink, self.piece)
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False
        self.delivered_bytes += count
        self.piece = self.piece[count:]
        return True


class Relay(Polled):
    """Signals, and the two directions served while they are waited for.

    `on_look` is called when no byte has moved for `quiet_s`, and, as long as it returns False, again after a while.
    """

    def __init__(self, transcript: Transcript | None, quiet_s: float | None, on_look: Callable[[], bool]) -> None:
        super().__init__()
        self.transcript = transcript
        self.quiet_s = quiet_s
        self.on_look = on_look
        self.directions: list[Direction] = []
        self._flushed = False

    def __enter__(self) -> Relay:
        super().__enter__()
        try:
            for name in ("A>B", "B>A"):
                self.directions.append(Direction(name))
        except OSError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *what_happened: object) -> None:
        for each in self.directions:
            each.close(*each.open)
        super().__exit__(*what_happened)

    def begin(self) -> None:
        """Both sides have their ends: from now on what they say is passed on."""
        self.begun = time.monotonic()
        for each in self.directions:
            each.close(each.speaks, each.hears)
        self._moved()
        self._want_all()

    def ready(self, found: list[tuple[int, int]]) -> bool:
        """Serve the descriptors that are ready. At the end of all, the wait ends when the transcript is written."""
        for descriptor, events in found:
            for each in self.directions:
                if descriptor in each.open:
                    self._serve(each, descriptor, events)
            if self.transcript and descriptor == self.transcript.descriptor:
                self.transcript.write()
        self._want_all()
        return self._flushed and not (self.transcript and self.transcript.waiting)

    def moment(self, now: float) -> None:
        """Nothing has moved for so long."""
        self.due = NEVER if self.on_look() else now + min(self.quiet_s or LOOK_AGAIN_S, LOOK_AGAIN_S)

    def flush(self) -> None:
        """Both have ended: pass on what was said before, to whom still reads, without waiting."""
        for each in self.directions:
            while each.source in each.open and each.sink in each.open:
                before = each.said_bytes + each.delivered_bytes
                self._pump(each)
                if each.said_bytes + each.delivered_bytes == before:
                    break
            self._finish(each)
        self.due, self._flushed = NEVER, True
        self._want_all()

    def _serve(self, direction: Direction, descriptor: int, events: int) -> None:
        if descriptor == direction.sink and events & select.POLLERR:
            self._finish(direction)  # nobody reads any more: and so whoever writes is told
        else:
            self._pump(direction)

    def _pump(self, direction: Direction) -> None:
        """Move a piece, as far as it goes without waiting."""
        if not direction.piece and direction.source in direction.open:
            found = direction.read()
            if found is None:
                return
            self._moved()
            if found:
                self._note(direction, found)
            else:
                direction.close(direction.source)
        if direction.piece:
            self._moved()
            if not direction.write():
                self._finish(direction)
        if not direction.piece and direction.source not in direction.open:
            self._finish(direction)

    def _note(self, direction: Direction, found: bytes) -> None:
        """Write down what was said, or b"" for the end."""
        if self.transcript is not None:
            t_ms = round((time.monotonic() - self.begun) * 1000, 3)
            self.transcript.note(direction.name, found, time.time(), t_ms)

    def _finish(self, direction: Direction) -> None:
        """Nothing more goes this way."""
        if direction.finished:
            return
        direction.finished = True
        self._note(direction, b"")
        for each in (direction.source, direction.sink):
            self.want(each, None)
        direction.close(direction.source, direction.sink)
        direction.piece = memoryview(b"")

    def _moved(self) -> None:
        if self.quiet_s is not None:
            self.due = time.monotonic() + self.quiet_s

    def _want_all(self) -> None:
        """Say what is waited for: a reader that is gone always, pieces as there is room for them."""
        full = self.transcript is not None and self.transcript.enough
        for each in self.directions:
            if each.source in each.open:
                self.want(each.source, None if each.piece or full else select.POLLIN)
            if each.sink in each.open:
                self.want(each.sink, select.POLLOUT if each.piece else 0)
        if self.transcript is not None:
            self.want(self.transcript.descriptor, select.POLLOUT if self.transcript.waiting else None)


class Duplex(Run):
    """Two commands, each run by `sh -c`, that talk to each other.

    stall_s: when both have waited for each other for so long, `tell` is given a line of who waits for what.
    timeout_s and grace_s are as in Run. strict: SIGPIPE is a failure even of one whose reader succeeded.
    """

    def __init__(
        self,
        commands: Sequence[str],
        transcript: Transcript | None = None,
        stall_s: float | None = None,
        timeout_s: float | None = None,
        grace_s: float = 5.0,
        strict: bool = False,
        tell: Tell = lambda line: None,
    ) -> None:
        super().__init__(["sh", "-c", commands[0]], timeout_s=timeout_s, grace_s=grace_s)
        self.commands = commands
        self.transcript = transcript
        self.stall_s = stall_s
        self.strict = strict
        self.tell = tell
        self.stalls = 0
        self._waited_for: dict[str, str] = {}  # by side, at the last stall
        self._given_up: int | None = None  # the signal that came while the transcript was still to be written
        if transcript is not None:
            transcript.on_failure = tell

    @property
    def status(self) -> int:
        """124 when time was up; else that of the last command that failed; 125 when the transcript did.

        A command that SIGPIPE ended, because the other had read enough, is no failure when that one succeeded.
        """
        if any(each.timed_out for each in self.records):
            return TIMED_OUT
        failed = [each.status for each in self.records if not each.succeeded and not self._excused(each)]
        if not failed and self._given_up is not None:
            return SIGNALLED + self._given_up
        return failed[-1] if failed else self._status_of_transcript()

    def _excused(self, record: RunRecord) -> bool:
        others = [each for each in self.records if each is not record]
        return not self.strict and record.status == SIGNALLED + signal.SIGPIPE and all(e.succeeded for e in others)

    def _status_of_transcript(self) -> int:
        return FAILED if self.transcript and self.transcript.failed else HELD

    def rows(self) -> list[dict[str, Any]]:
        """A row of DUPLEX columns for each side."""
        found = []
        for i, (side, record) in enumerate(zip(SIDES, self.records, strict=False)):
            says, hears = self.relay.directions[i], self.relay.directions[1 - i]
            found.append({
                "side": side, "command": self.commands[i], **record.row(), "sent_bytes": says.said_bytes,
                "received_bytes": hears.delivered_bytes, "waited": self._waited_for.get(side)})  # fmt: skip
        return found

    # --- what Run does otherwise

    def _signals(self) -> Signals:
        self.relay = Relay(self.transcript, self.stall_s, self._look)
        return self.relay

    def _start_all(self, signals: Signals) -> None:
        for i, command in enumerate(self.commands):
            record = RunRecord(["sh", "-c", command])
            self.records.append(record)
            says, hears = self.relay.directions[i], self.relay.directions[1 - i]
            self._start_one(record, {0: hears.hears, 1: says.speaks}, signals)
        self.relay.begin()

    def _role(self, pid: int) -> str:
        return next((side for side, each in zip(SIDES, self.records, strict=False) if each.pid == pid), "another")

    def _see_through(self, signals: Signals) -> None:
        super()._see_through(signals)
        self.relay.flush()
        hurry = self.asked_to_end is not None or any(each.timed_out for each in self.records)
        deadline = time.monotonic() + self.grace_s if hurry else None
        while self.transcript is not None and self.transcript.waiting:
            info = signals.wait(deadline)
            if info is None:
                return
            if info.si_signo in ENDING:
                self._given_up = info.si_signo
                return

    # --- stalls

    def _look(self) -> bool:
        """Whether there is no need to look again: both wait for each other, which is told, or one has ended."""
        if len(self._running) < len(SIDES):
            return True
        found = self._waiting()
        if len(found) < len(SIDES) or (self.transcript is not None and self.transcript.enough):
            return False
        self.stalls += 1
        for side, waiting in found.items():
            other = SIDES[1 - SIDES.index(side)]
            self._waited_for[side] = WAITS[waiting.what].format(other=other)
            self._event(self.records[SIDES.index(side)].pid or 0, "stall", f"waits {self._waited_for[side]}")
        who = [f"{side} ({each.name}, PID {each.pid}) waits {self._waited_for[side]}" for side, each in found.items()]
        self.tell(f"stalled for {self.stall_s:g} s: {'; '.join(who)}")
        return True

    def _waiting(self) -> dict[str, Waiting]:
        """The sides that wait, and for what."""
        stats = all_stats()
        found: dict[str, Waiting] = {}
        for i, (side, record) in enumerate(zip(SIDES, self.records, strict=True)):
            root = stat_of(record.pid or 0)
            says, hears = self.relay.directions[i], self.relay.directions[1 - i]
            waiting = waiting_of(root, stats, hears.heard, says.spoken) if root else None
            if waiting is not None:
                found[side] = waiting
        return found


def pipe_name(descriptor: int) -> str:
    """A pipe as /proc/PID/fd names it: pipe:[4711]."""
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/self/fd/{descriptor}")
    return ""
