"""How long a check may take. It takes milliseconds; only a machine in great need takes seconds."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

LIMIT_S = 20.0
LONGEST_S = 100 * 366 * 86400.0  # setitimer(2) takes nanoseconds in 63 bits: 292 years


class TooLong(Exception):
    """The check did not come to its end within its deadline."""


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
