"""Contenders side by side: run in turns, in one run, and compared by ratios.

A machine is never the same twice, nor quiet; so nothing is compared across runs. Each round runs every contender once,
in turns, and gives one ratio; what is reported is the median of the ratios, with the quartiles as the spread.
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BIN = Path(sys.executable).parent
IPCCTL = str(BIN / "ipcctl")
PYTHON = sys.executable
ROOT = Path(__file__).parent.parent.parent


@dataclass
class Comparison:
    """One figure against its target: `what` took `ratio` times what `against` took."""

    what: str
    against: str
    ratios: list[float]
    at_most: float | None = None
    at_least: float | None = None
    medians: dict[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return statistics.median(self.ratios)

    @property
    def reached(self) -> bool:
        """Whether the target is met."""
        if self.at_most is not None:
            return self.ratio <= self.at_most
        return self.at_least is None or self.ratio >= self.at_least

    def __str__(self) -> str:
        low, _, high = statistics.quantiles(self.ratios, n=4) if len(self.ratios) > 1 else (self.ratio,) * 3
        target = f"≤ {self.at_most}" if self.at_most is not None else f"≥ {self.at_least}"
        verdict = "reached" if self.reached else "MISSED"
        times = ", ".join(f"{name} {value * 1000:.1f} ms" for name, value in self.medians.items())
        line = f"{verdict:8} {self.what} / {self.against}: {self.ratio:.2f} [{low:.2f} … {high:.2f}], target {target}"
        return f"{line}" + (f"  ({times})" if times else "")


Contender = Sequence[str] | Callable[[], object]


def timed(contender: Contender, env: dict[str, str] | None = None) -> float:
    """Seconds of wall time of one run: a command with its output thrown away, or a function.

    Raises AssertionError for a command that fails: a failure is quick, and would win.
    """
    if callable(contender):
        begun = time.perf_counter()
        contender()
        return time.perf_counter() - begun
    null = os.open(os.devnull, os.O_RDWR)
    throw_away = [(os.POSIX_SPAWN_DUP2, null, descriptor) for descriptor in (0, 1, 2)]
    try:
        begun = time.perf_counter()
        pid = os.posix_spawnp(contender[0], list(contender), env or environment(), file_actions=throw_away)
        _, status = os.waitpid(pid, 0)
        taken = time.perf_counter() - begun
    finally:
        os.close(null)
    assert status == 0, f"{contender} ended with wait status {status}"
    return taken


def environment() -> dict[str, str]:
    """The environment without what changes how Python starts."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "IPCCTL_"))}


def in_turns(contenders: dict[str, Contender], rounds: int) -> dict[str, list[float]]:
    """Run all of them, round by round; the first round, which warms the caches, is not counted."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, contender in contenders.items():
            taken = timed(contender)
            if number:
                times[name].append(taken)
    return times


def compare(
    times: dict[str, list[float]], what: str, against: str, at_most: float | None = None, at_least: float | None = None
) -> Comparison:
    """What `what` took by what `against` took; with `at_least`, how many times faster `what` was."""
    pairs = zip(times[what], times[against], strict=True)
    ratios = [mine / theirs if at_least is None else theirs / mine for mine, theirs in pairs]
    medians = {name: statistics.median(times[name]) for name in (what, against)}
    return Comparison(what, against, ratios, at_most, at_least, medians)


def peer(command: str, package: str) -> str | None:
    """The path of a peer, installed from the distribution where we may; None where it is not to be had."""
    import shutil

    if not shutil.which(command) and os.getuid() == 0 and shutil.which("apt-get"):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(["apt-get", "-qq", "update"], check=False, **quiet)
        subprocess.run(["apt-get", "-qq", "install", "-y", "--no-install-recommends", package], check=False, **quiet)
    found = shutil.which(command)
    if not found:
        left_out(command, f"not installed (package {package})")
    return found


def python_peer(module: str, package: str) -> bool:
    """Whether a peer written in Python can be imported, installed into this environment where it is missing."""
    importing = [PYTHON, "-c", f"import {module}"]
    if subprocess.run(importing, capture_output=True, check=False).returncode != 0:
        subprocess.run([PYTHON, "-m", "pip", "install", "-q", package], capture_output=True, check=False)
        if subprocess.run(importing, capture_output=True, check=False).returncode != 0:
            left_out(module, f"package {package} could not be installed")
            return False
    return True


def left_out(what: str, why: str) -> None:
    """Say which peer is not compared with."""
    print(f"left out {what}: {why}", flush=True)


@contextlib.contextmanager
def sleepers(count: int) -> Iterator[list[int]]:
    """So many processes of another program that only sleep; ended, by PID, at the end of the block."""
    pids: list[int] = []
    try:
        pids.extend(os.posix_spawn("/bin/sleep", ["sleep", "10000"], {}) for _ in range(count))
        yield pids
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)


def peak_rss_kib(command: Sequence[str], stdin: int | None = None) -> int:
    """The peak memory of a command (wait4(2)), started from a small interpreter.

    The kernel counts from what the starter held at its peak: a figure of less than some 10 MiB is the starter's.
    """
    script = "import os, sys; pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)\n"
    script += "print(os.wait4(pid, 0)[2].ru_maxrss, file=sys.stderr)"
    small = [PYTHON, "-I", "-S", "-c", script, *command]
    done = subprocess.run(small, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
    return int(done.stderr.split()[-1])
