"""In the middle of somebody's pipeline: pass bytes on unchanged, and say how many and how fast.

    stdin ══ splice(2), where it can be ══► stdout          stderr: bytes, time, rate, average, and what is left
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import time
from typing import Any, Protocol

from ...errors import EXIT_OK, EXIT_SIGNALLED
from ...process.signals import ENDING, Arrived
from .relay import AT_ONCE, PIPE_BYTES, READER_GONE, Link, Periodic, Relay, set_capacity

CREDIT_S = 0.1  # so much of a pause is made up for: in any 5 s the rate is held within 2 %
PACES_PER_S = 50  # a limited rate is moved in so many pieces a second


class Ended(Exception):
    """The link has ended, and there is nothing more to wait for."""


def stop_waiting(link: Link) -> None:
    """End the wait. Raises Ended."""
    raise Ended


class PacedLink(Link):
    """A link that holds to a rate, in bytes a second."""

    def __init__(self, source: int, sink: int, rate: float) -> None:
        super().__init__(source, sink)
        self.rate = rate
        self._piece = max(1, round(rate / PACES_PER_S))
        self._since = time.monotonic()
        self._counted = 0

    def allowed(self) -> int:
        """What has fallen due. A pause of the source or of the reader is not made up for, but for its end."""
        now = time.monotonic()
        due = (now - self._since) * self.rate - (self.moved_bytes - self._counted)
        if due > max(self._piece, CREDIT_S * self.rate):
            due = max(self._piece, CREDIT_S * self.rate)
            self._since, self._counted = now - due / self.rate, self.moved_bytes
        if due < self._piece:
            self.resume_at = now + (self._piece - due) / self.rate
            raise BlockingIOError
        return min(int(due), AT_ONCE)


class MeterDisplay(Periodic, Protocol):
    """Shows how far a meter is."""

    def follow(self, meter: Meter) -> None:
        """Note that the meter is about to begin."""


class Meter:
    """Passes stdin on to stdout. limit: bytes a second; size_bytes: what is expected, None for unknown."""

    def __init__(self, size_bytes: int | None = None, limit: float | None = None, name: str | None = None) -> None:
        self.size_bytes = left_of_file(0) if size_bytes is None else size_bytes
        self.name = name
        self.link = Link(0, 1) if limit is None else PacedLink(0, 1, limit)
        self.asked_to_end: int | None = None
        self.began = time.monotonic()
        self.wall_s = 0.0

    def run(self, display: MeterDisplay | None) -> None:
        """Pass on until the end, or a signal asks to end. Raises InputFailed, SinkFailed."""
        relay = Relay(stop_waiting, ours=False, wanted=ENDING)
        for each in (0, 1):
            set_capacity(each, PIPE_BYTES)
        if display is not None:
            display.follow(self)
            relay.periodic.append(display)
        try:
            with relay:
                with contextlib.suppress(Ended):
                    relay.plan()
                    relay.add(self.link)
                    while self.asked_to_end is None:
                        self._heed(relay, relay.wait())
                self._heed(relay, relay.take())  # one that came just as the input ended
        finally:
            self.wall_s = time.monotonic() - self.began

    def _heed(self, relay: Relay, info: Arrived | None) -> None:
        if info is not None and relay.asks(info):
            self.asked_to_end = info.si_signo

    @property
    def status(self) -> int:
        """That of a filter: 0, or 128 + N of the signal that ended it, SIGPIPE when its reader was done."""
        if self.asked_to_end is not None:
            return EXIT_SIGNALLED + self.asked_to_end
        return EXIT_SIGNALLED + int(signal.SIGPIPE) if self.link.ended == READER_GONE else EXIT_OK

    def row(self) -> dict[str, Any]:
        """What it comes to, as a flat object."""
        from ...process.signals import signal_name

        used = os.times()
        return {
            "name": self.name, "passed_bytes": self.link.moved_bytes, "size_bytes": self.size_bytes,
            "wall_s": round(self.wall_s, 6), "average_bytes_per_s": round(self.link.moved_bytes / self.wall_s, 1),
            "user_s": used.user, "system_s": used.system,
            "ended": signal_name(self.asked_to_end) if self.asked_to_end else self.link.ended,
        }  # fmt: skip


def left_of_file(descriptor: int) -> int | None:
    """What is left to read of a regular file; None for anything else."""
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        return max(status.st_size - os.lseek(descriptor, 0, os.SEEK_CUR), 0)
    except OSError:
        return None
