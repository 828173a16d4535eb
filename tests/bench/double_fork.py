"""What starting a daemon costs beyond starting ipcctl."""

from __future__ import annotations

from collections.abc import Iterator

from harness import IPCCTL, Comparison, compare, in_turns


def comparisons() -> Iterator[Comparison]:
    """`ipcctl double-fork -- true` against `ipcctl --version`."""
    daemon = [IPCCTL, "double-fork", "--", "true"]
    times = in_turns({"double-fork -- true": daemon, "--version": [IPCCTL, "--version"]}, rounds=40)
    yield compare(times, "double-fork -- true", "--version", at_most=1.5)
