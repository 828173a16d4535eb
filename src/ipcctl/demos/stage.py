"""What every demonstration stands on: checks that return evidence, and processes that are accounted for.

    @demonstration.check("zombie.seen", "the child that exited and was not waited for is in state Z")
    def seen(stage: Stage) -> Evidence:
        pid = os.fork()
        if pid == 0:
            with ending_child():        # the child's part; it never comes out of this block
                ...
        stage.took_part(pid, "child")
        ...
        return Evidence(expected="Z", observed=stat_of(pid).state)

A check that takes too long fails; whatever it left behind is ended before the next begins.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

from ..errors import Interrupted
from ..process.outcome import decode
from ..process.prctl import set_child_subreaper
from ..process.procfs import stat_of
from ..process.signals import ENDING, Signals
from ..process.stop import kill_descendants
from ..report.report import Check, Column, Event, Report, Row, tally
from .taking_part import PROCESS_COLUMNS

DEADLINE_S = 20.0  # a check takes milliseconds; only a machine in great need takes seconds


class Skip(Exception):
    """The check cannot be made on this machine; the message says why."""


class TooLong(Exception):
    """The check did not come to its end within its deadline."""


class Evidence:
    """What a statement leads one to expect, and what was seen.

    The check holds when the two are equal, or as `held` says where the statement is no equation.
    """

    def __init__(self, expected: object, observed: object, held: bool | None = None, reason: str | None = None) -> None:
        self.expected = expected
        self.observed = observed
        self.held = expected == observed if held is None else held
        self.reason = reason


CheckFunction = Callable[["Stage"], Evidence]


class Demonstration:
    """A concept's checks, in order."""

    def __init__(self, concept: str, columns: Sequence[Column] = PROCESS_COLUMNS) -> None:
        self.concept = concept
        self.columns = columns
        self.checks: list[tuple[str, str, CheckFunction]] = []

    def check(self, id: str, statement: str) -> Callable[[CheckFunction], CheckFunction]:
        """Register the function below as the check of a statement of CONCEPTS.md."""

        def register(function: CheckFunction) -> CheckFunction:
            self.checks.append((id, statement, function))
            return function

        return register

    def run(self, **options: Any) -> Report:
        """Perform the checks and report. This process becomes a child subreaper while they run."""
        stage = Stage(options)
        with ending_what_was_started():
            found = [stage.perform(*each) for each in self.checks]
        counts = tally(found)
        summary: Row = {**counts, "wall_s": round(stage.elapsed_ms() / 1000, 6)}
        ok = counts["failed"] == 0
        return Report(self.concept, self.columns, ok, summary, stage.rows, found, stage.events)


class Stage:
    """Where the checks of one run are performed: its clock, the processes that took part, and their events."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.rows: list[Row] = []
        self.events: list[Event] = []
        self.begun = time.monotonic()
        self._check = ""

    def elapsed_ms(self) -> float:
        """Milliseconds since the demonstration began."""
        return round((time.monotonic() - self.begun) * 1000, 3)

    def perform(self, id: str, statement: str, function: CheckFunction) -> Check:
        """Make one check; what goes wrong in it is a check that failed, with the reason."""
        self._check = id
        try:
            with deadline(DEADLINE_S):
                found = function(self)
            status = "held" if found.held else "failed"
            return Check(id, statement, text(found.expected), text(found.observed), status, found.reason)  # type: ignore[arg-type]
        except Skip as reason:
            return Check(id, statement, "", "", "skipped", str(reason))
        except TooLong:
            return Check(id, statement, "an end", "none", "failed", f"not done after {DEADLINE_S:.0f} s")
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            return Check(id, statement, "no error", what, "failed", "the check itself failed")
        finally:
            sweep()

    def took_part(self, pid: int, role: str) -> None:
        """Account for a process that was just started: a row of it, and an event."""
        stat = stat_of(pid)
        row = {"pid": pid, "ppid": stat.ppid if stat else None, "role": role, "check": self._check,
               "started_ms": self.elapsed_ms(), "ended_ms": None, "exit_code": None, "signal": None}  # fmt: skip
        self.rows.append(row)
        self.event(pid, "start", self._check)

    def wait(self, pid: int) -> int:
        """waitpid(2) for a process that took part; returns the wait status, which its row keeps too."""
        _, wait_status = os.waitpid(pid, 0)
        self.ended(pid, wait_status)
        return wait_status

    def ended(self, pid: int, wait_status: int) -> None:
        """Account for the end of a process that took part."""
        exit_code, name, _ = decode(wait_status)
        row = self._row(pid)
        if row is not None:
            row.update(ended_ms=self.elapsed_ms(), exit_code=exit_code, signal=name)
        self.event(pid, "end", name or f"exit {exit_code}")

    def event(self, pid: int, event: str, detail: str = "") -> None:
        """Note that a process did something, now."""
        row = self._row(pid)
        self.events.append(Event(self.elapsed_ms(), pid, row["role"] if row else "parent", event, detail))

    def _row(self, pid: int) -> Row | None:
        return next((row for row in reversed(self.rows) if row["pid"] == pid), None)


def text(value: object) -> str:
    """Evidence as text."""
    return value if isinstance(value, str) else repr(value)


@contextlib.contextmanager
def ending_child(status: int = 0) -> Iterator[None]:
    """The part of a forked child: it ends with os._exit here, whatever happens inside.

    Otherwise a child that raises would go on as a second parent: through its parent's finally blocks, and its report.
    """
    try:
        yield
    except BaseException:
        status = 70  # EX_SOFTWARE of sysexits(3): seen by the parent in the wait status
    finally:
        os._exit(status)


def tell(pipe: int, value: object) -> None:
    """From a child: send a value to whoever reads the pipe."""
    os.write(pipe, pickle.dumps(value))


def hear(pipe: int, timeout_s: float = DEADLINE_S) -> Any:
    """The value that a child told. Raises EOFError when it ended without telling, TooLong when it does neither."""
    if not select.select([pipe], [], [], timeout_s)[0]:
        raise TooLong
    with open(pipe, "rb", buffering=0, closefd=False) as stream:
        return pickle.load(stream)  # from our own child, over a pipe that only we two hold


def wait_until_zombie(pid: int) -> None:
    """Return once a child has exited, leaving it for a wait: no sleeping to see a zombie (waitid(2), WNOWAIT)."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def wait_for_state(pid: int, states: str, timeout_s: float = DEADLINE_S) -> str:
    """Return a process's state once it is one of `states`: the kernel tells nobody when a process falls asleep.

    Between two looks the processor is given to whoever wants it. Raises TooLong.
    """
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        stat = stat_of(pid)
        state = stat.state if stat else "gone"
        if state in states.split():
            return state
        os.sched_yield()
    raise TooLong


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise TooLong in the block when it takes longer (setitimer(2); a forked child does not inherit the timer)."""

    def raise_too_long(number: int, frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, raise_too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def ending_what_was_started() -> Iterator[None]:
    """However the block ends, by a signal too, no process that it started is left.

    A signal that asks to end raises Interrupted here; in a child that inherited the handler it ends the child.
    """
    owner = os.getpid()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            os._exit(128 + number)
        for each in replaced:  # from now on we are ending; a second signal must not interrupt that
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    replaced = {each: old for each in ENDING if (old := signal.getsignal(each)) is not signal.SIG_IGN}
    set_child_subreaper()
    try:
        for each in replaced:
            signal.signal(each, interrupt)
        yield
    finally:
        sweep()
        for each, old in replaced.items():
            signal.signal(each, old)
        set_child_subreaper(False)


def sweep() -> None:
    """Kill and reap whatever this process has started and not waited for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return  # nothing is left, as it should be
    with Signals(()) as signals:
        kill_descendants(signals, reap_all)


def reap_all() -> bool:
    """Collect every child that has ended; False when there is no child any more."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True
