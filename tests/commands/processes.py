"""Processes to be listed: made in a state, with a mark, or a name; waited for by what they tell, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from support import ipcctl, state_of, wait_until

READY = "os.write(1, b'!' + told); signal.pause()"

NAMED = "import ctypes; ctypes.CDLL(None).prctl(15, os.fsencode(sys.argv[1]), 0, 0, 0)"  # PR_SET_NAME
LOCKED = """
import ctypes, mmap
page = mmap.mmap(-1, 4096)
assert ctypes.CDLL(None).mlock(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(page))), 4096) == 0
"""
THREADED = "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()"
NICE = "os.nice(7)"
SESSION = "os.setsid()"
NOBODY = "os.setuid(65534)"
CHILD = "if os.fork() == 0: signal.pause()"
ZOMBIE = "pid = os.fork()\nif pid == 0: os._exit(0)\nos.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)"
# Leaves a process behind: in the session of one that is gone, where nobody waits for it.
ORPHAN = """
reading, writing = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while os.getppid() == os.getsid(0): os.sched_yield()
        os.write(writing, b"%d\\n" % os.getpid())
        signal.pause()
    os._exit(0)
os.wait()
told = os.read(reading, 100)
"""

# For a program below `ipcctl orphan --` or `ipcctl zombie --`: until_met(PID…) returns when ipcctl has met these, and
# holds a pidfd of each (fdinfo in proc(5)). What lives for less than that it may have no row for.
UNTIL_MET = """
import glob, os
def until_met(*pids):
    watcher = os.getpid()
    while open(f"/proc/{watcher}/comm").read() != "ipcctl\\n":
        watcher = int(open(f"/proc/{watcher}/stat").read().rpartition(") ")[2].split()[1])
    wanted = {str(each) for each in pids}
    while wanted:
        for name in glob.glob(f"/proc/{watcher}/fdinfo/*"):
            try:
                wanted -= {line[5:].strip() for line in open(name) if line.startswith("Pid:")}
            except OSError: pass
        os.sched_yield()
"""


@contextlib.contextmanager
def process(prepare: str = "", *args: str | bytes, **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that did `prepare`, said that it is ready, and waits; ended with all its children afterwards."""
    argv = [sys.executable, "-c", f"import os, signal, sys\ntold = b''\n{prepare}\n{READY}", *args]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **how) as started:
        try:
            assert started.stdout is not None
            assert started.stdout.read(1) == b"!", "it did not get ready"
            yield started
        finally:
            below = listed_descendants(started.pid)
            started.kill()
            started.wait()
            end(*below)


def unprivileged() -> dict[str, Any]:
    """How to run ipcctl as an unprivileged user; skips the test where that cannot be."""
    how: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []}
    if os.getuid() != 0:
        pytest.skip("needs root, to become another")
    try:
        reached = ipcctl("--version", **how).returncode == 0
    except PermissionError:
        reached = False
    if not reached:
        pytest.skip("the interpreter is in a directory that other users may not enter")
    return how


def parents() -> dict[int, int]:
    """Everyone's parent, by their own records."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            found[int(name)] = int(file.read().rpartition(b") ")[2].split()[1])
    return found


def listed_children(pid: int) -> list[int]:
    """The children of a process, by their own records."""
    return sorted(child for child, parent in parents().items() if parent == pid)


def listed_descendants(pid: int) -> list[int]:
    """All below a process, parents before their children."""
    families: dict[int, list[int]] = {}
    for child, parent in parents().items():
        families.setdefault(parent, []).append(child)
    found = list(families.get(pid, []))
    for each in found:
        found += families.get(each, [])
    return found


def end(*pids: int) -> None:
    """Kill processes that are ours, or become ours once their parents have ended, and reap them."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in pids:
        wait_until(lambda pid=pid: reaped(pid), f"the end of {pid}")


def reaped(pid: int) -> bool:
    """Whether a process that was killed is gone: by our wait, or its parent's."""
    try:
        return os.waitpid(pid, 0)[0] == pid
    except ChildProcessError:  # not ours yet
        return state_of(pid) == ""
