"""Signals and descriptors, waited for at once.

    poll ─┬─ signalfd       a signal is there          ─► returned to who waits, as Signals.wait does
          ├─ descriptors    `want` names the events    ─► `ready` is called
          └─ time           `due` names the moment     ─► `moment` is called
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterable

from ..waiting import NEVER, milliseconds_until
from .signals import FORWARDED, Arrived, Signals, signal_descriptor


class Polled(Signals):
    """Signals, to be waited for beside descriptors. A subclass says what is done when one of them is ready."""

    def __init__(self, wanted: Iterable[int] = FORWARDED) -> None:
        super().__init__(wanted)
        self.due = NEVER  # time.monotonic
        self._wanted: dict[int, int] = {}

    def __enter__(self) -> Polled:
        self._poll = select.poll()
        self._descriptor = signal_descriptor(self.waited_for)
        self._poll.register(self._descriptor, select.POLLIN)
        super().__enter__()
        return self

    def __exit__(self, *what_happened: object) -> None:
        os.close(self._descriptor)
        super().__exit__(None, None, None)

    def want(self, descriptor: int, events: int | None) -> None:
        """Wait for these events of a descriptor from now on (errors are always among them); None for no more."""
        if self._wanted.get(descriptor) == events:
            return
        if events is None:
            self._poll.unregister(descriptor)
            del self._wanted[descriptor]
        else:
            self._poll.register(descriptor, events)  # or modifies
            self._wanted[descriptor] = events

    def wait(self, deadline: float | None = None) -> Arrived | None:
        """The next signal; None once `deadline` (time.monotonic) has passed, or what was waited for has come.

        Meanwhile descriptors are served.
        """
        end = NEVER if deadline is None else deadline
        signal_pending = True  # the signalfd said so, or one came before the first poll
        while True:
            if signal_pending and (info := self.take()) is not None:
                return info
            now = time.monotonic()
            if now >= end:
                return None
            if now >= self.due:
                self.moment(now)
            found = self._poll.poll(milliseconds_until(min(end, self.due)))
            signal_pending = any(each == self._descriptor for each, _ in found)
            if self.ready([pair for pair in found if pair[0] != self._descriptor] if signal_pending else found):
                return None

    def ready(self, found: list[tuple[int, int]]) -> bool:
        """Descriptors are ready, each with its events (poll(2)); there may be none. True ends the wait."""
        return False

    def moment(self, now: float) -> None:
        """The moment that is due has come; it is to name the next."""
        self.due = NEVER
