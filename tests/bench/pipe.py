"""What the relay costs: --meter beside pv and cat, and a pipeline beside the shell's own, of 4 GiB."""

from __future__ import annotations

import contextlib
import os
import shlex
import statistics
import subprocess
from collections.abc import Iterator

from harness import IPCCTL, PYTHON, Comparison, compare, environment, in_turns, peer

GIB = 4
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
    middles = {"--meter": f"{shlex.quote(IPCCTL)} pipe --meter -q", "cat": "cat"}
    if pv := peer("pv", "pv"):
        middles["pv -q"] = f"{pv} -q"
    scripts = {name: shell(f"{PRODUCER} | {middle} | {CONSUMER}") for name, middle in middles.items()}
    times = in_turns(scripts, ROUNDS)
    yield compare(times, "--meter", "cat", at_least=1.0)
    if pv:
        yield compare(times, "--meter", "pv -q", at_least=1.5)
        used = {name: [processor_time(middles[name]) for _ in range(ROUNDS)] for name in ("--meter", "pv -q")}
        ratios = [mine / theirs for mine, theirs in zip(used["--meter"], used["pv -q"], strict=True)]
        medians = {name: statistics.median(each) for name, each in used.items()}
        yield Comparison("--meter's processor time", "pv -q's", ratios, at_most=0.5, medians=medians)


def pipelines() -> Iterator[Comparison]:
    """The same stages by ipcctl, its start-up taken off, and by the shell."""
    for count, at_least in ((2, 0.9), (5, 0.7)):
        stages = [PRODUCER, *["cat"] * (count - 2), CONSUMER]
        mine, theirs = f"ipcctl pipe, {count} stages", f"the shell's, {count} stages"
        times = in_turns({mine: [IPCCTL, "pipe", "-q", *stages], theirs: shell(" | ".join(stages))}, ROUNDS)
        idle = in_turns({mine: [IPCCTL, "pipe", "-q", *["true"] * count], theirs: shell(" | ".join(["true"] * count))}, 10)
        times = {name: [each - statistics.median(idle[name]) for each in times[name]] for name in times}
        yield compare(times, mine, theirs, at_least=at_least)


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
    script = " | ".join([python(WRITES), f"{shlex.quote(IPCCTL)} pipe --meter -q", python(READS)])
    relayed = [IPCCTL, "pipe", "-q", python(WRITES), "cat", python(READS)]
    differ = 0
    for command in (shell(script), relayed):
        done = subprocess.run(command, env=environment(), stderr=subprocess.PIPE, text=True, check=True)
        differ += len(set(done.stderr.split("\n")) - {""}) != 1
    return Comparison(f"sums of {GIB} GiB that differ", "1", [float(differ)], at_most=0.0)


def python(code: str) -> str:
    """A stage that runs Python code."""
    return shlex.join([PYTHON, "-c", code, str(GIB)])
