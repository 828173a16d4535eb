"""Two commands that talk to each other: what the one writes the other reads, both ways, through a relay in between.

    A ──stdout──► pipe ═ relay ═ pipe ──stdin──► B        each way for itself: when A closes its output, B sees the
    A ◄──stdin─── pipe ═ relay ═ pipe ◄─stdout── B        end of file, while B's own still reaches A

A writer is held up by a reader that is slow, and told (EPIPE) when the reader is gone, as by a single pipe.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import EXIT_INTERNAL, EXIT_OK, EXIT_SIGNALLED, EXIT_TIMED_OUT
from ...process.procfs import require
from ...process.result import RunResult
from ...process.run import Run
from ...process.signals import ENDING, Signals
from ...waiting import NEVER
from .relay import (
    COPIED_AT_ONCE,
    INPUT_ENDED,
    READER_GONE,
    Link,
    Periodic,
    Relay,
    read_some,
    waiting_bytes,
    write_some,
)

if TYPE_CHECKING:
    from .stall import Waiting
    from .transcript import Transcript

SIDES = ("A", "B")
BY_SIGPIPE = EXIT_SIGNALLED + int(signal.SIGPIPE)
LOOK_AGAIN_S = 1.0
SPACING = 50  # a look that took so long is followed by so many times that without one
CONFIRM_S = 0.02  # a second look after so long finds that both have slept in between
WAITS = {
    "input": "for {other} to write",
    "output": "for {other} to read",
    "event": "for an event, perhaps for {other} to write",
    "unknown": "for something that cannot be seen",
}


class Direction(Link):
    """One way through the relay: from what one side writes to what the other reads.

    With a transcript the bytes pass through this process, which notes them; without, they are spliced.
    """

    def __init__(self, name: str, source: int, sink: int, note: TranscriptRecorder | None) -> None:
        super().__init__(source, sink)
        os.set_blocking(source, False)
        os.set_blocking(sink, False)
        self.name = name
        self.pipes = (pipe_name(source), pipe_name(sink))  # as the speaker's and the hearer's /proc/PID/fd have them
        self.note = note
        self.on_move: Callable[[], None] = lambda: None
        self.sent_bytes = self.received_bytes = 0  # once it has ended
        if note is not None:
            self._move = self._pass_on

    def transfer(self) -> None:
        """As any link's; who waits for a quiet time hears of what was moved."""
        before = self.moved_bytes
        super().transfer()
        if self.moved_bytes != before:
            self.on_move()

    def allowed(self) -> int:
        """Nothing more is passed on while the transcript has enough to write."""
        if self.note is not None and self.note.transcript.enough:
            self.resume_at = NEVER
            raise BlockingIOError
        return super().allowed()

    def count(self) -> None:
        """Settle what was sent and received, the descriptors open still; what nobody is left to hear was said, too."""
        unheard = waiting_bytes(self.source)
        if self.note is not None and self.ended == READER_GONE and unheard:
            self.note(self.name, read_some(self.source, unheard))
        self.sent_bytes = self.moved_bytes + len(self._held) + unheard
        self.received_bytes = self.moved_bytes - (waiting_bytes(self.sink) if self.ended == READER_GONE else 0)

    def _pass_on(self, most: int) -> int:
        """Read and note a piece, and write of it what is taken; 0 at the end. Raises BlockingIOError."""
        self.full = False
        if not self._held:
            self._held = memoryview(read_some(self.source, min(most, COPIED_AT_ONCE)))
            if not self._held:
                self.ended = INPUT_ENDED
                return 0
            if self.note is not None:
                self.note(self.name, bytes(self._held))
        self.full = True
        count = write_some(self.sink, self._held)
        self._held = self._held[count:]
        return count


class TranscriptRecorder:
    """Notes what is said in a transcript, with the moment."""

    def __init__(self, transcript: Transcript) -> None:
        self.transcript = transcript
        self.begun = time.monotonic()

    def __call__(self, direction: str, said: bytes) -> None:
        """Note it; b"" says that nothing more will come this way."""
        self.transcript.note(direction, said, time.time(), round((time.monotonic() - self.begun) * 1000, 3))


class IdleTimer(Periodic):
    """A look at both sides once nothing has moved for so long, and again after what `on_look` returns, in seconds."""

    def __init__(self, seconds: float, on_look: Callable[[], float], plan: Callable[[], None]) -> None:
        self.seconds = seconds
        self.on_look = on_look
        self.plan = plan
        self.due = time.monotonic() + seconds

    def moved(self) -> None:
        """Something has moved."""
        slept, self.due = self.due == NEVER, time.monotonic() + self.seconds
        if slept:
            self.plan()

    def look(self, now: float) -> None:
        """The time has come."""
        self.due = now + self.on_look()


class DuplexRelay(Relay):
    """The relay, with a transcript to be written beside it."""

    def __init__(self, on_end: Callable[[Link], None], transcript: Transcript | None) -> None:
        super().__init__(on_end)
        self.transcript = transcript
        self.over = False  # nothing is waited for but that the transcript be written

    def ready(self, found: list[tuple[int, int]]) -> bool:
        """As any relay's; the wait ends when all is over and written."""
        transcript = self.transcript
        if transcript is not None:
            if any(descriptor == transcript.descriptor for descriptor, _ in found):
                transcript.write()
            if not transcript.enough:
                self._wake()
        super().ready(found)
        self.want_transcript()
        return self.over and not (transcript is not None and transcript.waiting)

    def want_transcript(self) -> None:
        """Wait for the transcript's file to take more, where there is more."""
        if self.transcript is not None:
            self.want(self.transcript.descriptor, select.POLLOUT if self.transcript.waiting else None)

    def _wake(self) -> None:
        for link in [each for each in self._resting if each.resume_at == NEVER]:
            link.resume_at = 0.0
            self._serve(link)


class Duplex(Run):
    """Two commands, each run by `sh -c`, that talk to each other.

    stall_s: when both have waited for each other for so long, `tell` is given a line of who waits for what.
    timeout_s and grace_s are as in Run. strict: SIGPIPE is a failure even of one whose reader succeeded.
    """

    ending = ENDING

    def __init__(
        self,
        commands: Sequence[str],
        transcript: Transcript | None = None,
        stall_s: float | None = None,
        timeout_s: float | None = None,
        grace_s: float = 5.0,
        strict: bool = False,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        super().__init__(["sh"], len(SIDES), timeout_s, grace_s)
        self.commands = commands
        self.transcript = transcript
        self.stall_s = stall_s
        self.strict = strict
        self.tell = tell
        self.stalls = 0
        self._directions: list[Direction] = []  # from A, and from B
        self._seen: list[Waiting] = []  # at the last look
        self._waited_for: dict[str, str] = {}  # by side, at the last stall
        self._given_up: int | None = None  # the signal that came while the transcript was still to be written
        self._note = None if transcript is None else TranscriptRecorder(transcript)
        self._relay = DuplexRelay(self._direction_ended, transcript)
        if transcript is not None:
            transcript.on_failure = tell

    @property
    def status(self) -> int:
        """124 when time was up; else that of the last command that failed; 125 when the transcript did."""
        if any(each.timed_out for each in self.records):
            return EXIT_TIMED_OUT
        failed = [each.status for i, each in enumerate(self.records) if self.failed(i)]
        if not failed and self._given_up is not None:
            return EXIT_SIGNALLED + self._given_up
        return failed[-1] if failed else EXIT_INTERNAL if self.transcript and self.transcript.failed else EXIT_OK

    def failed(self, i: int) -> bool:
        """Whether a command failed: SIGPIPE is no failure where the other, which had read enough, succeeded."""
        excused = self.records[i].status == BY_SIGPIPE and not self.strict and self.records[1 - i].succeeded
        return not self.records[i].succeeded and not excused

    def rows(self) -> list[dict[str, Any]]:
        """A row for each side."""
        return [
            {"side": SIDES[i], "command": self.commands[i], **record.row(),
             "sent_bytes": self._directions[i].sent_bytes,
             "received_bytes": self._directions[1 - i].received_bytes, "waited": self._waited_for.get(SIDES[i])}
            for i, record in enumerate(self.records)
        ]  # fmt: skip

    # --- what Run does otherwise

    def _signals(self) -> Signals:
        return self._relay

    def _start_all(self, signals: Signals) -> None:
        if self.stall_s is not None:
            require("who waits for whom could not be seen")
        ends = self._pipes()
        try:
            for i, command in enumerate(self.commands):
                self.records.append(RunResult(["sh", "-c", command]))
                self._start_one(self.records[i], {0: ends[2 * i], 1: ends[2 * i + 1]}, signals)
        finally:
            for each in ends:
                os.close(each)
        if self.stall_s is not None:
            quiet = IdleTimer(self.stall_s, self._look, self._relay.plan)
            self._relay.periodic.append(quiet)
            for direction in self._directions:
                direction.on_move = quiet.moved
        for direction in self._directions:
            self._relay.add(direction)
        self._relay.plan()
        self._relay.want_transcript()

    def _pipes(self) -> list[int]:
        """Make the two ways; stdin and stdout of A, and of B. Raises OSError, with nothing left open."""
        made: list[int] = []
        try:
            for _ in range(4):
                made += os.pipe()
        except OSError:
            for each in made:
                os.close(each)
            raise
        from_a, a_speaks, b_hears, to_b, from_b, b_speaks, a_hears, to_a = made
        self._directions = [Direction("A>B", from_a, to_b, self._note), Direction("B>A", from_b, to_a, self._note)]
        return [a_hears, a_speaks, b_hears, b_speaks]

    def _role(self, pid: int) -> str:
        return next((SIDES[i] for i, each in enumerate(self.records) if each.pid == pid), "another")

    def _direction_ended(self, link: Link) -> None:
        direction = next(each for each in self._directions if each is link)
        direction.count()
        if direction.note is not None:
            direction.note(direction.name, b"")

    def _see_through(self, signals: Signals) -> None:
        super()._see_through(signals)
        self._relay.settle()
        for direction in self._directions:
            if direction in self._relay.links:
                self._direction_ended(direction)
                direction.note = None
        self._write_rest(signals)
        if self._relay.links:  # what the two left running goes on writing and reading
            from .background import relay_in_background

            relay_in_background(self._relay)

    def _end_all(self, signals: Signals, had_grace: bool = False) -> None:
        self._relay.stop_looking()  # what is told might keep us waiting
        super()._end_all(signals, had_grace)

    def _write_rest(self, signals: Signals) -> None:
        """Wait until the transcript is written; not for long where we were asked to end."""
        hurry = self.asked_to_end is not None or any(each.timed_out for each in self.records)
        deadline = time.monotonic() + self.grace_s if hurry else None
        self._relay.over = True
        self._relay.want_transcript()
        while self.transcript is not None and self.transcript.waiting:
            info = signals.wait(deadline)
            if info is None:
                self._given_up = self.asked_to_end
                return
            if signals.asks(info):
                self._given_up = info.si_signo
                return
            signals.stop_as_well(info)

    # --- stalls

    def _look(self) -> float:
        """See whether both wait for each other, which is told; returns after how many seconds to look again."""
        if len(self._running) < len(SIDES):
            return NEVER
        began = time.monotonic()
        before, self._seen = self._seen, self._waiting()
        if len(self._seen) < len(SIDES) or (self.transcript is not None and self.transcript.enough):
            cost = time.monotonic() - began
            return min(max(self.stall_s or LOOK_AGAIN_S, cost * SPACING), LOOK_AGAIN_S)
        if before != self._seen:
            return CONFIRM_S
        self.stalls += 1
        who = []
        for i, (side, each) in enumerate(zip(SIDES, self._seen)):  # noqa: B905
            waited = self._waited_for[side] = WAITS[each.what].format(other=SIDES[1 - i])
            self._event(self.records[i].pid or 0, "stall", f"waits {waited}")
            who.append(f"{side} ({each.name}, PID {each.pid}) waits {waited}")
        self.tell(f"stalled for {self.stall_s:g} s: {'; '.join(who)}")
        return NEVER

    def _waiting(self) -> list[Waiting]:
        """Of the sides that wait: for what."""
        from ...process.procfs import all_stats, stat_of
        from .stall import waiting_of

        stats, found = all_stats(), []
        for i, record in enumerate(self.records):
            root = stat_of(record.pid or 0)
            input, output = self._directions[1 - i].pipes[1], self._directions[i].pipes[0]
            waiting = waiting_of(root, stats, input, output) if root else None
            if waiting is not None:
                found.append(waiting)
        return found


def pipe_name(descriptor: int) -> str:
    """A pipe as /proc/PID/fd names it: pipe:[4711]."""
    return f"pipe:[{os.fstat(descriptor).st_ino}]"
