"""A signal goes to the very process that was seen, and to no later one with its PID."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
from support import state_of, wait_until

from ipcctl.process import terminate
from ipcctl.process.procfs import Stat, stat_of
from ipcctl.process.terminate import send, send_by_pid


@pytest.fixture
def sleeper() -> object:
    """A process to signal, and its record."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        stat = stat_of(process.pid)
        assert stat is not None
        yield stat
        process.kill()


@pytest.mark.parametrize("how", [send, send_by_pid])
def test_another_process_with_the_same_pid_is_not_signalled(sleeper: Stat, how: object) -> None:
    another = sleeper._replace(start_ticks=sleeper.start_ticks - 1)
    assert how(another, signal.SIGSTOP) is False  # type: ignore[operator]
    assert how(sleeper, signal.SIGSTOP) is True  # type: ignore[operator]
    wait_until(lambda: state_of(sleeper.pid) == "T")


@pytest.mark.parametrize("how", [send, send_by_pid])
def test_a_process_that_is_gone(how: object) -> None:
    with subprocess.Popen(["true"]) as process:
        stat = stat_of(process.pid)
    assert stat is not None
    assert how(stat, signal.SIGTERM) is False  # type: ignore[operator]


def test_without_pidfd_the_start_time_serves(sleeper: Stat, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(pid: int) -> int:
        raise PermissionError(1, "as an old seccomp profile answers")

    monkeypatch.setattr(terminate.os, "pidfd_open", refused)
    assert send(sleeper, signal.SIGSTOP) is True
    wait_until(lambda: state_of(sleeper.pid) == "T")


@pytest.mark.skipif(os.getuid() != 0, reason="takes another user's process: needs root to make one")
def test_a_process_that_is_not_ours_to_signal_is_no_error(sleeper: Stat) -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setuid(65534)
        os.write(writing, b"no" if not send(sleeper, signal.SIGTERM) else b"yes")
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reading, 10) == b"no"
    os.close(reading)
    os.close(writing)
