"""What watching costs: at the start, for a command that forks all the time, and while nothing happens."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator

from harness import IPCCTL, Comparison, compare, environment, in_turns

FORKS = ["sh", "-c", "i=0; while [ $i -lt 2000 ]; do /bin/true; i=$((i+1)); done"]
SLEEPERS = "i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done; echo up; wait"
ROUNDS = 5


def comparisons(name: str = "orphan") -> Iterator[Comparison]:
    """`ipcctl NAME -- true` against `ipcctl --version`; 2,000 forks watched and bare; 200 descendants that sleep."""
    start = in_turns({f"{name} -- true": [IPCCTL, name, "--", "true"], "--version": [IPCCTL, "--version"]}, rounds=40)
    yield compare(start, f"{name} -- true", "--version", at_most=1.3)
    forks = in_turns({f"{name} -- 2,000 forks": [IPCCTL, name, "--", *FORKS], "bare": FORKS}, rounds=9)
    yield compare(forks, f"{name} -- 2,000 forks", "bare", at_most=1.1)
    shares = [share_of_a_processor(name) for _ in range(ROUNDS)]
    yield Comparison(f"{name}'s processor time, 200 descendants", "the time that passed", shares, at_most=0.02)


def share_of_a_processor(name: str, seconds: float = 2.0) -> float:
    """What part of a processor `ipcctl NAME` takes while 200 descendants of its command sleep."""
    command = [IPCCTL, name, "-q", "--grace", "0", "--", "sh", "-c", SLEEPERS]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        clock = ~process.pid << 3 | 2  # clock_getcpuclockid(3) of another process
        began, used = time.monotonic(), time.clock_gettime(clock)
        signal.sigtimedwait([], seconds)
        share = (time.clock_gettime(clock) - used) / (time.monotonic() - began)
        os.kill(process.pid, signal.SIGTERM)
    return share
