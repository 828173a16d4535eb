"""How far long work is, on one line of a terminal that is drawn again and again."""

from __future__ import annotations

import os
import time

from ..waiting import draw
from .sink import STDERR
from .terminal import cut, visible_line
from .values import duration

EVERY_S = 0.1  # drawn again no sooner, whatever happens
AT_LEAST_EVERY_S = 1.0
WIDTH = 24


class Progress:
    """A bar on the terminal that stderr is."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._drawn = float("-inf")
        self._shown = False

    def show(self, done: int, failed: int, running: int, total: int | None, waiting: str | None) -> float:
        """Draw it, unless it was drawn just now; returns when to draw it again."""
        now = time.monotonic()
        if now - self._drawn < EVERY_S:
            return self._drawn + EVERY_S
        self._drawn, self._shown = now, True
        line = self.line(done, failed, running, total, now - self._begun) + (f"  waiting: {waiting}" if waiting else "")
        draw(STDERR, "\r" + cut(visible_line(line), self._columns() - 1) + "\x1b[K")
        return now + AT_LEAST_EVERY_S

    def line(self, done: int, failed: int, running: int, total: int | None, elapsed_s: float) -> str:
        """The line itself."""
        rate = done / elapsed_s if elapsed_s > 0 else 0.0
        counts = f"{done} done, {failed} failed, {running} running, {rate:.3g}/s"
        if total is None:
            return f"{counts}, total unknown"
        filled = WIDTH if done >= total else done * WIDTH // total
        left = duration((total - done) / rate) + " left" if rate else "time left unknown"
        return f"[{'━' * filled}{' ' * (WIDTH - filled)}] {done}/{total}  {counts}, {left}"

    def clear(self) -> None:
        """Take it away, for other text to come."""
        if self._shown:
            self._shown = False
            self._drawn = float("-inf")
            draw(STDERR, "\r\x1b[K")

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(STDERR).columns or 80
        except OSError:
            return 80
