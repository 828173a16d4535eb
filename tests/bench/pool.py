"""Jobs a second against xargs and GNU parallel, with every record made; the memory for a million; much output."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence

from harness import IPCCTL, Comparison, Contender, compare, environment, in_turns, peak_rss_kib, peer

JOBS = 2000
FEW, MANY = 10_000, 1_000_000
BULK_BYTES = str(500 << 20)


def comparisons() -> Iterator[Comparison]:
    """Jobs that do nothing, and jobs whose output is collected; then what must not grow."""
    for argv in (["/bin/true"], ["echo"]):
        yield from jobs_a_second(argv)
    yield from memory()
    yield from much_output()


def jobs_a_second(argv: Sequence[str]) -> Iterator[Comparison]:
    """The same jobs by each, four at a time."""
    ours, xargs, parallel = f"pool {argv[0]}", f"xargs {argv[0]}", f"parallel {argv[0]}"
    quick: dict[str, Contender] = {
        ours: fed(JOBS, [IPCCTL, "pool", "-j4", "--no-progress", "--", *argv]),
        xargs: fed(JOBS, ["xargs", "-P4", "-n1", *argv]),
    }
    yield compare(in_turns(quick, rounds=10), ours, xargs, at_least=1.0)
    found = peer("parallel", "parallel")
    if found:
        slow: dict[str, Contender] = {ours: quick[ours], parallel: fed(JOBS, [found, "--will-cite", "-j4", *argv])}
        yield compare(in_turns(slow, rounds=2), ours, parallel, at_least=4.0)


def fed(count: int, command: Sequence[str]) -> Contender:
    """A run of the command with so many numbers to read, a line each."""
    lines = "".join(f"{number}\n" for number in range(1, count + 1))

    def run() -> None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, input=lines.encode(), env=environment(), check=True, **quiet)

    return run


def memory() -> Iterator[Comparison]:
    """A thousand lines a job: it is the lines that are measured, and 1,000 jobs against 10."""
    peaks = []
    for count in (FEW, MANY):
        with tempfile.TemporaryFile() as file:
            file.write(b"".join(b"%d\n" % number for number in range(count)))
            file.seek(0)
            command = [IPCCTL, "pool", "-n", "1000", "--no-progress", "--", "/bin/true"]
            peaks.append(peak_rss_kib(command, file.fileno()))
    ratio = peaks[1] / peaks[0]
    yield Comparison(f"pool at {MANY:,} lines, peak memory", f"the same at {FEW:,}", [ratio], at_most=1.10)


def much_output() -> Iterator[Comparison]:
    """Half a gigabyte of one job passes whole, and is never held in memory."""
    job = ["--", "head", "-c", "{}", "/dev/zero", ":::"]
    ours = [IPCCTL, "pool", "--no-progress", *job]
    counted([*ours, BULK_BYTES])()
    peaks = [peak_rss_kib([*ours, size]) for size in ("1", BULK_BYTES)]
    yield Comparison("pool, 500 MB, peak memory", "the same of 1 byte", [peaks[1] / peaks[0]], at_most=1.3)


def counted(command: Sequence[str]) -> Callable[[], None]:
    """A run of the command whose output is read from a pipe, and all there."""

    how = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}

    def run() -> None:
        with subprocess.Popen(command, env=environment(), **how) as process:
            assert process.stdout is not None
            count = 0
            while data := os.read(process.stdout.fileno(), 1 << 20):
                count += len(data)
        assert count == int(BULK_BYTES), count

    return run
