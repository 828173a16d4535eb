"""What taking a slot costs, beside GNU sem; and what comes of it when 200 want three."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness import IPCCTL, Comparison, compare, environment, in_turns, peer, timed

CONTENDERS, SLOTS = 200, 3
INSIDE = 'printf + >> "$LOG"; sleep 0.3; printf - >> "$LOG"'


def comparisons() -> Iterator[Comparison]:
    """The start; and throughput, with a count of how many were inside."""
    with tempfile.TemporaryDirectory() as directory, own_names(directory):
        gnu = peer("sem", "parallel")
        contenders = {
            "sem run -- true": [IPCCTL, "sem", "run", "bench", "--", "true"],
            "--version": [IPCCTL, "--version"],
            **({"GNU sem --fg true": [gnu, "--fg", "true"]} if gnu else {}),
        }
        times = in_turns(contenders, rounds=30)
        yield compare(times, "sem run -- true", "--version", at_most=1.3)
        if gnu:
            yield compare(times, "sem run -- true", "GNU sem --fg true", at_most=0.6)
        yield from of_many(Path(directory) / "log")


@contextlib.contextmanager
def own_names(directory: str) -> Iterator[None]:
    """A directory of names for the contenders, and for GNU sem; what is made in it is removed."""
    before = dict(os.environ)
    os.environ.update(XDG_RUNTIME_DIR=directory, HOME=directory, LOG=f"{directory}/log")
    try:
        yield
    finally:
        subprocess.run([IPCCTL, "sem", "remove", "--all"], env=environment(), check=True)
        os.environ.clear()
        os.environ.update(before)


def of_many(log: Path) -> Iterator[Comparison]:
    """200 started together, three at a time, against the same commands under `xargs -P3`: ipcctl's start is in both.

    Of commands that take less, the figure is lower, for it is not the semaphore's: 200 starts at once share the
    processors and come first, where those of xargs go on beside commands that sleep.
    """
    start = f"for i in $(seq {CONTENDERS}); do {IPCCTL} sem run many -n {SLOTS} -- sh -c '{INSIDE}' & done; wait"
    same = f"{IPCCTL} sem run free -n {CONTENDERS} -- sh -c '{INSIDE}'"
    contenders = {
        "200 on 3 slots": ["sh", "-c", start],
        "xargs -P3": ["sh", "-c", f"seq {CONTENDERS} | xargs -P{SLOTS} -I@ {same}"],
    }
    log.write_text("")
    ours = timed(contenders["200 on 3 slots"])
    most = most_inside(log.read_text()) / SLOTS
    ratio = timed(contenders["xargs -P3"]) / ours
    yield Comparison("most inside at once", f"{SLOTS} slots", [most], at_most=1.0)
    yield Comparison("throughput of 200 on 3 slots", "xargs -P3", [ratio], at_least=0.9)


def most_inside(log: str) -> int:
    """The most that were inside at once, by what they wrote. Raises AssertionError where one did not come in."""
    assert log.count("+") == log.count("-") == CONTENDERS, log
    inside = most = 0
    for sign in log:
        inside += 1 if sign == "+" else -1
        most = max(most, inside)
    return most
