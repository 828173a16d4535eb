"""The contract of everything that looks after a command, where a process of it may not be signalled (kill(2) EPERM).

As a set-user-ID program's. All others are ended, the status is right, a line on stderr names the one that runs on, and
it is not waited for. Here ipcctl is root without the capability to signal other users' processes.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from supervisors import SUPERVISORS, arguments, environment, timeout
from support import DEADLINE_S, IPCCTL, NOBODY, children, one_line, reap_ended, runs, state_of, wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to make a process of another user's")

PR_CAPBSET_DROP, CAP_KILL = 24, 5
BECOME = f"import os, sys; os.setgid({NOBODY}); os.setuid({NOBODY}); os.execv('/bin/sleep', ['sleep', '1000'])"
STRANGER = [sys.executable, "-c", BECOME]
# Two strangers, one in a session of its own, and two that end by TERM or, if $1 is set, by KILL alone.
TREE = f"""
[ -z "$1" ] || trap '' TERM
{shlex.join(STRANGER)} & setsid {shlex.join(STRANGER)} & sleep 1000 & setsid sleep 1000 &
: > "$0"; wait; wait; wait; wait; sleep 1000
"""


def may_not_kill() -> None:
    """Give the capability up, over exec too."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_KILL, 0, 0, 0)


def strangers() -> list[int]:
    """The strangers among the processes of this machine whose ancestor this one is, or was."""
    return [pid for pid in below(os.getpid()) if is_stranger(pid)]


def below(pid: int) -> Iterator[int]:
    """Its descendants."""
    for each in children(pid):
        yield each
        yield from below(each)


def is_stranger(pid: int) -> bool:
    """Whether it is another user's, as it will stay."""
    try:
        return os.stat(f"/proc/{pid}").st_uid == NOBODY and Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
    except FileNotFoundError:
        return False


class Started:
    """A supervisor that may not signal strangers."""

    def __init__(self, args: list[str], directory: Path, stdin: int = subprocess.DEVNULL) -> None:
        self.stderr = directory / "stderr"
        how: dict[str, Any] = {"stdin": stdin, "stdout": subprocess.DEVNULL, "preexec_fn": may_not_kill}
        with open(self.stderr, "w") as err:
            self.process = subprocess.Popen([IPCCTL, *args], env=environment(directory), stderr=err, **how)

    def left(self, count: int) -> int:
        """Its status, when it has ended and left so many strangers, which it has named, and no other process."""
        try:
            status = self.process.wait(DEADLINE_S)
            left = {pid for pid in children() if runs(pid)}
            assert all(map(is_stranger, left))
            lines = [line for line in self.stderr.read_text().splitlines() if "may not signal" in line]
            line = one_line("".join(f"{each}\n" for each in lines))
            assert all(f"PID {pid} (sleep)" in line for pid in left)
            assert len(left) == count
            return status
        finally:
            self.end()

    def end(self) -> None:
        """End it and all that it left."""
        self.process.kill()
        self.process.wait()
        for pid in children():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: reap_ended() or not children())


def timed_out(name: str, command: list[str], count: int, directory: Path, *options: str) -> int:
    """The status of a supervisor whose command has had its time when so many strangers were there, and left those."""
    for limit in ("1", "4", "16"):
        started = Started(arguments(name, command, directory, *timeout(name, limit), *options), directory)
        wait_until(lambda: len(strangers()) == count or started.process.poll() is not None)  # noqa: B023
        if len(strangers()) == count:
            return started.left(count)
        started.end()  # time was up too early
    raise AssertionError("the strangers do not start in 16 s")


@pytest.mark.parametrize("rude", ["", "rude"])
@pytest.mark.parametrize("name", SUPERVISORS)
def test_asked_to_end_it_ends_all_others(name: str, rude: str, tmp_path: Path) -> None:
    command = ["sh", "-c", TREE, str(tmp_path / "up"), rude]
    grace = ["--grace", "100ms" if rude else "1000"]  # it does not wait for what it cannot end
    started = Started(arguments(name, command, tmp_path, *grace), tmp_path)
    wait_until(lambda: (tmp_path / "up").exists() and len(strangers()) == 2)
    started.process.send_signal(signal.SIGTERM)
    assert started.left(2) == 128 + signal.SIGTERM


@pytest.mark.parametrize("name", [name for name, each in SUPERVISORS.items() if each.timeout_option])
def test_a_time_out_ends_all_others(name: str, tmp_path: Path) -> None:
    command = ["sh", "-c", TREE, str(tmp_path / "up"), "rude"]
    assert timed_out(name, command, 2, tmp_path) == SUPERVISORS[name].timed_out_status


@pytest.mark.parametrize("name", ["fork", "zombie", "orphan", "pool", "queue work"])
def test_the_command_itself_may_not_be_signalled(name: str, tmp_path: Path) -> None:
    started = Started(arguments(name, STRANGER, tmp_path, "--grace", "1000"), tmp_path)
    wait_until(lambda: len(strangers()) == 1)
    started.process.send_signal(signal.SIGTERM)
    assert started.left(1) == 128 + signal.SIGTERM


@pytest.mark.parametrize("name", ["fork", "pool", "queue work"])
def test_the_time_of_a_command_that_may_not_be_signalled(name: str, tmp_path: Path) -> None:
    assert timed_out(name, STRANGER, 1, tmp_path, "--grace", "1000") == SUPERVISORS[name].timed_out_status


@pytest.mark.parametrize("name", ["fork", "zombie", "orphan"])
def test_a_signal_that_cannot_be_handed_on_is_no_error(name: str, tmp_path: Path) -> None:
    """The command goes on, and its status is kept."""
    code = f"import os; os.setgid({NOBODY}); os.setuid({NOBODY}); os.execv('/bin/sh', ['sh', '-c', 'read x; exit 7'])"
    started = Started(arguments(name, [sys.executable, "-c", code], tmp_path), tmp_path, stdin=subprocess.PIPE)
    wait_until(lambda: [pid for pid in below(os.getpid()) if user_of(pid) == NOBODY])
    started.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: not pending(started.process.pid) and state_of(started.process.pid) == "S")
    started.process.stdin.close()  # type: ignore[union-attr]
    assert started.left(0) == 7


def user_of(pid: int) -> int | None:
    """Whose it is; None when it is gone."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except FileNotFoundError:
        return None


def pending(pid: int) -> bool:
    """Whether a signal waits to be taken by it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return any(int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd", "ShdPnd")))


def test_a_command_that_succeeded_has_succeeded(tmp_path: Path) -> None:
    """`orphan --left kill` ends what the command left; its status stays the command's."""
    wait = f'{shlex.join(STRANGER)} & until [ "$(stat -c %u /proc/$!)" = {NOBODY} ]; do :; done; sleep 1000 & exit 0'
    started = Started(["orphan", "-q", "--left", "kill", "--grace", "1000", "--", "sh", "-c", wait], tmp_path)
    assert started.left(1) == 0
