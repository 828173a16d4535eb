"""What the relay costs: the meter beside pv and cat, and a pipeline beside the shell's own, of 4 GiB."""

from __future__ import annotations

import contextlib
import os
import shlex
import statistics
import subprocess
from collections.abc import Iterator

from harness import IPCCTL, PYTHON, Comparison, compare, environment, in_turns, peer

GIB = 4
SUMMED_GIB = 2
ROUNDS = 5
PRODUCER, CONSUMER = f"head -c {GIB}G /dev/zero", "cat > /dev/null"
# What says of which bytes it wrote or read: every block another, 0 bytes differ where the sums are the same.
SUMMED = "import os, sys, zlib\nsum = 0\n"
WRITES = SUMMED + """block = os.urandom(1 << 20)
for i in range(int(sys.argv[1]) << 10):
    piece = memoryview(i.to_bytes(8, 'little') + block)[:1 << 20]
    sum = zlib.crc32(piece, sum)
    while piece:
        piece = piece[os.write(1, piece):]
print('sum', sum, file=sys.stderr)"""
READS = SUMMED + """count = 0
while piece := os.read(0, 1 << 20):
    sum, count = zlib.crc32(piece, sum), count + len(piece)
print('sum', sum, file=sys.stderr)
assert count == int(sys.argv[1]) << 30"""


def comparisons() -> Iterator[Comparison]:
    """The meter's throughput and processor time against pv's and cat's; pipelines of 2 and 5 stages."""
    yield from meters()
    yield differing_bytes()
    yield from pipelines()


def meters() -> Iterator[Comparison]:
    """Between a producer and a consumer: throughput; and the processor time of the one in the middle alone."""
    middles = {"meter": f"{shlex.quote(IPCCTL)} pipe meter -q", "cat": "cat"}
    if pv := peer("pv", "pv"):
        middles["pv -q"] = f"{pv} -q"
    scripts = {name: shell(f"{PRODUCER} | {middle} | {CONSUMER}") for name, middle in middles.items()}
    times = in_turns(scripts, ROUNDS)
    yield compare(times, "meter", "cat", at_least=1.0)
    if pv:
        yield compare(times, "meter", "pv -q", at_least=1.5)
        used = {name: [processor_time(middles[name]) for _ in range(ROUNDS)] for name in ("meter", "pv -q")}
        ratios = [mine / theirs for mine, theirs in zip(used["meter"], used["pv -q"], strict=True)]
        medians = {name: statistics.median(each) for name, each in used.items()}
        yield Comparison("meter's processor time", "pv -q's", ratios, at_most=0.5, medians=medians)


def pipelines() -> Iterator[Comparison]:
    """The same stages by ipcctl, its start-up taken off, and by the shell.

    Between stages that look at their bytes, and where zeros are made and thrown away: there whatever stands between the
    two is seen in full. Pages that are spliced travel on, and do not come back to the writer as those that were read
    do: it needs half as much time again as it does with the shell's pipe at its best, and is never waiting. So the
    target is missed then; it is reached when the two fight for the shell's one pipe, as they often do, which takes
    three times as long. No other sizes of pipes and splices, no other pauses and no copy through a small buffer was
    faster.
    """
    looking = [python(WRITES, SUMMED_GIB), python(READS, SUMMED_GIB)]
    zeros = [PRODUCER, CONSUMER]
    yield pipeline("2 stages that sum their bytes", looking, at_least=0.9)
    yield pipeline("5 stages", [PRODUCER, "cat", "cat", "cat", CONSUMER], at_least=0.7)
    yield pipeline("zeros thrown away", zeros, at_least=0.9)


def pipeline(name: str, stages: list[str], at_least: float) -> Comparison:
    """One pipeline by ipcctl and by the shell."""
    mine, theirs = f"ipcctl pipe, {name}", "the shell's"
    times = in_turns({mine: [IPCCTL, "pipe", "-q", *stages], theirs: shell(" | ".join(stages))}, ROUNDS)
    nothing = ["true"] * len(stages)
    idle = in_turns({mine: [IPCCTL, "pipe", "-q", *nothing], theirs: shell(" | ".join(nothing))}, 10)
    times = {name: [each - statistics.median(idle[name]) for each in times[name]] for name in times}
    return compare(times, mine, theirs, at_least=at_least)


def shell(script: str) -> list[str]:
    """A script of the shell's."""
    return ["sh", "-c", script]


def processor_time(middle: str) -> float:
    """Seconds of processor time of the command in the middle, what it takes to start included (wait4(2))."""
    env = environment()
    with contextlib.ExitStack() as stack:
        producer = subprocess.Popen(shell(f"exec {PRODUCER}"), stdout=subprocess.PIPE, env=env)
        stack.enter_context(producer)
        assert producer.stdout is not None
        consumer = subprocess.Popen(shell(f"exec {CONSUMER}"), stdin=subprocess.PIPE, env=env)
        stack.enter_context(consumer)
        assert consumer.stdin is not None
        argv = shlex.split(middle)
        ends = [(os.POSIX_SPAWN_DUP2, producer.stdout.fileno(), 0), (os.POSIX_SPAWN_DUP2, consumer.stdin.fileno(), 1)]
        pid = os.posix_spawnp(argv[0], argv, env, file_actions=ends)
        producer.stdout.close()
        consumer.stdin.close()
        _, status, usage = os.wait4(pid, 0)
    assert status == 0, f"{middle} ended with wait status {status}"
    return usage.ru_utime + usage.ru_stime


def differing_bytes() -> Comparison:
    """How many of the sums of what was written and of what was read, through the meter and the relay, differ."""
    writes, reads = python(WRITES, GIB), python(READS, GIB)
    script = " | ".join([writes, f"{shlex.quote(IPCCTL)} pipe meter -q", reads])
    differ = 0
    for command in (shell(script), [IPCCTL, "pipe", "-q", writes, "cat", reads]):
        done = subprocess.run(command, env=environment(), stderr=subprocess.PIPE, text=True, check=True)
        differ += len(set(done.stderr.split("\n")) - {""}) != 1
    return Comparison(f"sums of {GIB} GiB that differ", "1", [float(differ)], at_most=0.0)


def python(code: str, gib: int) -> str:
    """A stage that runs Python code, on so many GiB."""
    return shlex.join([PYTHON, "-c", code, str(gib)])
