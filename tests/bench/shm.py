"""A counter that shells share: what one step of it costs a script, beside a start of ipcctl that does nothing."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator

from harness import IPCCTL, Comparison, compare, environment, in_turns


def comparisons() -> Iterator[Comparison]:
    """`ipcctl shm add` against `ipcctl --version`."""
    with tempfile.TemporaryDirectory() as directory:
        os.environ["XDG_RUNTIME_DIR"] = directory
        add, version = [IPCCTL, "shm", "add", "hits", "1"], [IPCCTL, "--version"]
        try:
            times = in_turns({"shm add": add, "--version": version}, rounds=40)
        finally:
            subprocess.run([IPCCTL, "shm", "remove", "hits"], env=environment(), check=True)
    yield compare(times, "shm add", "--version", at_most=1.25)
