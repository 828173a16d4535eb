"""Who holds a semaphore: the kernel keeps no list, so each holder carries a mark in its environment.

    IPCCTL_SEM="ID:PID:SINCE …"     a mark a semaphore; its holder is the process of that PID, others inherited it

A mark is what a process says of itself: one that wipes its environment (or shows another, as some servers do) holds
its slot without being seen. One in another PID namespace is not found; nor is one whose environment may not be read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

VARIABLE = "IPCCTL_SEM"
MARK = VARIABLE.encode() + b"="


def mark_holder(id: int) -> None:
    """Mark this process as a holder, beside what it holds already; marks that it inherited say nothing of it."""
    own = [each for each in os.environ.get(VARIABLE, "").split() if each.split(":")[1:2] == [str(os.getpid())]]
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    os.environ[VARIABLE] = " ".join([*own, f"{id}:{os.getpid()}:{now:.3f}"])


def holders_of(id: int) -> Iterator[dict[str, Any]]:
    """Yield the holders that are found by their marks: pid, command, since when. Raises NoProc."""
    from ...process.procfs import argv_of, pids

    for pid in pids():
        since = since_of(id, pid)
        if since is None:
            continue
        held_s = time.clock_gettime(time.CLOCK_BOOTTIME) - since
        yield {"pid": pid, "command": argv_of(pid), "since": time.time() - held_s, "held_s": round(held_s, 3)}


def since_of(id: int, pid: int) -> float | None:
    """Return since when a process holds it, in seconds since boot; None where its environment does not say so."""
    import re

    from ...process.procfs import TICKS, read_of_any_thread, stat_of

    environment = read_of_any_thread(pid, "environ")
    if not environment or MARK not in environment:
        return None
    marks = next((each[len(MARK) :] for each in environment.split(b"\0") if each.startswith(MARK)), b"")
    found = re.search(rb"(?:^| )%d:%d:([0-9]+\.[0-9]+)(?: |$)" % (id, pid), marks)
    stat = stat_of(pid) if found else None
    if not found or not stat or stat.has_ended:
        return None
    since = float(found[1])
    # With the PID of one that is gone, a descendant may have inherited its mark: it is younger than that.
    return since if stat.start_ticks / TICKS <= since else None
