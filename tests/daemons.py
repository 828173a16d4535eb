"""Daemons for the tests: started by the real binary; this process, a subreaper, is their adopter and reaps them."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

from support import ipcctl, report_of


def start(*args: str, **how: Any) -> dict[str, Any]:
    """Start one, and return the row of the report."""
    done = ipcctl("double-fork", "-f", "json", *args, **how)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    (row,) = report_of(done)["rows"]
    return dict(row)


def end(pid: int) -> None:
    """Kill one and reap it, and whatever else fell to us."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def reap_all() -> None:
    """Collect all that has ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def stop(pidfile: Path, *args: str) -> dict[str, Any]:
    """Stop the daemon of a pidfile, and return the row of the report."""
    done = ipcctl("double-fork", "stop", "-f", "json", "--pidfile", str(pidfile), *args)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    reap_all()
    return dict(report_of(done)["rows"][0])


def is_running(pidfile: Path) -> bool:
    """What `status` says of a pidfile."""
    done = ipcctl("double-fork", "status", "-q", "--pidfile", str(pidfile))
    assert done.returncode in (0, 1), done.stderr
    assert (done.stdout, done.stderr) == ("", "")
    return bool(done.returncode == 0)


def stat_fields(pid: int) -> list[int]:
    """ppid, pgid, sid, tty_nr of a process, from /proc/PID/stat."""
    return [int(each) for each in Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()[1:5]]


def status_of(pid: int) -> dict[str, str]:
    """The fields of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def descriptors_of(pid: int) -> dict[int, str]:
    """The open descriptors of a process, with what they are."""
    found = {}
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed between two looks
            found[int(each.name)] = str(each.readlink())
    return found


def python(code: str) -> list[str]:
    """A command that runs Python code."""
    return [sys.executable, "-c", code]
