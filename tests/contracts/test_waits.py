"""The contract of every wait: a signal that comes at any instant between deciding to wait and waiting ends it at once.

See before_call.py for how the signal is sent in that instant.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from before_call import signal_before_call
from supervisors import SUPERVISORS, environment, running
from support import DEADLINE_S, ipcctl, started, wait_until

ENDING = [signal.SIGTERM, signal.SIGINT]
SLEEPS = ["sh", "-c", "exec sleep 60"]

Process = subprocess.Popen[str]


def ends_by(process: Process, number: int) -> None:
    """Send the signal in that instant, and see that it ends the process, which may say so by its status."""
    call = signal_before_call(process.pid, number)
    try:
        process.wait(DEADLINE_S)  # its input stays open meanwhile
    except subprocess.TimeoutExpired:
        pytest.fail(f"{signal.Signals(number).name} just before {call} was lost")
    _, err = process.communicate()
    assert process.returncode in (128 + number, -number), err
    assert "Traceback" not in err


# --- whoever looks after a command


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("name", SUPERVISORS)
def test_a_supervisor(name: str, number: int, tmp_path: Path, adopting: None) -> None:
    with running(name, SLEEPS, tmp_path, "--grace", "0.2") as process:
        ends_by(process, number)


# --- whoever waits for something else


class Wait:
    """A command line that waits; `prepare`: runs of ipcctl before it. open_stdin: nobody writes to its input."""

    def __init__(self, *argv: str, prepare: tuple[str, ...] = (), open_stdin: bool = False, says: str = "") -> None:
        self.argv = argv
        self.prepare = prepare
        self.open_stdin = open_stdin
        self.says = says

    @contextlib.contextmanager
    def begun(self, directory: Path) -> Iterator[Process]:
        """It, running."""
        env = environment(directory)
        for each in self.prepare:
            assert ipcctl(*each.split(), env=env, cwd=directory).returncode == 0
        stdin = subprocess.PIPE if self.open_stdin else subprocess.DEVNULL
        with started(*self.argv, env=env, cwd=directory, stdin=stdin) as process:
            if self.says:
                assert process.stderr is not None
                assert self.says in process.stderr.readline()
            yield process


DEAF = "trap '' TERM; while :; do sleep 60; done"
WAITS = {
    "queue get": Wait("queue", "get", "q"),
    "queue put to a full one": Wait("queue", "put", "q", "b", prepare=("queue put q a --max 1",)),
    "queue put from stdin": Wait("queue", "put", "q", open_stdin=True),
    "queue work": Wait("queue", "work", "q", "--", "echo", "{}"),
    "shm wait": Wait("shm", "wait", "v", "--until", "==1", prepare=("shm set v 0",)),
    "shm set from stdin": Wait("shm", "set", "v", "--bytes", open_stdin=True),
    "pool reads stdin": Wait("pool", "-q", "--", "echo", open_stdin=True),
    "pool dry run": Wait("pool", "--dry-run", "--", "echo", open_stdin=True),
    "pool delay": Wait("pool", "-q", "--retries", "1", "--delay", "1h", "--", "false", ":::", "a"),
    "pipe meter": Wait("pipe", "meter", "-q", open_stdin=True),
    "ps --watch": Wait("ps", "-q", "--watch", "1h"),
    "zombie --hold": Wait("zombie", "--hold", "1h", says="held for"),
    "orphan --hold": Wait("orphan", "--hold", "1h", says="held for"),
    "orphan --left wait": Wait("orphan", "-q", "--left", "wait", "--", "sh", "-c", "sleep 60 >&- 2>&- &"),
    "double-fork --alive-for": Wait("double-fork", "-q", "--alive-for", "1h", "--", "sleep", "60"),
}


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("name", WAITS)
def test_who_waits(name: str, number: int, tmp_path: Path, adopting: None) -> None:
    with WAITS[name].begun(tmp_path) as process:
        ends_by(process, number)


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("verb", [("run", "s", "--", "true"), ("wait", "s")], ids=["run", "wait"])
def test_who_waits_for_a_semaphore(verb: tuple[str, ...], number: int, tmp_path: Path) -> None:
    env = environment(tmp_path)
    with started("sem", "run", "s", "--", "sleep", "60", env=env) as holder:
        wait_until(lambda: Path(f"/proc/{holder.pid}/comm").read_text() == "sleep\n", "that the holder holds")
        with started("sem", *verb, env=env) as process:
            ends_by(process, number)
    assert ipcctl("sem", "remove", "s", env=env).returncode == 0


@pytest.mark.parametrize("number", ENDING)
def test_who_stops_a_daemon(number: int, tmp_path: Path, adopting: None) -> None:
    """It is asked to end, and does not; who asked need not wait until the grace period is over."""
    env, pidfile = environment(tmp_path), str(tmp_path / "pid")
    assert ipcctl("double-fork", "-q", "--pidfile", pidfile, "--", "sh", "-c", DEAF, env=env).returncode == 0
    with started("double-fork", "stop", "-q", "--grace", "1h", "--pidfile", pidfile, env=env) as process:
        ends_by(process, number)
    assert ipcctl("double-fork", "stop", "-q", "--grace", "0", "--pidfile", pidfile, env=env).returncode == 0


@pytest.mark.parametrize("number", ENDING)
def test_who_opens_a_fifo(number: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with started("ps", "-o", str(tmp_path / "fifo")) as process:
        ends_by(process, number)
