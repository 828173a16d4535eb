"""Wait for descriptors and for signals that ask to end, where a signal at any other moment would do harm."""

from __future__ import annotations

import select
import signal
import time
from collections.abc import Sequence
from types import FrameType

from ..errors import Interrupted
from .signals import ENDING


class Window:
    """While it is entered, a signal that asks to end is let through only during `wait`, and raises Interrupted there.

    One that was ignored when we started stays ignored.
    """

    def __init__(self) -> None:
        self.wanted = {each for each in ENDING if signal.getsignal(each) is not signal.SIG_IGN}

    def __enter__(self) -> Window:
        self._mask_before = signal.pthread_sigmask(signal.SIG_BLOCK, self.wanted)
        self._before = {each: signal.signal(each, interrupt) for each in self.wanted}
        return self

    def __exit__(self, *what_happened: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask_before)

    def wait(self, descriptors: Sequence[int], deadline: float | None = None) -> list[int]:
        """Those that can be read, or are at their end; none once `deadline` (time.monotonic) has passed."""
        poller = select.poll()
        for each in descriptors:
            poller.register(each, select.POLLIN)
        left_ms = None if deadline is None else max(deadline - time.monotonic(), 0) * 1000
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self.wanted)
        try:
            return [descriptor for descriptor, _ in poller.poll(left_ms)]
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, self.wanted)


def interrupt(number: int, frame: FrameType | None) -> None:
    """The handler: ends the wait."""
    raise Interrupted(number)
