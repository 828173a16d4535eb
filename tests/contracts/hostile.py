"""A command that does all it can to outlive whoever looks after it: python hostile.py FILE.

    this process ─┬─ twice forked, in a session of its own, its child with it
                  ├─ one that starts its successor every ten milliseconds and ends
                  ├─ a stopped one
                  ├─ one with every limit changed and no environment, in a session of its own
                  └─ one that adopts what is below it (PR_SET_CHILD_SUBREAPER), with a twice forked child of its own

All ignore HUP, INT, QUIT and TERM. FILE is made once they are all there; the PIDs of those that last are in it. Whoever
waits on NOTIFY_SOCKET is told then, so that it wakes; but never that this command is ready.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import NoReturn

PR_SET_CHILD_SUBREAPER = 36
EVERY_S = 0.01


def last(ready: int) -> NoReturn:
    """Be there, and say so."""
    os.write(ready, b"%d\n" % os.getpid())
    while True:
        signal.pause()


def in_child(what: Callable[[int], NoReturn], ready: int) -> None:
    """Fork, and do it in the child."""
    if os.fork() == 0:
        try:
            what(ready)
        finally:
            os._exit(1)


def detached(ready: int) -> NoReturn:
    """Fork twice, in a session of its own."""
    os.setsid()
    in_child(last, ready)
    if os.fork() == 0:
        last(ready)
    os._exit(0)


def renewed(ready: int) -> NoReturn:
    """Be another process every ten milliseconds, each the child of one that has ended."""
    os.write(ready, b"0\n")
    while True:
        if os.fork():
            os._exit(0)
        time.sleep(EVERY_S)


def stopped(ready: int) -> NoReturn:
    """Be stopped, and stop again whenever it is continued."""
    os.write(ready, b"%d\n" % os.getpid())
    while True:
        os.kill(os.getpid(), signal.SIGSTOP)


def unrecognisable(ready: int) -> NoReturn:
    """Change every limit, then be another program, of another session, with nothing in its environment."""
    os.setsid()
    for name in (each for each in dir(resource) if each.startswith("RLIMIT_")):
        limit = getattr(resource, name)
        soft, hard = resource.getrlimit(limit)
        other = 1 << 40 if soft == resource.RLIM_INFINITY else soft // 2
        resource.setrlimit(limit, (other, hard))
    if os.fork():
        os._exit(0)
    os.write(ready, b"%d\n" % os.getpid())
    os.execve("/bin/sleep", ["sleep", "1000"], {})


def adopting(ready: int) -> NoReturn:
    """Be a subreaper, as a nested supervisor is."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    in_child(detached, ready)
    last(ready)


def main(path: str) -> None:
    """Start them all, and make the file once they are there."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    reading, ready = os.pipe()
    for each in (detached, renewed, stopped, unrecognisable, adopting):
        in_child(each, ready)
    os.close(ready)
    said = b""
    while len(said.split()) < 8:  # detached twice two, renewed, stopped, unrecognisable, adopting
        said += os.read(reading, 100) or sys.exit("one of them could not be made")
    os.close(reading)
    with open(path + ".new", "w") as file:
        file.write(f"{os.getpid()}\n{said.decode()}")
    os.rename(path + ".new", path)
    if "NOTIFY_SOCKET" in os.environ:
        address = os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1)
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"STATUS=not ready yet", address)
    while True:
        signal.pause()


if __name__ == "__main__":
    main(sys.argv[1])
