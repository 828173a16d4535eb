"""Run a command, or copies of it at once, and record truthfully how each went.

    block the signals ─► become subreaper ─► spawn ─► wait: a child ended   ─► record it
                                                            a signal came   ─► hand it on
                                                            time is up      ─► end the whole tree
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import EXIT_OK, EXIT_SIGNALLED, CannotStart
from ..waiting import asked
from .event import Event
from .procfs import Stat, peak_rss_kib, require, stat_of
from .result import RunResult
from .signals import ENDING_ONE, Arrived, Signals, send_on, signal_name
from .spawn import spawn
from .tree import ended_children, not_found
from .wait_status import has_children

if TYPE_CHECKING:
    from resource import struct_rusage

# The kernel counts resident pages a processor, and folds the counts late: by so much may two readings differ.
PEAK_NOISE_KIB = 256


def floor_kib() -> int:
    """Return what a ru_maxrss must be above to be a command's own: it starts from the peak of who spawned it."""
    return peak_rss_kib() + PEAK_NOISE_KIB


class Run:
    """Copies of one command, run at once by this process, which becomes a child subreaper for it.

    It waits for every child, and takes whatever falls to this process for the command's: a program that has children of
    its own is to be set apart from them first (set_apart.py).

    timeout_s: end them all after so long. grace_s: between TERM and KILL. capture: keep their output in the records
    (in memory files, so that a daemon which holds on to its output delays nobody). leave: what a command leaves running
    when it ends by itself is left, as a shell would. `heard` is called with the number of each copy, from 1, and its
    record, as soon as it has ended or could not be started.
    """

    ending: Collection[int] = ENDING_ONE  # the signals that ask it to end; the others are the command's to act on

    def __init__(
        self,
        argv: Sequence[str],
        copies: int = 1,
        timeout_s: float | None = None,
        grace_s: float = 5.0,
        capture: bool = False,
        leave: bool = True,
    ) -> None:
        self.argv = argv
        self.copies = copies
        self.timeout_s = timeout_s
        self.grace_s = grace_s
        self.capture = capture
        self.leave = leave
        self.heard: Callable[[int, RunResult], None] | None = None
        self.records: list[RunResult] = []
        self.events: list[Event] = []
        self.asked_to_end: int | None = None  # the signal by which we were asked to
        self.wall_s = 0.0
        self.not_found: str | None = None  # what is to be told of processes that could not be ended
        self.out_of_reach: dict[int, Stat] = {}  # by PID: what may not be signalled by us, and so was left running
        self._running: dict[int, tuple[RunResult, float]] = {}
        self._captured: dict[RunResult, tuple[int, int]] = {}
        self._floor_kib = 0
        self._begun = 0.0

    def run(self) -> list[RunResult]:
        """Start the copies and see them to their end; one that cannot be started has its reason in its record.

        Raises NoProc, before any is started, where a whole tree is to be ended and cannot be found.
        """
        if self.timeout_s is not None:
            require("what the command starts could not be found, to be ended when its time is up")
        self._begun = time.monotonic()
        waits_with = self._signals()
        waits_with.ending = self.ending
        with waits_with as signals:
            adopt_orphans()
            try:
                self._start(signals)
                self._see_through(signals)
            except BaseException:
                for each in tuple(self._captured):  # where descriptors ran out, ending the rest needs some
                    self._collect_output(each)
                self.heard = None
                self._end_all(signals)
                raise
        self.wall_s = round(time.monotonic() - self._begun, 6)
        asked(self.asked_to_end)
        return self.records

    @property
    def status(self) -> int:
        """The first status that is not 0. A copy that outlived its grace period after signal N counts as 128 + N."""
        return next((each.status for each in self.records if each.status != EXIT_OK), EXIT_OK)

    def _start(self, signals: Signals) -> None:
        self._start_all(signals)
        # Read after the last start: the peak that a child's ru_maxrss starts from is the one at its exec.
        self._floor_kib = floor_kib()

    def _start_all(self, signals: Signals) -> None:
        """Start every copy."""
        for _ in range(self.copies):
            record = RunResult(self.argv)
            self.records.append(record)
            self._start_one(record, self._capturing(record) if self.capture else {}, signals)

    def _start_one(self, record: RunResult, redirect: Mapping[int, int], signals: Signals) -> None:
        """Start the command of a record; where it cannot be started the record says why."""
        begun, record.started = time.monotonic(), round(time.time(), 6)
        try:
            record.pid = spawn(record.argv, redirect=redirect, mask=signals.mask_before)
        except CannotStart as error:
            record.start_error, record.status, record.started = str(error), error.status, None
            self._finished(record)
            return
        self._running[record.pid] = (record, begun)
        self._event(record.pid, "start")
        self._spawned(record.pid)

    # --- what a run that looks closer does otherwise

    def _signals(self) -> Signals:
        """What to wait with."""
        return Signals()

    def _spawned(self, pid: int) -> None:
        """A copy was started."""

    def _reaped(self, pid: int, wait_status: int, usage: struct_rusage) -> None:
        """A child was waited for: a copy, or one that fell to us."""

    def _pass_on(self, pid: int, info: Arrived) -> bool:
        """Send a signal to a copy that did not get it with us; returns whether it was sent."""
        try:
            send_on(info, pid)  # a child of ours that was not waited for: the PID can be nobody else's
        except PermissionError:  # it runs a set-user-ID program
            self._is_out_of_reach(stat_of(pid))
            return False
        return True

    def _all_are_out_of_reach(self) -> bool:
        from .terminate import Descendants, out_of_reach

        return bool(out_of_reach(Descendants(self._running.keys())))

    def _is_out_of_reach(self, *processes: Stat | None) -> None:
        """These may not be signalled."""
        self.out_of_reach |= {each.pid: each for each in processes if each is not None}

    # ---

    def _capturing(self, record: RunResult) -> dict[int, int]:
        out = memory_file("stdout")
        try:
            err = memory_file("stderr")
        except OSError:
            os.close(out)
            raise
        self._captured[record] = (out, err)
        return {1: out, 2: err}

    def _see_through(self, signals: Signals) -> None:
        deadline = None if self.timeout_s is None else self._begun + self.timeout_s
        insisted = False
        while self._reap_ours():
            info = signals.wait(deadline)
            if info is None:
                self._time_is_up(signals, insisted)
                return
            if info.si_signo != signal.SIGCHLD and self._hand_on(info, signals) and not insisted:
                insisted, deadline = True, time.monotonic() + self.grace_s
            if insisted and self.out_of_reach and self._all_are_out_of_reach():
                deadline = time.monotonic()  # nobody is left who could act on it
        self._hear_what_is_pending(signals)
        if self.asked_to_end is not None or not self.leave:
            self._end_all(signals)  # what the command left behind

    def _hear_what_is_pending(self, signals: Signals) -> None:
        """A signal to us and to the copies may have ended these before we took it: left pending, it would end us."""
        while (info := signals.take()) is not None:
            if signals.asks(info):
                self.asked_to_end = info.si_signo

    def _time_is_up(self, signals: Signals, insisted: bool) -> None:
        """The command had its time, or (`insisted`) its grace period after a signal: end the tree."""
        unfinished = [(pid, record) for pid, (record, _) in self._running.items()]
        for pid, record in unfinished:
            record.timed_out = not insisted
            self._event(pid, "grace is over" if insisted else "time is up")
        self._end_all(signals, had_grace=insisted)
        if insisted and self.asked_to_end is not None:
            for _, record in unfinished:
                record.status = EXIT_SIGNALLED + self.asked_to_end

    def _end_all(self, signals: Signals, had_grace: bool = False) -> None:
        from .terminate import end_descendants  # most runs end by themselves

        grace_s, first = (0.0, 0) if had_grace else (self.grace_s, int(signal.SIGTERM))
        started = self._running.keys()
        self._is_out_of_reach(*end_descendants(signals, self._reap, grace_s, first, started))
        self.not_found = not_found()
        for pid in tuple(self._running):  # may not be signalled, and is not waited for
            record, begun = self._running.pop(pid)
            record.left_running(time.monotonic() - begun)
            self._event(pid, "left running")
            self._finished(record)

    def _hand_on(self, info: Arrived, signals: Signals) -> bool:
        """Hand a signal to the copies. Returns whether they must end by it, or be killed after the grace period.

        A Ctrl-C went to the whole foreground process group, the copies with it: it is theirs to act on, as it is
        without ipcctl (an editor, an interpreter's prompt); a second one from us would be one too many.
        """
        asks = signals.asks(info)
        if asks:
            self.asked_to_end = info.si_signo
        for pid in self._running:
            if not signals.has_it_too(info, pid) and self._pass_on(pid, info):
                self._event(pid, "signal", signal_name(info.si_signo))
        signals.stop_as_well(info)
        return asks and not info.from_terminal

    def _reap_ours(self) -> bool:
        self._reap()
        return bool(self._running)

    def _reap(self) -> bool:
        """Collect every child that has ended, adopted ones too; False when there is none any more."""
        for pid, wait_status, usage in ended_children():
            self._reaped(pid, wait_status, usage)
            if pid in self._running:
                record, begun = self._running.pop(pid)
                record.ended(wait_status, usage, time.monotonic() - begun, self._floor_kib)
                self._event(pid, "end", record.signal or f"exit {record.exit_code}")
                self._finished(record)
        return has_children()

    def _event(self, pid: int, event: str, detail: str = "") -> None:
        t_ms = round((time.monotonic() - self._begun) * 1000, 3)
        self.events.append(Event(t_ms, pid, self._role(pid), event, detail))

    def _role(self, pid: int) -> str:
        """What the events call a copy."""
        return os.path.basename(self.argv[0])

    def _finished(self, record: RunResult) -> None:
        """Its record is whole."""
        self._collect_output(record)
        if self.heard is not None:
            self.heard(self.records.index(record) + 1, record)

    def _collect_output(self, record: RunResult) -> None:
        if record in self._captured:
            record.stdout, record.stderr = map(contents, self._captured.pop(record))


def adopt_orphans() -> None:
    """Become the adopter of all that we start, where the kernel lets us (prctl); without it a daemon may escape."""
    from .prctl import set_child_subreaper

    with contextlib.suppress(OSError):
        set_child_subreaper()


def memory_file(name: str) -> int:
    """A file in memory (memfd_create(2)) to which every write is appended, whoever else holds it (O_APPEND)."""
    import fcntl

    descriptor = os.memfd_create(name)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_APPEND)
    return descriptor


def contents(descriptor: int) -> str:
    """All that a memory file holds, as text; then it is closed."""
    with open(descriptor, "rb") as file:
        file.seek(0)
        return file.read().decode("utf-8", "surrogateescape")
