"""Lines on stderr that are drawn again and again while work goes on."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..waiting import draw
from .sink import STDERR, Sink
from .terminal import cut, visible_line

USUAL_WIDTH = 80  # of a terminal that does not say
TO_END, UP = "\x1b[K", "\x1b[{}A"  # ECMA-48: erase the rest of the line; so many lines up


class Live:
    """On a terminal the lines are drawn over the last ones; elsewhere, where they were asked for, below them."""

    def __init__(self) -> None:
        self._sink = Sink(STDERR, "standard error")
        self._drawn = 0

    def show(self, lines: Sequence[str]) -> None:
        """Draw the lines."""
        if not self._sink.is_terminal:
            draw(STDERR, "".join(visible_line(each) + "\n" for each in lines))
            return
        width = self._sink.width or USUAL_WIDTH
        text = self._to_first() + "".join(cut(visible_line(each), width - 1) + TO_END + "\n" for each in lines)
        if draw(STDERR, text):
            self._drawn = len(lines)

    def clear(self) -> None:
        """Leave the terminal as it was before the first line."""
        if self._drawn:
            draw(STDERR, self._to_first() + "\x1b[J")
            self._drawn = 0

    def _to_first(self) -> str:
        return UP.format(self._drawn) if self._drawn else ""


def wanted(asked: bool | None) -> bool:
    """Whether to draw: as was asked; else where stderr is a terminal."""
    return os.isatty(STDERR) if asked is None else asked
