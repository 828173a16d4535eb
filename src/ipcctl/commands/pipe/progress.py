"""What is shown while bytes flow: a line a stage, or the one line of a meter."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...report.values import duration, size

if TYPE_CHECKING:
    from ...ipc.pipe.meter import Meter
    from ...ipc.pipe.pipeline import Pipeline

Show = Callable[[Sequence[str]], None]
BAR = 20  # characters
EVERY_S = 0.5


class Progress:
    """A line each stage: what it has sent (the last one: received), the rate since the last line, what it does."""

    def __init__(self, show: Show, every_s: float = EVERY_S) -> None:
        self.show = show
        self.every_s = every_s
        self.due = time.monotonic() + every_s

    def begin(self, pipeline: Pipeline) -> None:
        """The stages are about to start."""
        self.pipeline = pipeline
        self.began = self._last = time.monotonic()
        self._before = [0] * len(pipeline.commands)

    def look(self, now: float) -> None:
        """Draw the lines."""
        passed = now - self._last
        self.show([self._line(i, passed) for i in range(len(self._before))])
        self._last, self.due = now, now + self.every_s

    def _line(self, i: int, passed_s: float) -> str:
        stage = self.pipeline.stages[i]
        link = stage.sent or stage.received
        moved = link.moved_bytes if link else 0
        rate, self._before[i] = (moved - self._before[i]) / passed_s, moved
        doing = stage.last if stage.pid is not None else "ended"
        figures = f"{size(moved):>10} {size(rate) + '/s':>12}" if link else f"{duration(self._last - self.began):>10}"
        return f"{i + 1:>3} {figures}  {doing:<8} {self.pipeline.commands[i]}"


class MeterLine(Progress):
    """The line of a meter: bytes, time, rate, average; with a size, a bar, and how long it will take."""

    def follow(self, meter: Meter) -> None:
        """The meter is about to begin."""
        self.meter = meter
        self.began = self._last = time.monotonic()
        self._before = [0]

    def look(self, now: float) -> None:
        """Draw the line."""
        self.show([self.line(now)])
        self._last, self.due = now, now + self.every_s

    def line(self, now: float) -> str:
        """The line as it is now."""
        moved, wanted, passed = self.meter.link.moved_bytes, self.meter.size_bytes, now - self.began
        rate, average = (moved - self._before[0]) / (now - self._last), moved / passed
        self._before[0] = moved
        head = f"{self.meter.name}: " if self.meter.name else ""
        line = f"{head}{size(moved):>10} {duration(passed):>8} {size(rate) + '/s':>12} average {size(average)}/s"
        return line + (f" {bar(moved / wanted)} {left(moved, wanted, average)}" if wanted else "")


def bar(part: float) -> str:
    """The bar: [=====>    ] 43 %."""
    done = min(int(part * BAR), BAR)
    drawn = "=" * done + (">" if done < BAR else "")
    return f"[{drawn:<{BAR}}] {min(int(part * 100), 100):>3} %"


def left(moved: int, wanted: int, average: float) -> str:
    """How long it will take yet, at the average rate."""
    return f"left {duration(max(wanted - moved, 0) / average)}" if average else "left -"
