"""A million messages through a queue, against litequeue on the same messages; waking, and eight processes at once."""

from __future__ import annotations

import contextlib
import os
import select
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from harness import IPCCTL, PYTHON, Comparison, environment, python_peer

MESSAGES = 1_000_000
OF_PEER = 5_000  # a million would take it hours: the more it has, the more each costs it
ROUNDS = 3
WAKES = 60
# What a message costs litequeue, each way: put, and pop and done, as its README has it.
LITEQUEUE = """
import sys, time, litequeue
queue = litequeue.LiteQueue(sys.argv[1])
lines = sys.stdin.read().splitlines()
begun = time.perf_counter()
for line in lines:
    queue.put(line)
between = time.perf_counter()
while (message := queue.pop()) is not None:
    queue.done(message.message_id)
print((between - begun) / len(lines), (time.perf_counter() - between) / len(lines))
"""


def comparisons() -> Iterator[Comparison]:
    """Each way; then both ways at once; then how soon one that waits has what is put."""
    with tempfile.TemporaryDirectory() as directory:
        os.environ["IPCCTL_DIR"] = directory
        os.environ["PYTHONPATH"] = str(Path(__file__).parent.parent.parent / "src")
        path = Path(directory) / "messages"
        path.write_bytes(b"".join(b"%d\n" % number for number in range(MESSAGES)))
        env = environment() | {"IPCCTL_DIR": directory}
        yield from a_million(path, env)
        yield four_and_four(path, env)
        yield woken(env)


def a_million(path: Path, env: dict[str, str]) -> Iterator[Comparison]:
    """Seconds a message, put and got, the start of the program and all."""
    ours: tuple[list[float], list[float]] = ([], [])
    theirs: tuple[list[float], list[float]] = ([], [])
    has_peer = python_peer("litequeue", "litequeue")
    for _ in range(ROUNDS):
        for times, each in zip(ours, (put_all(path, env), get_all(path, env)), strict=True):
            times.append(each / MESSAGES)
        if has_peer:
            for times, each in zip(theirs, litequeue(path, env), strict=True):
                times.append(each)
    for way, mine, peers in zip(("put", "get --all"), ours, theirs, strict=True):
        rates = [1 / each for each in mine]
        yield Comparison(f"{way} of 1,000,000, messages a second", "1", rates, at_least=200_000)
        if has_peer:
            ratios = [slow / fast for slow, fast in zip(peers, mine, strict=True)]
            yield Comparison(f"{way}, messages a second", "litequeue", ratios, at_least=10)


def put_all(path: Path, env: dict[str, str]) -> float:
    """Seconds to put them."""
    begun = time.perf_counter()
    with path.open() as lines:
        subprocess.run([IPCCTL, "queue", "put", "bench"], stdin=lines, env=env, check=True)
    return time.perf_counter() - begun


def get_all(path: Path, env: dict[str, str]) -> float:
    """Seconds to get them; they are those that were put."""
    out = path.with_suffix(".out")
    begun = time.perf_counter()
    with out.open("w") as lines:
        subprocess.run([IPCCTL, "queue", "get", "bench", "--all"], stdout=lines, env=env, check=True)
    taken = time.perf_counter() - begun
    assert out.read_bytes() == path.read_bytes(), "they are not those that were put"
    return taken


def litequeue(path: Path, env: dict[str, str]) -> list[float]:
    """Seconds a message, put and got, of some of the same messages."""
    with tempfile.TemporaryDirectory() as directory, path.open() as lines:
        some = "".join(line for line, _ in zip(lines, range(OF_PEER)))  # noqa: B905 - the first ones
        command = [PYTHON, "-c", LITEQUEUE, f"{directory}/queue"]
        done = subprocess.run(command, input=some, stdout=subprocess.PIPE, text=True, env=env, check=True)
    return [float(each) for each in done.stdout.split()]


def four_and_four(path: Path, env: dict[str, str]) -> Comparison:
    """4 producers and 4 consumers at once: how many of the messages were lost, or came twice."""
    lines = path.read_bytes().splitlines(keepends=True)[:200_000]
    with contextlib.ExitStack() as stack:
        open_file = stack.enter_context
        parts = [path.with_suffix(f".in{number}") for number in range(4)]
        for number, part in enumerate(parts):
            part.write_bytes(b"".join(lines[number::4]))
        outs = [path.with_suffix(f".out{number}") for number in range(4)]
        follow, put = [IPCCTL, "queue", "get", "many", "--follow"], [IPCCTL, "queue", "put", "many"]
        getters = [open_file(subprocess.Popen(follow, stdout=open_file(out.open("w")), env=env)) for out in outs]
        putters = [open_file(subprocess.Popen(put, stdin=open_file(part.open()), env=env)) for part in parts]
        for each in putters:
            assert each.wait() == 0
        subprocess.run([IPCCTL, "queue", "close", "many"], env=env, check=True)
        for each in getters:
            assert each.wait() == 0
    found = [line for out in outs for line in out.read_bytes().splitlines(keepends=True)]
    wrong = abs(len(found) - len(lines)) + len(set(lines) ^ set(found))
    return Comparison("lost or twice, 4 producers and 4 consumers", "200,000", [wrong / len(lines)], at_most=0.0)


def woken(env: dict[str, str]) -> Comparison:
    """Milliseconds from the moment a put is acknowledged, in this process, until a getter that slept has printed."""
    from ipcctl.ipc.queue.queues import Queues

    taken = []
    command = [IPCCTL, "queue", "get", "wake", "--follow"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, env=env) as getter,
        Queues().open_or_make("wake") as queue,
    ):
        assert getter.stdout is not None
        for number in range(WAKES):
            if number == 0:
                queue.put([b"!"])
                os.read(getter.stdout.fileno(), 64)
            asleep(getter.pid)
            begun = time.perf_counter()
            queue.put([b"!"])
            select.select([getter.stdout], [], [])
            os.read(getter.stdout.fileno(), 64)
            taken.append(1000 * (time.perf_counter() - begun))
        queue.close_to_puts()
    return Comparison("a getter that waits wakes, ms after the put", "1", [statistics.median(taken)], at_most=5.0)


def asleep(pid: int) -> None:
    """Return once the getter sleeps: the kernel tells nobody when a process falls asleep."""
    while Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] != b"S":
        os.sched_yield()
