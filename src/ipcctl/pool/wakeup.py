"""One place to wait: descriptors, the ends of children, and the signals that ask to end.

    signal ─► handler of the interpreter, in C ─► a byte into a pipe (signal.set_wakeup_fd) ─► poll(2) returns

So no signal can come between the last look and the wait, and waiting takes no processor time.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from types import FrameType

from ..process.signals import ENDING
from ..waiting import NEVER, asked, checks, interrupt, is_over, milliseconds_until

PATIENCE_S = 0.1


class Wakeup:
    """While it is entered, signals wake `wait`; `asked` is the one that asked to end.

    What waits for others (`interruptible` of ipcctl.waiting), and is not done soon after such a signal, is given up:
    Interrupted is raised in it. A signal that was ignored when we started stays ignored.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self.asks = 0  # how often
        self._asked_at = NEVER
        self.poller = select.poll()

    def __enter__(self) -> Wakeup:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)
        self.poller.register(self._reading, select.POLLIN)
        ignored = {each for each in ENDING if signal.getsignal(each) is signal.SIG_IGN}
        self._before = {each: signal.signal(each, self._ask) for each in ENDING if each not in ignored}
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, child_ended)
        self._wakeup_before = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        checks.append(self._check)
        return self

    def __exit__(self, *what_happened: object) -> None:
        checks.remove(self._check)
        signal.set_wakeup_fd(self._wakeup_before)
        for each, handler in self._before.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)
        os.close(self._reading)
        os.close(self._writing)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = number
        self.asks += 1
        asked(number)
        self._asked_at = min(self._asked_at, time.monotonic())

    def _check(self) -> None:
        """Raise Interrupted where it was asked to end, and somebody else has kept us waiting since."""
        if self.asked is not None and time.monotonic() >= self._asked_at + PATIENCE_S:
            interrupt(self.asked)

    def watch(self, descriptor: int) -> None:
        """Wake when it can be read."""
        self.poller.register(descriptor, select.POLLIN)

    def forget(self, descriptor: int) -> None:
        """Wake for it no more."""
        self.poller.unregister(descriptor)

    def wake(self) -> None:
        """From another thread: let `wait` return, the one under way or the next."""
        with contextlib.suppress(BlockingIOError):  # so full that it wakes anyway
            os.write(self._writing, b"\0")

    def wait(self, deadline: float | None = None) -> list[int]:
        """The watched descriptors that can be read, or are at their end; returns when a signal came as well."""
        while True:
            ready = [descriptor for descriptor, _ in self.poller.poll(milliseconds_until(deadline))]
            if self._reading in ready:
                ready.remove(self._reading)
                os.read(self._reading, 4096)
                return ready
            if ready or is_over(deadline):
                return ready


def child_ended(number: int, frame: FrameType | None) -> None:
    """The handler of SIGCHLD: that there is one lets the signal wake us."""
