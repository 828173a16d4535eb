"""The pidfile's protocol where it is hardest: many that claim one file at the same instant, and some that remove it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Each round, processes wait at a gate, and go through it together; each tells what came of it, and those that claimed
# the file stay until all have told. The file of the round before is stale by then, or was removed.
ROUNDS = """
import os, sys
from ipcctl.process.daemon import pidfile
path, rounds, claimers, removers, fresh = sys.argv[1], *map(int, sys.argv[2:])

def part(claims, gate, told, stay):
    os.read(gate, 1)
    try:
        what = b"c" if claims and pidfile.claim(path) else b"r" if not claims and pidfile.remove(path) else b"-"
    except pidfile.AlreadyRunning as error:
        what = b"a"
    except BaseException as error:
        what = b"!"
        print(error, flush=True)
    os.write(told, what)
    os.read(stay, 1)
    os._exit(0)

def play():
    gate, opening = os.pipe()
    hearing, told = os.pipe()
    stay, leaving = os.pipe()
    pids = []
    for number in range(claimers + removers):
        pid = os.fork()
        if pid == 0:
            os.close(opening); os.close(leaving)
            part(number < claimers, gate, told, stay)
        pids.append(pid)
    os.close(opening)
    said = b""
    while len(said) < len(pids):
        said += os.read(hearing, 100)
    holder = pidfile.holder_of(path)
    content = open(path).read() if os.path.exists(path) else None
    os.close(leaving)
    for each in (gate, hearing, told, stay):
        os.close(each)
    for pid in pids:
        os.waitpid(pid, 0)
    assert said.count(b"c") == 1, said
    assert said.count(b"a") == claimers - 1, said
    assert holder is not None and holder.pid in pids, "the winner does not hold the file"
    assert content == f"{holder.pid}\\n", content
    assert pidfile.holder_of(path) is None, "it still runs"
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]

for number in range(rounds):
    if fresh and number % 2:
        os.unlink(path)
    play()
print("done")
"""


@pytest.mark.parametrize(
    ("claimers", "removers", "fresh"), [(2, 0, 0), (6, 0, 0), (6, 0, 1), (1, 3, 0), (3, 3, 0), (3, 3, 1)]
)
def test_exactly_one_wins(claimers: int, removers: int, fresh: int, tmp_path: Path) -> None:
    numbers = map(str, (60, claimers, removers, fresh))
    command = [sys.executable, "-c", ROUNDS, str(tmp_path / "pid"), *numbers]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert (done.stdout, done.stderr) == ("done\n", "")
