"""A script calls ipcctl a thousand times: what a start costs beyond importing click."""

from __future__ import annotations

from collections.abc import Iterator

from harness import IPCCTL, PYTHON, Comparison, compare, in_turns


def comparisons() -> Iterator[Comparison]:
    """`ipcctl --version` against `python -c 'import click'`, with the same interpreter."""
    times = in_turns({"--version": [IPCCTL, "--version"], "import click": [PYTHON, "-c", "import click"]}, rounds=40)
    yield compare(times, "--version", "import click", at_most=1.15)
