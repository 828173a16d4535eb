"""One place to wait: descriptors, the ends of children, and signals.

    a signal, blocked ─► signalfd(2) ─┐
    another thread ─► a pipe ─────────┼─► poll(2) returns
    a job's output, a line of input ──┘

So no signal can come between the last look and the wait, and waiting takes no processor time.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable

from ..process.signals import SIG, Arrived, Signals, signal_descriptor
from ..waiting import NEVER, asked, interrupt, is_over, milliseconds_until

PATIENCE_S = 0.1


class Wakeup:
    """While it is entered, signals wake `wait`; `asked` is the one that asked to end, others are given to `hand_on`.

    What waits for others (`interruptible` of ipcctl.waiting), and is not done soon after such a signal, is given up:
    Interrupted is raised in it.
    """

    def __init__(self, hand_on: Callable[[Arrived], None]) -> None:
        self.hand_on = hand_on
        self.signals = Signals()
        self.signals.on_hold = self._check
        self.asked: int | None = None
        self.asks = 0  # how often
        self._asked_at = NEVER
        self._awake = False  # a signal was taken that `wait` has not told of
        self.poller = select.poll()

    def __enter__(self) -> Wakeup:
        self._descriptor = signal_descriptor(self.signals.waited_for)
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)
        self.poller.register(self._descriptor, select.POLLIN)
        self.poller.register(self._reading, select.POLLIN)
        self.signals.__enter__()
        return self

    def __exit__(self, *what_happened: object) -> None:
        self.signals.__exit__(None, None, None)
        for descriptor in (self._descriptor, self._reading, self._writing):
            os.close(descriptor)

    def _take_all(self) -> None:
        """Act on the signals that have come."""
        while (info := self.signals.take()) is not None:
            self._awake = True
            if info.si_signo == SIG.SIGCHLD:
                continue
            if self.signals.asks(info):
                self._ask(info.si_signo)
            else:
                self.hand_on(info)
                self.signals.stop_as_well(info)

    def _ask(self, number: int) -> None:
        self.asked = number
        self.asks += 1
        asked(number)
        self._asked_at = min(self._asked_at, time.monotonic())

    def _check(self) -> None:
        """Raise Interrupted where it was asked to end, and somebody else has kept us waiting since."""
        self._take_all()
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
            ready = [each for each, _ in self.poller.poll(0 if self._awake else milliseconds_until(deadline))]
            if self._descriptor in ready:
                ready.remove(self._descriptor)
                self._take_all()
            if self._reading in ready:
                ready.remove(self._reading)
                os.read(self._reading, 4096)
                self._awake = True
            if self._awake or ready or is_over(deadline):
                self._awake = False
                return ready
