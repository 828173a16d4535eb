"""How many processors this process may use: those of its affinity, and no more than its cgroups' quota."""

from __future__ import annotations

import os

from ..process.procfs import read

ROOTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/cpu")
MOST_SLOTS = 10_000


def usable_processors() -> int:
    """Processors that this process may use at once, at least 1 (sched_getaffinity(2), cgroups(7))."""
    processors = len(os.sched_getaffinity(0))
    quota = cpu_quota()
    return processors if quota is None else max(1, min(processors, int(quota + 0.5)))


def cpu_quota() -> float | None:
    """The processors' worth of time that the narrowest of our cgroups allows; None where none is limited.

    Where /proc does not tell our cgroup, the root is looked at: a container's own, mostly (cgroup_namespaces(7)).
    """
    found = []
    for line in (read("/proc/self/cgroup") or b"0::/").decode("utf-8", "surrogateescape").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        while True:
            found += [quota for root in ROOTS if (quota := quota_of(root + path.rstrip("/"))) is not None]
            if path in ("/", ""):
                break
            path = path.rpartition("/")[0]
    return min(found, default=None)


def quota_of(cgroup: str) -> float | None:
    """A cgroup's own limit, in processors."""
    both = (read(f"{cgroup}/cpu.max") or b"").split()
    if not both:
        both = [(read(f"{cgroup}/cpu.cfs_{name}_us") or b"").strip() for name in ("quota", "period")]
    if len(both) < 2 or not both[0].isdigit() or not both[1].isdigit() or not int(both[1]):
        return None
    return int(both[0]) / int(both[1])


def most_by_descriptors() -> int:
    """How many slots the limit on open files lets have their pipes, with some left for the rest."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST_SLOTS if limit == resource.RLIM_INFINITY else max(1, min(MOST_SLOTS, (limit - 40) // 4))
