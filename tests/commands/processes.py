"""Processes to be listed: made in a state, with a mark, or a name; waited for by what they tell, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

READY = "import os, signal, sys; os.write(1, b'!'); signal.pause()"

NAMED = "import ctypes, os; ctypes.CDLL(None).prctl(15, os.fsencode(sys.argv[1]), 0, 0, 0)"  # PR_SET_NAME
LOCKED = """
import ctypes, mmap
page = mmap.mmap(-1, 4096)
assert ctypes.CDLL(None).mlock(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(page))), 4096) == 0
"""
THREADED = "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()"
NICE = "import os; os.nice(7)"
SESSION = "import os; os.setsid()"
CHILD = "import os, signal\nif os.fork() == 0: signal.pause()"
ZOMBIE = "import os\npid = os.fork()\nif pid == 0: os._exit(0)\nos.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)"
# Leaves a process behind: in the session of one that is gone, where nobody waits for it.
ORPHAN = """
import os, signal
if os.fork() == 0:
    os.setsid()
    reading, writing = os.pipe()
    if os.fork() == 0:
        while os.getppid() == os.getsid(0): os.sched_yield()
        os.write(1, str(os.getpid()).encode() + b"\\n")
        signal.pause()
    os._exit(0)
os.wait()
"""


@contextlib.contextmanager
def process(prepare: str = "", *args: str | bytes, **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that did `prepare`, said that it is ready, and waits; ended with all its children afterwards."""
    argv = [sys.executable, "-c", f"import sys\n{prepare}\n{READY}", *args]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **how) as started:
        try:
            assert started.stdout is not None
            assert started.stdout.read(1) == b"!", "it did not get ready"
            yield started
        finally:
            children = listed_children(started.pid)
            started.kill()
            started.wait()
            for pid in children:  # they have become ours
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def listed_children(pid: int) -> list[int]:
    """The children of a process, by their own records."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            if file.read().rpartition(b") ")[2].split()[1] == str(pid).encode():
                found.append(int(name))
    return found
