"""When no further job is to be started: the machine has too much to do, or too little memory left."""

from __future__ import annotations

import os

from ..errors import IpcctlError
from ..process.procfs import MOUNT, read

LOOK_EVERY_S = 0.5


class Throttle:
    """max_load: start none while the load average of the last minute is above. memfree: while fewer bytes are.

    Raises IpcctlError where the kernel does not tell what is asked for.
    """

    def __init__(self, max_load: float | None = None, memfree: int | None = None) -> None:
        self.max_load = max_load
        self.memfree = memfree
        self.enabled = max_load is not None or memfree is not None
        self.reason_to_wait()

    def reason_to_wait(self) -> str | None:
        """Why no job is to be started now; None where one may."""
        if self.max_load is not None and (load := load_average()) > self.max_load:
            return f"the load is {load:.2f}, above `max_load` {self.max_load:g}"
        if self.memfree is not None and (free := available_bytes()) < self.memfree:
            return f"{free >> 20} MiB of memory are available, less than `memfree` {self.memfree >> 20} MiB"
        return None


def available_bytes() -> int:
    """Return the memory that is available without swapping (proc(5), MemAvailable). Raises IpcctlError."""
    raw = read("/proc/meminfo") or b""
    at = raw.find(b"MemAvailable:")
    if at < 0:
        raise IpcctlError(f"cannot tell the memory available, for `memfree`: /proc/meminfo does not say; {MOUNT}")
    return int(raw[at:].split(None, 2)[1]) << 10


def load_average() -> float:
    """Return the load average of the last minute (getloadavg(3)). Raises IpcctlError."""
    try:
        return os.getloadavg()[0]
    except OSError:
        raise IpcctlError(f"cannot tell the load, for `max_load`: /proc/loadavg cannot be read; {MOUNT}") from None
