"""Signals as events to wait for, beside the ends of children: one place to wait, no handler, no race.

    blocked ─► pending ─► rt_sigtimedwait(2), or signalfd(2) beside other descriptors ─► Arrived ─► handed on

All that can be caught are blocked, and taken when we are ready for them; a child that ended is one of them (SIGCHLD).
What a blocked signal would have done is then ours to decide. A blocked one is pending even where it is ignored (nohup):
the command, which inherits that, may have another mind. A fault of our own ends us all the same: the kernel does not
heed the mask there. The C library keeps 32 and 33 for itself, and leaves them out of every set: the kernel is asked,
by ctypes, which is imported only for that. What a start of ipcctl costs rises by 4 percent with it.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from types import TracebackType
from typing import Any

from ..waiting import checks, interrupt

SIG = signal.Signals
LAST = 64
CATCHABLE = frozenset(range(1, LAST + 1)) - {SIG.SIGKILL, SIG.SIGSTOP}
FORWARDED = CATCHABLE - {SIG.SIGCHLD}  # what a supervisor hands on
ENDING = frozenset({SIG.SIGHUP, SIG.SIGINT, SIG.SIGQUIT, SIG.SIGTERM})  # those that ask a program to end
ENDING_ONE = frozenset({SIG.SIGINT, SIG.SIGTERM})  # after which one command has a grace period; it may reload on a HUP
STOPPING = frozenset({SIG.SIGTSTP, SIG.SIGTTIN, SIG.SIGTTOU})  # those of job control, which can be caught
BY_TERMINAL = ENDING - {SIG.SIGTERM} | STOPPING | {SIG.SIGCONT, SIG.SIGWINCH}
BY_PYTHON = frozenset({SIG.SIGPIPE, SIG.SIGXFSZ})  # ignored by the interpreter, not by who started us
HIDDEN = frozenset({32, 33})  # by the C library
# siginfo_t's si_code: kill(2)'s; the terminal's (Ctrl-C), an alarm(2)'s, …; sigqueue(3)'s; tgkill(2)'s
SI_USER, SI_KERNEL, SI_QUEUE, SI_TKILL = 0, 0x80, -1, -6
SIGINFO_BYTES = 128
SIGSET_BYTES = 128  # of the C library's sigset_t
IS_64_BIT = sys.maxsize > 1 << 32
WORD_BYTES = 8 if IS_64_BIT else 4  # of a long, of which a sigset_t is made
# Which of the ints that siginfo_t begins with are si_signo, si_code and si_pid.
NUMBER_AT, CODE_AT, SENDER_AT = 0, 2, 4 if IS_64_BIT else 3
# rt_sigprocmask, rt_sigtimedwait, rt_sigqueueinfo: the C library's own forms hide 32 and 33, or the sender.
GENERIC = (135, 137, 138)
SYSTEM_CALLS = {"x86_64": (14, 128, 129), "aarch64": GENERIC, "riscv64": GENERIC, "loongarch64": GENERIC}
KERNEL_SIGSET_BYTES = 8  # of the kernel's sigset_t


class Arrived:
    """A signal that was taken, with what the kernel tells of it (sigaction(2)); `raw` is the siginfo_t."""

    __slots__ = ("raw", "si_code", "si_pid", "si_signo")

    def __init__(self, si_signo: int, si_code: int, si_pid: int, raw: bytes) -> None:
        self.si_signo = si_signo
        self.si_code = si_code
        self.si_pid = si_pid
        self.raw = raw

    @property
    def from_terminal(self) -> bool:
        """Whether the terminal sent it."""
        return self.si_code == SI_KERNEL and self.si_signo in BY_TERMINAL

    @property
    def is_the_groups(self) -> bool:
        """Whether the terminal sent it to the whole process group; of a hang-up, it tells the leader alone."""
        return self.from_terminal and not (self.si_signo == SIG.SIGHUP and os.getsid(0) == os.getpid())

    @property
    def queued(self) -> bool:
        """Whether it was queued (sigqueue(3)), a timer's, …: such a one can be handed on with its sender and value."""
        return self.si_code < 0 and self.si_code != SI_TKILL


class Signals:
    """Blocks a set of signals while it is entered, and waits for them.

    `ending` are those of them that ask us to end, but for one that was ignored at our start. `on_hold` is called again
    and again while something else than `wait` keeps us waiting (`interruptible` of ipcctl.waiting).
    """

    def __init__(self, wanted: Iterable[int] = FORWARDED, ending: Collection[int] = ENDING) -> None:
        self.waited_for = {*wanted, SIG.SIGCHLD}
        self.ending = ending
        self.mask_before: set[int] = set()
        self.on_hold = self._end_if_asked
        self.group_stopped = False  # by the terminal, or as if it were

    def __enter__(self) -> Signals:
        if signal.getsignal(SIG.SIGCHLD) is signal.SIG_IGN:
            signal.signal(SIG.SIGCHLD, signal.SIG_DFL)  # inherited; with it the kernel would keep no wait status for us
        before = change_mask(signal.SIG_BLOCK, self.waited_for)
        self._newly_blocked = self.waited_for - before
        self.mask_before = before - HIDDEN
        checks.append(self.on_hold)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        checks.remove(self.on_hold)
        if unclaimed := self._newly_blocked.difference(self.ending, STOPPING, {SIG.SIGCHLD}):
            taking = Taking(unclaimed)
            while taking.take(0.0):  # the command's, which has ended: left pending, it would end us
                pass
        change_mask(signal.SIG_UNBLOCK, self._newly_blocked)

    @functools.cached_property
    def _taking(self) -> Taking:
        return Taking(self.waited_for)

    @functools.cached_property
    def _asking(self) -> Taking:
        return Taking(each for each in self.ending if not is_ignored(each))

    def _end_if_asked(self) -> None:
        """Raise Interrupted where a signal asks to end."""
        if (info := self._asking.take(0.0)) is not None:
            interrupt(info.si_signo)

    def wait(self, deadline: float | None = None) -> Arrived | None:
        """Return the next signal; None once `deadline` (time.monotonic) has passed."""
        return self._taking.take(deadline)

    def take(self) -> Arrived | None:
        """Return a signal that is pending; None where none is."""
        return self._taking.take(0.0)

    def asks(self, info: Arrived) -> bool:
        """Return whether a signal asks us to end: it is one of `ending`, and was not ignored at our start (nohup)."""
        return info.si_signo in self.ending and not is_ignored(info.si_signo)

    def has_it_too(self, info: Arrived, pid: int) -> bool:
        """Return whether a command got that signal beside us: the terminal sends it to the whole process group.

        So does the shell that continues a stopped job; and a program that stops its own job (kill(0, SIGTSTP)).
        """
        if os.getpgid(pid) != os.getpgrp():
            return False
        if info.si_signo == SIG.SIGCONT and self.group_stopped:
            return not is_stopped(pid)
        return info.is_the_groups or (info.si_signo in STOPPING and info.si_pid == pid)

    def note(self, info: Arrived) -> None:
        """Remember, once the command has a signal, whether the terminal stopped the whole process group by it."""
        if info.si_signo == SIG.SIGCONT:
            self.group_stopped = False
        elif info.si_signo in STOPPING:
            self.group_stopped = info.from_terminal

    def stop_as_well(self, info: Arrived) -> None:
        """Do what job control wants of us, once the command has the signal: stop for TSTP, TTIN, TTOU; go on for CONT.

        By the signal's own default action: in an orphaned process group the kernel discards it, as the command's; and
        where it is ignored nobody stops.
        """
        self.note(info)
        number = info.si_signo
        if number in STOPPING:
            stop_by(number)


repeats: list[Callable[[Arrived], bool]] = []  # each says of a signal whether it came before, another way


class Taking:
    """Takes pending signals of a set; all that the system call needs is made once."""

    def __init__(self, numbers: Iterable[int]) -> None:
        import ctypes

        self._errno = ctypes.get_errno
        self._info = (ctypes.c_int * (SIGINFO_BYTES // ctypes.sizeof(ctypes.c_int)))()
        self._time = (ctypes.c_long * 2)()  # struct timespec: seconds, nanoseconds
        self._size = ctypes.c_long(KERNEL_SIGSET_BYTES)
        calls, wanted = system_calls(), sigset(numbers)
        if calls:
            self._sigtimedwait = functools.partial(libc().syscall, ctypes.c_long(calls[1]), wanted, self._info)
        else:
            self._sigtimedwait = functools.partial(libc().sigtimedwait, wanted, self._info)

    def take(self, deadline: float | None) -> Arrived | None:
        """Return the next; None once `deadline` (time.monotonic) has passed."""
        while self._sigtimedwait(self._left(deadline), self._size) < 0:
            code = self._errno()
            if code not in (errno.EAGAIN, errno.EINTR):
                raise OSError(code, os.strerror(code))
            if deadline is not None and time.monotonic() >= deadline:
                return None
        number, code, sender = self._info[NUMBER_AT], self._info[CODE_AT], self._info[SENDER_AT]
        if number in BY_PYTHON and sender == os.getpid():
            return self.take(deadline)  # a write of our own has failed, and says so itself
        info = Arrived(number, code, sender, bytes(self._info))
        return self.take(deadline) if any(each(info) for each in repeats) else info

    def _left(self, deadline: float | None) -> Any:
        """Return the time until then, as the system call has it."""
        if deadline is None:
            return None
        left_s = max(deadline - time.monotonic(), 0.0) if deadline else 0.0
        self._time[0], self._time[1] = int(left_s), int(left_s % 1 * 1e9)
        return self._time


def send_on(info: Arrived, pid: int) -> None:
    """Send a process the signal that we got; a queued one with its value, and its sender as the sender.

    Raises ProcessLookupError, PermissionError.
    """
    calls = system_calls()
    if info.queued and calls:
        import ctypes

        raw = ctypes.create_string_buffer(info.raw, SIGINFO_BYTES)
        if libc().syscall(ctypes.c_long(calls[2]), ctypes.c_long(pid), ctypes.c_long(info.si_signo), raw) == 0:
            return  # else: too many are queued, or there is no such call here
    os.kill(pid, info.si_signo)


def is_ignored(number: int) -> bool:
    """Return whether a signal is ignored, by who started us."""
    return signal.getsignal(number) is signal.SIG_IGN and number not in BY_PYTHON


def is_stopped(pid: int) -> bool:
    """Return whether a process is stopped: of a child of ours waitid(2) tells, of another /proc."""
    try:
        return stopped_by(pid) is not None
    except ChildProcessError:
        from .procfs import stat_of

        found = stat_of(pid)
        return found is not None and found.state == "T"


def stopped_by(pid: int) -> int | None:
    """Return the signal by which a child is stopped; None where it is not. Raises ChildProcessError: none, or ended."""
    found = os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT | os.WNOHANG)
    return found and found.si_status


def stop_by(number: int) -> None:
    """Stop this process by a signal's default action, unless a CONT has come: a stop would discard it."""
    if not is_pending(SIG.SIGCONT):
        os.kill(os.getpid(), number)  # while it is blocked: with another that has come it is one stop
        with unblocked({number}):
            pass


# --- the mask, and what is pending


@contextlib.contextmanager
def unblocked(numbers: Iterable[int]) -> Iterator[None]:
    """Let those signals have their effect in the block, where they are blocked."""
    numbers = set(numbers)
    before = change_mask(signal.SIG_UNBLOCK, numbers)
    try:
        yield
    finally:
        change_mask(signal.SIG_BLOCK, numbers & before)


@contextlib.contextmanager
def blocked(numbers: Iterable[int]) -> Iterator[None]:
    """Let those signals wait in the block; one that came has its effect after it."""
    numbers = set(numbers)
    before = change_mask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        change_mask(signal.SIG_UNBLOCK, numbers - before)


def is_pending(number: int) -> bool:
    """Return whether a blocked signal has come."""
    return number in signal.sigpending()


def change_mask(how: int, numbers: Iterable[int]) -> set[int]:
    """As pthread_sigmask(3), for 32 and 33 as well; returns the mask that was before.

    Of these two the mask tells only where they are among `numbers`.
    """
    numbers = set(numbers)
    calls = system_calls()
    if not calls or not numbers & HIDDEN:
        return set(signal.pthread_sigmask(how, numbers - HIDDEN))
    import ctypes

    before = ctypes.create_string_buffer(SIGSET_BYTES)
    number, size = ctypes.c_long(calls[0]), ctypes.c_long(KERNEL_SIGSET_BYTES)
    if libc().syscall(number, ctypes.c_long(how), sigset(numbers), before, size):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return signals_in(before.raw)


def signal_descriptor(numbers: Iterable[int]) -> int:
    """A descriptor that can be read while one of those signals is pending (signalfd(2)). Raises OSError."""
    import ctypes

    descriptor: int = libc().signalfd(-1, sigset(numbers), os.O_CLOEXEC | os.O_NONBLOCK)  # SFD_ flags: the same values
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return descriptor


@functools.cache
def libc() -> Any:
    """The C library."""
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


@functools.cache
def system_calls() -> tuple[int, int, int] | None:
    """The numbers of SYSTEM_CALLS on this machine; None where they are not known."""
    return SYSTEM_CALLS.get(os.uname().machine) if IS_64_BIT else None


def sigset(numbers: Iterable[int]) -> bytes:
    """Return a sigset_t, as C has it: words of a long, the first with signals 1 and up from its lowest bit."""
    bits = 0
    for number in numbers:
        bits |= 1 << number - 1
    words = bits & (1 << 8 * WORD_BYTES) - 1, bits >> 8 * WORD_BYTES  # the second is in use where a long has 32 bits
    return b"".join(word.to_bytes(WORD_BYTES, sys.byteorder) for word in words).ljust(SIGSET_BYTES, b"\0")


def signals_in(raw: bytes) -> set[int]:
    """Return the signals that are in a sigset_t."""
    low, high = raw[:WORD_BYTES], raw[WORD_BYTES : 2 * WORD_BYTES]
    bits = int.from_bytes(low, sys.byteorder) | int.from_bytes(high, sys.byteorder) << 8 * WORD_BYTES
    return {number for number in range(1, LAST + 1) if bits >> number - 1 & 1}


def signal_name(number: int) -> str:
    """SIGTERM for 15; a real-time signal is named from the nearer end of its range, as kill -l does."""
    try:
        return signal.Signals(number).name
    except ValueError:
        low = number - signal.SIGRTMIN
        high = signal.SIGRTMAX - number
        if low < 0:
            return f"SIG{number}"
        return f"SIGRTMIN+{low}" if low <= high else f"SIGRTMAX-{high}"
