"""Who waits for what: whether a command and its descendants are all asleep, and on which pipe.  See proc(5).

The kernel says in which of its functions a thread sleeps (wchan), and with which descriptors (syscall). Where it does
not tell us, that is all that is known: it sleeps.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from typing import NamedTuple

from ..process.procfs import Stat, parse_stat, read, read_list
from ..process.tree import descendants

# Parts of the names of the kernel's functions, which differ from version to version.
FOR_ITS_OWN = ("do_wait", "futex", "sigtimedwait", "sigsuspend")  # a child or thread, which is looked at itself
FOR_EVENTS = ("poll", "select")  # do_sys_poll, ep_poll, do_epoll_wait, poll_schedule_timeout, do_select


class Waiting(NamedTuple):
    """A process that sleeps until the other side does something."""

    pid: int
    name: str
    what: str  # "input", "output": the pipe that it has with the other; "event"; "unknown"


def waiting_of(root: Stat, stats: Collection[Stat], input: str, output: str) -> Waiting | None:
    """What a command waits for, its descendants looked at too; None while one of them is at work, or may be again.

    input and output name its pipes as /proc/PID/fd does: pipe:[4711].
    """
    found: list[Waiting] = []
    for each in (root, *descendants(root.pid, stats)):
        for state, wchan, descriptors in threads_of(each):
            what = what_for(state, wchan, descriptors, input, output)
            if what == "nothing":
                return None
            if what:
                found.append(Waiting(each.pid, each.name, what))
    order = ("input", "output", "event", "unknown")
    return min(found, key=lambda waiting: order.index(waiting.what), default=None)


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


def threads_of(process: Stat) -> Iterator[tuple[str, str, list[str]]]:
    """Of each thread: its state, where in the kernel it sleeps ("" for unknown), and on which descriptors."""
    try:
        threads = os.listdir(f"/proc/{process.pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return
    for thread in threads:
        base = f"/proc/{process.pid}/task/{thread}"
        raw = read(f"{base}/stat")
        if raw:
            wchan = (read_list(f"{base}/wchan") or b"").decode("ascii", "replace").strip("0 \n")
            yield parse_stat(raw).state, wchan, links(process.pid, read(f"{base}/syscall") or b"")


def links(pid: int, syscall: bytes) -> list[str]:
    """What the first and third argument of a system call are as descriptors (read, write, splice)."""
    found = []
    for argument in syscall.split()[1:4:2]:
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{int(argument, 16)}"))
        except (OSError, ValueError):
            continue
    return found
