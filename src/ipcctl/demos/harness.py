"""What every demonstration stands on: checks that return evidence, and processes that are accounted for.

    @demonstration.check("zombie.seen", "the child that exited and was not waited for is in state Z")
    def seen(stage: Stage) -> Evidence:
        pid = os.fork()
        if pid == 0:
            with ending_child():        # the child's part; it never comes out of this block
                ...
        stage.record_process(pid, "child")
        ...
        return Evidence(expected="Z", observed=state_of(pid))

Processes that are relatives meet in three ways, none of which is sleeping for a while: by a channel, at a barrier (see
channels.py), or so:

    stop_here()             the child stops itself; wait_until_stopped(pid), look at it, go_on(pid)

A check that takes too long fails; whatever it left behind is ended before the next begins.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

from ..errors import LIMITS, NO_ROOM, CannotStart, Interrupted
from ..process.event import Event
from ..process.prctl import set_child_subreaper
from ..process.procfs import NoProc, hides_others, is_own, is_there, stat_of
from ..process.signals import ENDING, Signals
from ..process.terminate import kill_descendants
from ..process.tree import reap_ended
from ..process.wait_status import decode, wait_status_of
from ..report.model import Check, Column, Report, Row, tally
from . import deadline
from .channels import CHILD_FAILED, Barrier, Channel
from .columns import PROCESS_COLUMNS
from .deadline import TooLong

if TYPE_CHECKING:
    import subprocess
    from multiprocessing.process import BaseProcess

INSIST_S = 1.0  # how long an interrupted check has until it is interrupted again


class Skip(Exception):
    """The check cannot be made on this machine; the message says why."""


class Evidence:
    """What a statement leads one to expect, and what was seen; both are read by people.

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
        with ending_what_was_started(), Reserve() as reserve:
            stage = Stage(options, reserve)
            found = [stage.perform(*each) for each in self.checks]
        counts = tally(found)
        summary: Row = {**counts, "wall_s": round(stage.elapsed_ms() / 1000, 6)}
        ok = counts["failed"] == 0
        rows = stage.rows if self.columns is PROCESS_COLUMNS else stage.results
        return Report(self.concept, self.columns, ok, summary, rows, found, stage.events)


class Stage:
    """Where the checks of one run are performed: its clock, the processes that took part, and their events."""

    def __init__(self, options: dict[str, Any], reserve: Reserve) -> None:
        self.options = options
        self._reserve = reserve
        self.rows: list[Row] = []
        self.results: list[Row] = []  # the rows of a concept with columns of its own
        self.events: list[Event] = []
        self.begun = time.monotonic()
        self.pid = os.getpid()
        self._check: str | None = None
        self._newest: dict[int, Row] = {}  # by PID, which the kernel gives out again
        self._closing = contextlib.ExitStack()
        self._add_row(self.pid, "parent", None)

    def elapsed_ms(self) -> float:
        """Milliseconds since the demonstration began."""
        return self.since_begun(time.monotonic())

    def since_begun(self, moment: float) -> float:
        """A moment (time.monotonic, in any process) in milliseconds since the demonstration began."""
        return round((moment - self.begun) * 1000, 3)

    def perform(self, id: str, statement: str, function: CheckFunction) -> Check:
        """Make one check; what goes wrong in it is a check that failed, with the reason."""
        self._check = id
        if not is_own():
            return as_check(NoProc("who takes part could not be seen, nor be ended"), id, statement)
        self.event(self.pid, "check", id)
        try:
            with deadline.deadline(deadline.LIMIT_S):
                found = function(self)
            status = "held" if found.held else "failed"
            return Check(id, statement, text(found.expected), text(found.observed), status, found.reason)  # type: ignore[arg-type]
        except TooLong:
            return Check(id, statement, "an end", "none", "failed", f"not done after {deadline.LIMIT_S:g} s")
        except Exception as error:
            return as_check(error, id, statement)
        finally:
            if os.getpid() != self.pid:  # a child that came out of its part must not go on as a second parent
                os._exit(CHILD_FAILED)
            self._clear()

    def _clear(self) -> None:
        """Close what the check opened, and end what it left behind: that takes descriptors, which may be scarce."""
        with contextlib.suppress(BrokenPipeError):  # what was still to be written to one that has ended
            self._closing.close()
        with self._reserve.given_out():
            sweep()

    def more_time(self, extra_s: float = 0.0) -> None:
        """The check made progress: its deadline begins anew; what it does next takes so long by itself."""
        if not signal.getitimer(signal.ITIMER_REAL)[1]:  # an interval: see ending_what_was_started
            signal.setitimer(signal.ITIMER_REAL, min(deadline.LIMIT_S + extra_s, deadline.LONGEST_S))

    # --- who took part

    def record_process(self, pid: int | None, role: str) -> None:
        """Account for a process that was just started: a row of it, and an event."""
        assert pid is not None, "it was not started"
        stat = stat_of(pid)
        self._add_row(pid, role, self.elapsed_ms(), stat.ppid if stat else None)
        self.event(pid, "start", self._check or "")

    def wait(self, pid: int) -> int:
        """waitpid(2) for a process that took part; returns the wait status, which its row keeps too."""
        _, wait_status = os.waitpid(pid, 0)
        self.ended(pid, wait_status)
        return wait_status

    def join(self, process: BaseProcess) -> int:
        """process.join(); returns the wait status as the kernel had it, looked at before the join took it away.

        Starting another Process waits for those that have ended by then: of such a one only the exitcode is left.
        """
        assert process.pid is not None, "it was not started"
        try:
            wait_status = wait_until_zombie(process.pid)
        except ChildProcessError:
            code = process.exitcode
            if code is None:
                raise
            wait_status = code << 8 if code >= 0 else -code
        process.join()
        self.ended(process.pid, wait_status)
        return wait_status

    def ended(self, pid: int, wait_status: int) -> None:
        """Account for the end of a process that took part."""
        exit_code, name, _ = decode(wait_status)
        if pid in self._newest:
            self._newest[pid].update(ended_ms=self.elapsed_ms(), exit_code=exit_code, signal=name)
        self.event(pid, "end", name or f"exit {exit_code}")

    def note(self, pid: int, **known: Any) -> None:
        """Add to the row of a process what is known of it, by column."""
        self._newest[pid].update(known)

    def event(self, pid: int, event: str, detail: str = "", at: float | None = None) -> None:
        """Note that a process did something, now or `at` a moment that it told (time.monotonic)."""
        row = self._newest.get(pid)
        t_ms = self.elapsed_ms() if at is None else self.since_begun(at)
        self.events.append(Event(t_ms, pid, row["role"] if row else "another", event, detail))

    def _add_row(self, pid: int, role: str, started_ms: float | None, ppid: int | None = None) -> None:
        row = {"pid": pid, "ppid": os.getppid() if pid == self.pid else ppid, "role": role, "check": self._check,
               "started_ms": started_ms, "ended_ms": None, "exit_code": None, "signal": None}  # fmt: skip
        self.rows.append(row)
        self._newest[pid] = row

    # --- what a check needs, closed when the check is over

    def channel(self) -> Channel:
        """A pipe on which relatives tell each other values."""
        return self._closing.enter_context(Channel())

    def barrier(self) -> Barrier:
        """A pipe at which a relative waits until it is opened."""
        return self._closing.enter_context(Barrier())

    def closing(self, descriptor: int) -> None:
        """Close a descriptor when the check is over."""
        self._closing.callback(os.close, descriptor)

    def python(self, source: str, role: str) -> subprocess.Popen[str]:
        """Start a fresh interpreter on `source`, with pipes for its stdin, stdout and stderr.

        For what only an interpreter that exits can show: a fork of this one would have our own exit to go through.
        """
        import subprocess

        if not sys.executable:
            raise Skip("there is no interpreter to start: sys.executable is empty")
        pipe = subprocess.PIPE
        argv = [sys.executable, "-I", "-S", "-c", source]  # -I: no PYTHONUNBUFFERED and the like; -S: starts faster
        program = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self._closing.enter_context(program)  # closes its pipes, and waits for it …
        self._closing.callback(program.kill)  # … before which it is killed, if it still runs then
        self.record_process(program.pid, role)
        return program

    def ran(self, program: subprocess.Popen[str]) -> tuple[int, str, str]:
        """Wait for such an interpreter: its wait status, and what it wrote to stdout and stderr."""
        assert program.stdout and program.stderr
        wait_status = wait_until_zombie(program.pid)  # it writes less than a pipe holds
        out, err = program.stdout.read(), program.stderr.read()
        program.wait()
        self.ended(program.pid, wait_status)
        return wait_status, out, err


def as_check(error: Exception, id: str, statement: str) -> Check:
    """What an error in a check comes to: skipped where the machine does not let us make it, else failed."""
    if isinstance(error, (Skip, NoProc)):
        return Check(id, statement, "", "", "skipped", str(error))
    if isinstance(error, OSError) and (remedy := (LIMITS | NO_ROOM).get(error.errno or 0)):
        return Check(id, statement, "", "", "skipped", f"{error.strerror}: {remedy}")
    if isinstance(error, CannotStart):
        return Check(id, statement, "", "", "skipped", str(error))
    what = f"{type(error).__name__}: {error}"
    return Check(id, statement, "no error", what, "failed", "the check itself failed")


def text(value: object) -> str:
    """Evidence as text."""
    return value if isinstance(value, str) else repr(value)


def state_of(pid: int | None) -> str:
    """The letter of a process's state in /proc/PID/stat; "gone" when the kernel has no record of it any more.

    Raises Skip where it is there, and hidden (hidepid).
    """
    stat = stat_of(pid or 0)
    if stat is None and pid and is_there(pid):
        raise Skip(f"/proc does not show process {pid} to this user ({hides_others()}); look as root")
    return stat.state if stat else "gone"


def stop_here() -> None:
    """From a child: stop, so that the parent can look at it, until the parent lets it go on."""
    os.kill(os.getpid(), signal.SIGSTOP)


def wait_until_stopped(pid: int) -> None:
    """Return once a child has stopped. Raises ChildProcessError when it ended instead."""
    seen = os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    if seen is None or seen.si_code != os.CLD_STOPPED:
        raise ChildProcessError(f"process {pid} ended before it came to where it was to stop")


def go_on(pid: int) -> None:
    """Let a stopped process go on."""
    os.kill(pid, signal.SIGCONT)


def wait_until_zombie(pid: int) -> int:
    """Return once a child has exited, leaving it for a wait: no sleeping to see a zombie (waitid(2), WNOWAIT).

    What is returned is the wait status, as waitpid(2) will give it.
    """
    seen = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert seen is not None  # only WNOHANG returns without a child
    return wait_status_of(seen)


def wait_for_state(pid: int, states: str, timeout_s: float | None = None) -> str:
    """Return a process's state once it is one of `states`: the kernel tells nobody when a process falls asleep.

    Between two looks the processor is given to whoever wants it. Raises TooLong.
    """
    end = time.monotonic() + (deadline.LIMIT_S if timeout_s is None else timeout_s)
    while time.monotonic() < end:
        state = state_of(pid)
        if state in states.split():
            return state
        os.sched_yield()
    raise TooLong


def wait_until_it_ran(pid: int, seconds: float, timeout_s: float | None = None) -> None:
    """Return once a process has been on a processor for so long from now. Raises TooLong."""
    clock = ~pid << 3 | 2  # clock_getcpuclockid(3) of another process, which Python's time module has not
    enough = time.clock_gettime(clock) + seconds
    end = time.monotonic() + (deadline.LIMIT_S if timeout_s is None else timeout_s)
    while time.clock_gettime(clock) < enough:
        if time.monotonic() > end:
            raise TooLong
        os.sched_yield()


class Reserve:
    """Some descriptors out of the checks' reach: a check may use up all there are, and leak some of them."""

    def __init__(self, count: int = 3) -> None:
        self.count = count
        self._held: list[int] = []

    def __enter__(self) -> Reserve:
        try:
            while len(self._held) < self.count:
                self._held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *what_happened: object) -> None:
        while self._held:
            os.close(self._held.pop())

    @contextlib.contextmanager
    def given_out(self) -> Iterator[None]:
        """For the block they may be used: what clears up behind a check needs some."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()


@contextlib.contextmanager
def ending_what_was_started() -> Iterator[None]:
    """However the block ends, by a signal too, no child of this process is left.

    A signal that asks to end raises Interrupted here; in a child that inherited the handler it ends the child. Where a
    finalizer happened to run, Python drops what is raised: so it is raised again after a while, and at the end.
    """
    owner = os.getpid()
    asked: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            os._exit(128 + number)
        for each in replaced:  # from now on we are ending; a second signal must not interrupt that
            signal.signal(each, signal.SIG_IGN)
        asked.append(number)
        sys.unraisablehook = say_nothing
        signal.signal(signal.SIGALRM, insist)
        signal.setitimer(signal.ITIMER_REAL, INSIST_S, INSIST_S)
        raise Interrupted(number)

    def insist(number: int, frame: FrameType | None) -> None:
        raise Interrupted(asked[0])

    replaced = {each: old for each in ENDING if (old := signal.getsignal(each)) is not signal.SIG_IGN}
    at_alarm = signal.getsignal(signal.SIGALRM)
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # inherited; with it the kernel would keep no wait status for us
    set_child_subreaper()
    try:
        for each in replaced:
            signal.signal(each, interrupt)
        yield
        if asked:
            raise Interrupted(asked[0])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, at_alarm)
        sweep()
        for each, old in replaced.items():
            signal.signal(each, old)
        set_child_subreaper(False)


def say_nothing(unraisable: object) -> None:
    """Once we were asked to end: an object that was only half made then need not complain (sys.unraisablehook)."""


def sweep() -> None:
    """Kill and reap whatever this process has started and not waited for."""
    if is_own() and reap_ended():  # else nothing was started
        with Signals(()) as signals:
            kill_descendants(signals, reap_ended)


def hold(stage: Stage, what: str) -> None:
    """For --hold: say at once what there is to see, and wait until the time is over or a signal asks to end."""
    seconds = stage.options.get("hold_s")
    if not seconds:
        return
    stage.options["say"](f"{what}; held for {seconds:g} s, Ctrl-C ends it")
    signal.setitimer(signal.ITIMER_REAL, 0)  # no check of its own takes so long
    asked = None
    with Signals(ENDING) as signals:
        end = time.monotonic() + seconds
        while asked is None and (info := signals.wait(end)):  # a child that ends is no reason to end
            asked = info.si_signo if signals.asks(info) else None
    if asked is not None:
        signal.raise_signal(asked)  # now by the stage's handler, which ends what was started
    stage.more_time()
