"""The contract of whoever is held up by others: by who does not read, or keeps a lock. A signal ends it all the same.

What it has started is ended then, and the status is 128 + N.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from supervisors import SUPERVISORS, arguments, environment
from support import DEADLINE_S, ipcctl, runs, started, state_of, wait_until

ENDING = [signal.SIGTERM, signal.SIGINT]
Process = subprocess.Popen[str]


@contextlib.contextmanager
def full_pipe() -> Iterator[int]:
    """The writing end of a pipe that is full, and that nobody reads."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    yield writing
    os.close(reading)
    os.close(writing)


def until_held_up(process: Process, where: tuple[str, ...] = ("pipe_write", "pipe_wait")) -> None:
    """Return once it waits in the kernel for room, or for a lock (proc(5), wchan)."""

    def held_up() -> bool:
        assert process.poll() is None, "it did not wait"
        wchan = Path(f"/proc/{process.pid}/wchan").read_text()
        return state_of(process.pid) == "S" and any(each in wchan for each in where)

    wait_until(held_up, "that it is held up")


def ends_by(process: Process, number: int) -> None:
    """See that one signal ends it."""
    process.send_signal(number)
    process.wait(DEADLINE_S)
    assert process.returncode in (128 + number, -number)


# --- who does not read

PAIR = 'mkdir "$FIRST" 2>/dev/null && exit; echo $$ > "$PID"; exec sleep 60'  # one ends, the other stays


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("section", ["rows", "output", "notice"])
def test_who_writes_while_something_runs(section: str, number: int, tmp_path: Path) -> None:
    """It is held up by a row, by a job's output, by a line of its own; what still runs is ended."""
    env = {**environment(tmp_path), "FIRST": str(tmp_path / "first"), "PID": str(tmp_path / "pid")}
    lines = {
        "rows": ["fork", "-n", "2", "-f", "jsonl", "--", "sh", "-c", PAIR],
        "output": ["pool", "-q", "-j2", "--", "sh", "-c", f"echo said; {PAIR}", ":::", "1", "2"],
        "notice": ["pool", "-j2", "--", "sh", "-c", PAIR.replace("exit", "exit 3"), ":::", "1", "2"],
    }
    with full_pipe() as full, started(*lines[section], env=env, stdout=full, stderr=full) as process:
        pid = int(wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "the second"))
        until_held_up(process)
        ends_by(process, number)
        assert not runs(pid)


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("name", SUPERVISORS)
def test_a_supervisor_whose_report_nobody_reads(name: str, number: int, tmp_path: Path, adopting: None) -> None:
    """Its command has ended, or goes on; stdout and stderr are full."""
    line = arguments(name, ["sh", "-c", "exec sleep 60"], tmp_path, "--grace", "0.2")
    line = [each for each in line if each != "-q"]
    with full_pipe() as full, started(*line, env=environment(tmp_path), stdout=full, stderr=full) as process:
        wait_until(lambda: state_of(process.pid) == "S" and below(process.pid), "its command")
        ends_by(process, number)


def below(pid: int) -> list[str]:
    """The children of a process (proc(5))."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("line", ["ps", "ps --watch 1h", "queue get q", "shm get v"])
def test_who_prints(line: str, number: int, tmp_path: Path) -> None:
    env = environment(tmp_path)
    assert ipcctl("queue", "put", "q", "a" * 10_000, env=env).returncode == 0
    assert ipcctl("shm", "set", "v", "1", env=env).returncode == 0
    with full_pipe() as full, started(*line.split(), env=env, stdout=full) as process:
        until_held_up(process)
        ends_by(process, number)
    if "queue" in line:
        assert ipcctl("queue", "get", "q", "--try", env=env).stdout == "a" * 10_000 + "\n"


@pytest.mark.parametrize("number", ENDING)
def test_the_daemon_of_a_report_that_nobody_reads(number: int, tmp_path: Path, adopting: None) -> None:
    """After any status but 0 nothing of it is left."""
    pidfile = tmp_path / "pid"
    argv = ["double-fork", "--grace", "0.2", "--pidfile", str(pidfile), "--", "sleep", "60"]
    with full_pipe() as full, started(*argv, stdout=full) as process:
        until_held_up(process)
        pid = int(pidfile.read_text())
        ends_by(process, number)
    wait_until(lambda: not runs(pid), "the daemon's end")
    assert not pidfile.exists()


# --- who keeps a lock

STOPPED = """
import fcntl, os, struct, sys
path, kind = sys.argv[1:]
if kind == "flock":
    fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX)
else:
    fcntl.fcntl(os.open(path, os.O_RDWR), fcntl.F_OFD_SETLK, struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 1, 0))
os.write(1, b"!")
os.kill(os.getpid(), 19)
"""
LOCKS = {
    "queue put": ("queue put q b", "names/q.queue-lock", "range"),
    "queue get": ("queue get q", "names/q.queue-lock", "range"),
    "queue work": ("queue work q --stdin -- true", "names/q.queue-lock", "range"),
    "queue put, a new one": ("queue put new a", "names", "flock"),
    "sem run": ("sem run new -- true", "names", "flock"),
    "shm set": ("shm set v 2", "shm", "flock"),
    "shm get": ("shm get v", "shm", "flock"),
    "shm wait": ("shm wait v --until ==2", "shm", "flock"),
}


@contextlib.contextmanager
def stopped_holder(path: str, kind: str) -> Iterator[None]:
    """A process that has the lock, and is stopped."""
    with subprocess.Popen([sys.executable, "-c", STOPPED, path, kind], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.read(1) == b"!"
        try:
            yield
        finally:
            holder.kill()


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("name", LOCKS)
def test_who_waits_for_a_lock(name: str, number: int, tmp_path: Path) -> None:
    line, path, kind = LOCKS[name]
    env = environment(tmp_path)
    assert ipcctl("queue", "put", "q", "a", env=env).returncode == 0
    assert ipcctl("shm", "set", "v", "1", env=env).returncode == 0
    where = ipcctl("shm", "path", "v", env=env).stdout.strip() if path == "shm" else str(tmp_path / path)
    with stopped_holder(where, kind), started(*line.split(), env=env) as process:
        until_held_up(process, ("lock", "setlk"))
        ends_by(process, number)
    assert ipcctl("shm", "remove", "v", env=env).returncode == 0
