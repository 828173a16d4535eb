"""The names of controlling terminals.  See proc(5), tty_nr, and the kernel's Documentation/admin-guide/devices.txt."""

from __future__ import annotations

import functools
import os

UNIX98_SLAVES = range(136, 144)  # the major numbers of pseudo-terminals: 256 of them each


@functools.cache
def terminal_name(device: int) -> str | None:
    """The name under /dev of a terminal, by the tty_nr of /proc/PID/stat: pts/3, tty1, ttyS0; None for no terminal.

    A device of which the kernel's /sys says nothing is told by its numbers, 4:64.
    """
    if device == 0:
        return None
    major, minor = os.major(device), os.minor(device)
    if major in UNIX98_SLAVES:  # these are not in /sys
        return f"pts/{(major - UNIX98_SLAVES[0]) * 256 + minor}"
    try:
        return os.path.basename(os.readlink(f"/sys/dev/char/{major}:{minor}"))
    except OSError:
        return f"{major}:{minor}"
