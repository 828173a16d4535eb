"""What the record of a command costs beyond starting ipcctl."""

from __future__ import annotations

from collections.abc import Iterator

from harness import IPCCTL, Comparison, compare, in_turns


def comparisons() -> Iterator[Comparison]:
    """`ipcctl fork -- true` against `ipcctl --version`."""
    times = in_turns({"fork -- true": [IPCCTL, "fork", "--", "true"], "--version": [IPCCTL, "--version"]}, rounds=40)
    yield compare(times, "fork -- true", "--version", at_most=1.25)
