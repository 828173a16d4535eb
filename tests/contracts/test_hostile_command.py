"""The contract of everything that looks after a command, with one that does all it can to outlive it (hostile.py).

However it ends, nothing of the command's is left, nothing of others is touched (among_others sees to both), and the
status says what happened.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from pathlib import Path

import pytest
from supervisors import FAILS, HOSTILE, SUPERVISORS, among_others, environment, said, timeout, watched
from support import limited, one_line, wait_until

WITH_TIMEOUT = [name for name, each in SUPERVISORS.items() if each.timeout_option]
MANY = [name for name, each in SUPERVISORS.items() if each.many]
GRACE = ("--grace", "100ms")
# An error of our own, where ipcctl was set apart from the shell's own child: in the process that goes on as ipcctl.
FAILS_ONCE_APART = FAILS + """
def forked(now):
    global pid
    if sys._getframe(2).f_code.co_name == "set_apart":
        pid = now
os.register_at_fork(after_in_child=lambda: forked(os.getpid()), after_in_parent=lambda: forked(None))
"""
# Of two that are started with the same words, one is hostile, and the other ends well once that is up.
ONE_OF_TWO = 'mkdir "$0.first" 2>/dev/null && exec "$1" "$2" "$0"; until [ -e "$0" ]; do sleep 0.01; done'


def hostile(path: Path) -> list[str]:
    """The command; `path` is made once all of it is there."""
    return [*HOSTILE, str(path)]


def wait_for(up: Path, process: subprocess.Popen[str]) -> None:
    """Wait until all of the hostile command is there."""
    wait_until(lambda: up.exists() or process.poll() is not None, "the hostile command is up")
    assert up.exists(), said(up.parent)


@pytest.mark.parametrize("name", WITH_TIMEOUT)
def test_a_time_out_leaves_nothing(name: str, tmp_path: Path) -> None:
    for duration in ("500ms", "3s", "15s"):  # until all of it was there before the time was up
        up = tmp_path / duration
        with among_others(name, hostile(up), tmp_path, *timeout(name, duration)) as process:
            pass
        assert process.returncode == SUPERVISORS[name].timed_out_status, said(tmp_path)
        if up.exists():
            return
    pytest.fail("it was never up before the time was")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", SUPERVISORS)
def test_a_signal_that_asks_to_end_leaves_nothing(name: str, number: signal.Signals, tmp_path: Path) -> None:
    up = tmp_path / "up"
    with among_others(name, hostile(up), tmp_path, *GRACE) as process:
        wait_for(up, process)
        process.send_signal(number)
    assert process.returncode == 128 + number


@pytest.mark.parametrize("name", MANY)
def test_hup_ends_those_that_look_after_many(name: str, tmp_path: Path) -> None:
    up = tmp_path / "up"
    with among_others(name, hostile(up), tmp_path, *GRACE) as process:
        wait_for(up, process)
        process.send_signal(signal.SIGHUP)
    assert process.returncode == 128 + signal.SIGHUP


@pytest.mark.parametrize("name", SUPERVISORS)
def test_an_error_of_our_own_leaves_nothing(name: str, tmp_path: Path) -> None:
    up = tmp_path / "up"
    (tmp_path / "sitecustomize.py").write_text(FAILS_ONCE_APART)
    env = environment(tmp_path, PYTHONPATH=str(tmp_path), FAIL_AFTER=str(up))
    with among_others(name, hostile(up), tmp_path, *GRACE, env=env) as process:
        wait_for(up, process)
        process.send_signal(signal.SIGWINCH)  # which ends nobody: it has ipcctl do something where it only waits
    assert process.returncode == 125
    assert "RuntimeError: on purpose" in one_line(said(tmp_path))
    assert up.exists()


def two(name: str, up: Path, *options: str) -> list[str]:
    """The arguments for two commands at once: the first that is started is hostile, the other ends once that is up."""
    how_many, more = {"fork": (["--copies", "2"], []), "pool": (["--jobs", "2"], [":::", "x", "y"])}[name]
    return [name, *how_many, *GRACE, *options, "--", "sh", "-c", ONE_OF_TWO, str(up), *HOSTILE, *more]


@pytest.mark.parametrize("name", ["fork", "pool"])
def test_a_report_on_a_full_disk_leaves_nothing(name: str, tmp_path: Path) -> None:
    up = tmp_path / "up"
    with watched(two(name, up, "-f", "jsonl", "-o", "/dev/full"), tmp_path) as process:
        pass
    assert process.returncode == 125
    assert "cannot write the report to /dev/full" in one_line(said(tmp_path))
    assert up.exists()


@pytest.mark.parametrize("name", ["fork", "pool"])
def test_a_reader_of_the_report_that_goes_leaves_nothing(name: str, tmp_path: Path) -> None:
    up, (reading, writing) = tmp_path / "up", os.pipe()
    os.close(reading)
    with watched(two(name, up, "-f", "jsonl", "-o", "-"), tmp_path, stdout=writing) as process:
        os.close(writing)
    assert (process.returncode, said(tmp_path)) == (141, "")
    assert up.exists()


def test_a_job_log_on_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    up = tmp_path / "up"
    most = limited(resource.RLIMIT_FSIZE, 600)  # room for its first line, and for what hostile.py writes
    with watched(two("pool", up, "-q", "--joblog", str(tmp_path / "log")), tmp_path, preexec_fn=most) as process:
        pass
    assert process.returncode == 125
    assert "cannot write the job log" in one_line(said(tmp_path))
    assert up.exists()
