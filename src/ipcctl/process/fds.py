"""Close the descriptors of this process that nobody is to have."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable


def open_descriptors() -> Iterable[int]:
    """Return the descriptors that are open, or may be: those of /proc/self/fd, or up to the limit (RLIMIT_NOFILE)."""
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:  # there is no /proc, or no descriptor left to list it by
        import resource

        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return range(HIGHEST if soft == resource.RLIM_INFINITY else min(soft, HIGHEST))


HIGHEST = 1 << 20  # the kernel's default for the most that any process may have (fs.nr_open)


def close_all_but(kept: Collection[int]) -> None:
    """Close every descriptor but these, those that this process inherited as well."""
    for each in open_descriptors():
        if each not in kept:
            with contextlib.suppress(OSError):  # the one that listed them is closed by now
                os.close(each)
