"""Wait for descriptors and for signals, where a signal at any other moment would do harm."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Collection, Iterable, Sequence

from ..waiting import interrupt, is_over, milliseconds_until
from .signals import ENDING, SIG, Arrived, Signals, signal_descriptor


def nobody(info: Arrived) -> None:
    """Hand a signal to nobody."""


class Window:
    """While it is entered, signals are taken only during `wait`; one that asks to end raises Interrupted there.

    `wanted` are those taken, `ending` those that ask to end. `hand_on` is given each other one, for the commands; then
    what job control wants of this process is done. `children`: the end of a child ends the wait, too.
    """

    def __init__(
        self,
        wanted: Iterable[int] = ENDING,
        hand_on: Callable[[Arrived], None] = nobody,
        ending: Collection[int] = ENDING,
        children: bool = False,
    ) -> None:
        self.signals = Signals(wanted, ending)
        self.signals.on_hold = self.check
        self.hand_on = hand_on
        self.children = children
        self._child_ended = False
        self._descriptor = -1  # made by the first wait

    def __enter__(self) -> Window:
        self.signals.__enter__()
        return self

    def __exit__(self, *what_happened: object) -> None:
        self.signals.__exit__(None, None, None)
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def wait(self, descriptors: Sequence[int], deadline: float | None = None) -> list[int]:
        """Those that can be read, or are at their end; none once `deadline` (time.monotonic) has passed."""
        if self._descriptor < 0:
            self._descriptor = signal_descriptor(self.signals.waited_for)
        poller = select.poll()
        for each in (self._descriptor, *descriptors):
            poller.register(each, select.POLLIN)
        while True:
            self.check()
            ended, self._child_ended = self._child_ended and self.children, False
            found = poller.poll(0 if ended else milliseconds_until(deadline))
            ready = [each for each, _ in found if each != self._descriptor]
            if ready or ended or (not found and is_over(deadline)):
                return ready

    def check(self) -> None:
        """Act on the signals that have come. Raises Interrupted."""
        while (info := self.signals.take()) is not None:
            if info.si_signo == SIG.SIGCHLD:
                self._child_ended = True
            elif self.signals.asks(info):
                interrupt(info.si_signo)
            else:
                self.hand_on(info)
                self.signals.stop_as_well(info)
