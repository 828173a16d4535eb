"""A process whose first thread has ended (pthread_exit(3) in main) while another runs is in state Z, and is no zombie.

Whoever looks at processes takes it for what it is: one that runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from supervisors import arguments, environment
from support import DEADLINE_S, IPCCTL, end_children, ipcctl, report_of, started, state_of, wait_until

SYS_EXIT = {"x86_64": 60, "aarch64": 93}.get(platform.machine())
pytestmark = pytest.mark.skipif(SYS_EXIT is None, reason="the number of exit(2) is not known here")

# Its second thread says so once the first has ended, and ends the process by status 7 when TERM comes.
CODE = f"""
import ctypes, os, signal, sys, threading
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGTERM}})
def work():
    while open(f"/proc/{{os.getpid()}}/stat").read().rpartition(") ")[2][0] != "Z":
        pass
    with open(sys.argv[1] + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    signal.sigwait({{signal.SIGTERM}})
    os._exit(7)
threading.Thread(target=work).start()
ctypes.CDLL(None).syscall({SYS_EXIT}, 0)
"""


def command(up: Path) -> list[str]:
    """The command that makes such a process of itself; `up` is made then, with its PID in it."""
    return [sys.executable, "-c", CODE, str(up)]


@contextlib.contextmanager
def running(up: Path) -> Iterator[int]:
    """One of them."""
    with subprocess.Popen(command(up)) as process:
        try:
            wait_until(up.exists)
            assert state_of(process.pid) == "Z"
            yield process.pid
        finally:
            process.kill()


@pytest.mark.parametrize("name", ["fork", "zombie", "orphan", "pipe"])
def test_it_is_waited_for_and_gives_its_status(name: str, tmp_path: Path) -> None:
    up = tmp_path / "up"
    grace = ["--grace", "1000"]
    with started(*arguments(name, command(up), tmp_path, *grace), env=environment(tmp_path)) as process:
        wait_until(up.exists)
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE_S)
    assert process.returncode == (143 if name == "pipe" else 7)  # there the second stage is ended by TERM itself


def test_what_outlives_its_parent_is_reported_and_ended(tmp_path: Path) -> None:
    up = tmp_path / "up"
    line = 'up=$0; "$@" "$up" & until [ -e "$up" ]; do sleep 0.01; done'
    done = ipcctl("orphan", "--left", "kill", "-f", "json", "--", "sh", "-c", line, str(up), *command(up)[:-1])
    (row,) = report_of(done, "stderr")["rows"]
    assert (row["pid"], row["exit_code"]) == (int(up.read_text()), 7)


def test_it_is_reported_as_no_zombie(tmp_path: Path) -> None:
    up = tmp_path / "up"
    line = 'up=$0; "$@" "$up" & until [ -e "$up" ]; do sleep 0.01; done; sleep 0.3; kill $!; wait'
    done = ipcctl("zombie", "-f", "json", "--", "sh", "-c", line, str(up), *command(up)[:-1])
    assert report_of(done, "stderr")["rows"] == []


def test_ps_lists_it_as_running_in_another_thread(tmp_path: Path) -> None:
    with running(tmp_path / "up") as pid:
        (row,) = report_of(ipcctl("ps", "-f", "json", str(pid)))["rows"]
        assert row["stat"].startswith("Z") and "l" in row["stat"]
        assert row["state"] == "its first thread has ended, others run"
        assert (row["rss_kib"] > 1000, str(tmp_path) in row["command"]) == (True, True)
        zombies = report_of(ipcctl("ps", "--zombies", "-f", "json"))["rows"]
        assert pid not in [each for row in zombies for each in row["pids"]]
        explained = ipcctl("ps", "--explain", str(pid)).stdout
        assert "others run" in explained and "not waited for" not in explained


def test_a_daemon_that_is_one_runs_and_is_stopped(tmp_path: Path) -> None:
    up, pidfile = tmp_path / "up", tmp_path / "pid"
    start = ["double-fork", "--pidfile", str(pidfile), "--alive-for", "50ms", "--", *command(up)]
    assert report_of(ipcctl(*start[:5], "-f", "json", *start[5:]))["rows"][0]["state"] == "running"
    wait_until(up.exists)
    (row,) = report_of(ipcctl("double-fork", "status", "--pidfile", str(pidfile), "-f", "json"))["rows"]
    assert (row["state"], row["pid"]) == ("running", int(up.read_text()))
    assert str(up) in row["argv"]
    assert ipcctl(*start).returncode == 1  # it runs already
    done = ipcctl("double-fork", "stop", "--pidfile", str(pidfile), "--grace", "1000", "-f", "json")
    (row,) = report_of(done)["rows"]
    assert (row["state"], row["signal"], row["processes"]) == ("stopped", "SIGTERM", 1)
    end_children()  # it fell to this process, and has ended


def test_a_holder_of_a_semaphore_is_listed(tmp_path: Path) -> None:
    up, env = tmp_path / "up", environment(tmp_path)
    with started("sem", "run", "s", "--", *command(up), env=env) as process:
        wait_until(up.exists)
        (row,) = json.loads(ipcctl("sem", "stat", "s", "-f", "json", env=env).stdout)["rows"]
        assert (row["pid"], str(up) in row["command"]) == (process.pid, True)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 7
    assert subprocess.run([IPCCTL, "sem", "remove", "s"], env=env, check=False).returncode == 0
