"""Who waits for what: whether a command and its descendants are all asleep, and on which pipe.  See proc(5).

The kernel says in which of its functions a thread sleeps (wchan), and with which descriptors (syscall). Where it does
not tell us, that is all that is known: it sleeps. And what is read of a thread is of several moments: that it slept all
the time shows only when a second look finds that it was on no processor since.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from typing import NamedTuple

from ...process.procfs import Stat, parse_stat, path_of, read, read_list, status_of
from ...process.tree import descendants

# Parts of the names of the kernel's functions, which differ from version to version.
FOR_ITS_OWN = ("do_wait", "futex", "sigtimedwait", "sigsuspend")  # a child or thread, which is looked at itself
FOR_EVENTS = ("poll", "select")  # do_sys_poll, ep_poll, do_epoll_wait, poll_schedule_timeout, do_select


MOST_TELLING = ("input", "output", "event", "unknown")


class Thread(NamedTuple):
    """A thread: its state, where in the kernel it sleeps ("" for unknown), on which descriptors, how often it did."""

    state: str
    wchan: str
    descriptors: list[str]
    switches: int


class Waiting(NamedTuple):
    """A process that sleeps until the other side does something."""

    pid: int
    name: str
    what: str  # "input", "output": the pipe that it has with the other; "event"; "unknown"
    switches: int  # how often the threads of its command and of all below were taken from, or left, a processor


def waiting_of(root: Stat, stats: Collection[Stat], input: str, output: str) -> Waiting | None:
    """What a command waits for, its descendants looked at too; None while one of them is at work, or may be again.

    input and output name its pipes as /proc/PID/fd does: pipe:[4711].
    """
    found: list[tuple[int, int, str]] = []
    switches = 0
    for each in (root, *descendants(root.pid, stats)):
        for thread in threads_of(each):
            what = what_for(thread.state, thread.wchan, thread.descriptors, input, output)
            if what == "nothing":
                return None
            switches += thread.switches
            if what:
                found.append((MOST_TELLING.index(what), each.pid, each.name))
    if not found:
        return None
    order, pid, name = min(found)
    return Waiting(pid, name, MOST_TELLING[order], switches)


def what_for(state: str, wchan: str, descriptors: Collection[str], input: str, output: str) -> str:
    """What a thread waits for; "" where that is of its own making; "nothing" where it works, or will by itself."""
    if state in "ZX":
        return ""
    if state != "S":
        return "nothing"
    if not wchan:
        return "unknown"
    if "pipe" in wchan or "splice" in wchan:
        return "input" if input in descriptors else "output" if output in descriptors else ""
    if any(part in wchan for part in FOR_EVENTS):
        return "event"
    return "" if any(part in wchan for part in FOR_ITS_OWN) else "nothing"


def threads_of(process: Stat) -> Iterator[Thread]:
    """The threads of a process that are still there."""
    try:
        threads = os.listdir(path_of(process.pid, "task"))
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return
    for each in threads:
        base = path_of(process.pid, f"task/{each}")
        raw = read(f"{base}/stat")
        if raw:
            wchan = (read_list(f"{base}/wchan") or b"").decode("ascii", "replace").strip("0 \n")
            status = status_of(int(each))
            switches = sum(int(status.get(f"{kind}_ctxt_switches", 0)) for kind in ("voluntary", "nonvoluntary"))
            yield Thread(parse_stat(raw).state, wchan, links(base, read(f"{base}/syscall") or b""), switches)


def links(thread: str, syscall: bytes) -> list[str]:
    """What the first and third argument of a thread's system call are as descriptors (read, write, splice)."""
    found = []
    for argument in syscall.split()[1:4:2]:
        try:
            found.append(os.readlink(f"{thread}/fd/{int(argument, 16)}"))
        except (OSError, ValueError):
            continue
    return found
