"""Signals as events to wait for, beside the ends of children: one place to wait, no handler, no race.

The signals are blocked, and taken with sigtimedwait(2) when we are ready for them; a child that ended is one of them
(SIGCHLD). What a blocked signal would have done is then ours to decide.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING

from ..waiting import checks, interrupt

if TYPE_CHECKING:
    import ctypes

SIG = signal.Signals
# What a wrapper hands on. The stops of job control (TSTP, TTIN, TTOU) keep their effect on the wrapper itself.
FORWARDED = (SIG.SIGHUP, SIG.SIGINT, SIG.SIGQUIT, SIG.SIGTERM, SIG.SIGUSR1, SIG.SIGUSR2, SIG.SIGCONT, SIG.SIGWINCH)
ENDING = (SIG.SIGHUP, SIG.SIGINT, SIG.SIGTERM)  # those that ask a program to end
SI_KERNEL = 0x80  # siginfo_t's si_code for a signal that the terminal made (Ctrl-C), not kill(2)


class Signals:
    """Blocks a set of signals while it is entered, and waits for them.

    One that was ignored when we started (nohup, a shell's background job) stays ignored.
    """

    def __init__(self, wanted: Iterable[int] = FORWARDED) -> None:
        self.waited_for = {number for number in wanted if signal.getsignal(number) is not signal.SIG_IGN}
        self.waited_for.add(SIG.SIGCHLD)
        self.mask_before: set[int] = set()

    def __enter__(self) -> Signals:
        if signal.getsignal(SIG.SIGCHLD) is signal.SIG_IGN:
            signal.signal(SIG.SIGCHLD, signal.SIG_DFL)  # inherited; with it the kernel would keep no wait status for us
        self.mask_before = set(signal.pthread_sigmask(signal.SIG_BLOCK, self.waited_for))
        checks.append(self._check)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        checks.remove(self._check)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask_before)

    def _check(self) -> None:
        """Raise Interrupted where a signal asks to end, while something else than `wait` keeps us waiting."""
        asking = self.waited_for & set(ENDING)
        if asking and (info := signal.sigtimedwait(asking, 0)) is not None:
            interrupt(info.si_signo)

    def wait(self, deadline: float | None = None) -> signal.struct_siginfo | None:
        """The next signal; None once `deadline` (time.monotonic) has passed."""
        if deadline is None:
            return signal.sigwaitinfo(self.waited_for)
        return signal.sigtimedwait(self.waited_for, max(deadline - time.monotonic(), 0))


def signal_descriptor(numbers: Iterable[int]) -> int:
    """A descriptor that can be read while one of those signals is pending (signalfd(2)). Raises OSError."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    descriptor: int = libc.signalfd(-1, sigset(numbers), os.O_CLOEXEC | os.O_NONBLOCK)  # SFD_ flags: the same values
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return descriptor


def sigset(numbers: Iterable[int]) -> ctypes.Array[ctypes.c_ulong]:
    """A sigset_t, as C has it."""
    import ctypes

    word = 8 * ctypes.sizeof(ctypes.c_ulong)
    mask = (ctypes.c_ulong * (1024 // word))()
    for number in numbers:
        mask[(number - 1) // word] |= 1 << (number - 1) % word
    return mask


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
