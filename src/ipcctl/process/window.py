"""Wait for descriptors and for signals that ask to end, where a signal at any other moment would do harm."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from types import FrameType

from ..waiting import checks, interrupt, poll_for
from .signals import ENDING


class Window:
    """While it is entered, a signal that asks to end is let through only during `wait`, and raises Interrupted there.

    One that was ignored when we started stays ignored.
    """

    def __init__(self) -> None:
        self.wanted = {each for each in ENDING if signal.getsignal(each) is not signal.SIG_IGN}

    def __enter__(self) -> Window:
        self._mask_before = signal.pthread_sigmask(signal.SIG_BLOCK, self.wanted)
        self._before = {each: signal.signal(each, end_wait) for each in self.wanted}
        checks.append(self.check)
        return self

    def __exit__(self, *what_happened: object) -> None:
        checks.remove(self.check)
        for each, handler in self._before.items():
            signal.signal(each, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask_before)

    def wait(self, descriptors: Sequence[int], deadline: float | None = None) -> list[int]:
        """Those that can be read, or are at their end; none once `deadline` (time.monotonic) has passed."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self.wanted)
        try:
            return poll_for(descriptors, deadline)
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, self.wanted)

    def check(self) -> None:
        """Raise Interrupted where a signal asks to end, while something else than `wait` keeps us waiting."""
        if (info := signal.sigtimedwait(self.wanted, 0)) is not None:
            interrupt(info.si_signo)


def end_wait(number: int, frame: FrameType | None) -> None:
    """The handler."""
    interrupt(number)
