"""Values for people, and sizes and times from people."""

from __future__ import annotations

import click
import pytest

from ipcctl.commands.arguments import Seconds, Size
from ipcctl.report.terminal import visible_line
from ipcctl.report.values import duration, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.0000004, "0 µs"), (0.000812, "812 µs"), (0.00125, "1.25 ms"), (0.9994, "999 ms"),
     (0.9996, "1.00 s"), (3.2, "3.20 s"), (59.994, "59.99 s"), (59.996, "1:00"), (60, "1:00"),
     (3599.6, "1:00:00"), (7510, "2:05:10"), (90061, "1d 1:01:01"),
     (-0.5, "-500 ms"), (-75, "-1:15")],
)  # fmt: skip
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (8808038, "8.4 MiB"), (1 << 40, "1.0 TiB"),
     (300 << 20, "300 MiB")],
)
def test_size(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(("text", "seconds"), [("1.5", 1.5), ("500ms", 0.5), (".25", 0.25), ("2m", 120), ("1h", 3600)])
def test_seconds(text: str, seconds: float) -> None:
    assert Seconds().convert(text, None, None) == seconds


@pytest.mark.parametrize(
    ("text", "count"), [("4096", 4096), ("64K", 65536), ("1.5MiB", 1572864), ("2 gb", 2 << 30), ("0", 0)]
)
def test_sizes(text: str, count: int) -> None:
    assert Size().convert(text, None, None) == count


@pytest.mark.parametrize("text", ["", "K", "1x", "1e3", "--", "٣"])
def test_no_size(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no size"):
        Size().convert(text, None, None)


def test_what_a_terminal_would_obey_is_shown_instead() -> None:
    assert visible_line("a\x1b[31m\n\udcff\u202e é") == "a\\x1b[31m\\n\\xff\\u202e é"
