"""The mark that the holder of a semaphore carries in its environment; ipc/holders.py reads it."""

from __future__ import annotations

import os
import time

VARIABLE = "IPCCTL_SEM"


def mark_holder(id: int) -> None:
    """Mark this process as a holder, beside what it holds already; marks that it inherited say nothing of it."""
    own = [each for each in os.environ.get(VARIABLE, "").split() if each.split(":")[1:2] == [str(os.getpid())]]
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    os.environ[VARIABLE] = " ".join([*own, f"{id}:{os.getpid()}:{now:.3f}"])
