"""Wait statuses, decoded."""

from __future__ import annotations

import os
import signal

import pytest

from ipcctl.process.signals import signal_name
from ipcctl.process.wait_status import decode, shell_status


def wait_status_of(end: object) -> int:
    """The wait status of a real child that ended so."""
    pid = os.fork()
    if pid == 0:
        try:
            end()  # type: ignore[operator]
        finally:
            os._exit(99)
    return os.waitpid(pid, 0)[1]


def test_all_256_statuses() -> None:
    for code in range(256):
        wait_status = wait_status_of(lambda code=code: os._exit(code))
        assert decode(wait_status) == (code, None, False)
        assert shell_status(wait_status) == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_signals(number: signal.Signals) -> None:
    wait_status = wait_status_of(lambda: os.kill(os.getpid(), number))
    assert decode(wait_status) == (None, number.name, False)
    assert shell_status(wait_status) == 128 + number


def test_signal_names_are_those_of_kill() -> None:
    assert signal_name(9) == "SIGKILL"
    assert signal_name(signal.SIGRTMIN) == "SIGRTMIN"
    assert signal_name(signal.SIGRTMIN + 1) == "SIGRTMIN+1"
    assert signal_name(signal.SIGRTMAX - 2) == "SIGRTMAX-2"
    assert signal_name(signal.SIGRTMAX) == "SIGRTMAX"
    assert signal_name(33) == "SIG33"
