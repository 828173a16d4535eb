"""What starting one process costs: by method, and by how much memory its parent holds.

    for each size: a fresh interpreter ──fills that much memory──► starts and waits for a process, TRIES times a method

Each size is measured in an interpreter of its own, so that no size pays for what the one before it left behind.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..errors import Interrupted, IpcctlError
from .procfs import kib, status_of
from .run import Run
from .signals import ENDING

DEFAULT_SIZES = (0, 64 << 20, 256 << 20)
TRIES = {"os.fork": 20, "posix_spawn": 20, "multiprocessing fork": 10, "multiprocessing spawn": 3,
         "multiprocessing forkserver": 10}  # fmt: skip


def rows_of_costs(sizes: Sequence[int] | None = None) -> Iterator[dict[str, Any]]:
    """For each size of the parent's memory, in bytes, and each method: a row of how long a start took.

    Raises IpcctlError where so much memory is not to be had.
    """
    for size in sizes or DEFAULT_SIZES:
        try:
            yield from measured_apart(__name__, size)
        except IpcctlError as error:
            remedy = "; give `rss` a smaller size" if size else ""
            what = f"cannot measure with {size} bytes in the parent: {error}{remedy}"
            raise IpcctlError(what) from None


def measured_apart(module: str, size: int) -> list[dict[str, Any]]:
    """The rows that a module's `measure(size)` prints as JSON, in a fresh interpreter.

    A signal that asks to end ends it, with all that it started. Raises IpcctlError with the last line of its stderr.
    """
    code = f"import sys; sys.path[:] = {sys.path!r}; from {module} import measure; measure({size})"
    job = Run([sys.executable, "-c", code], capture=True, leave=False)
    job.ending = ENDING
    record = job.run()[0]
    if job.asked_to_end is not None:
        raise Interrupted(job.asked_to_end)
    if not record.succeeded:
        last = (record.stderr or "").strip().rsplit("\n", 1)[-1]
        raise IpcctlError(record.start_error or last or f"status {record.status}")
    rows: list[dict[str, Any]] = json.loads(record.stdout or "[]")
    return rows


def measure(size: int) -> None:
    """In the fresh interpreter: hold `size` bytes, measure each method, and print the rows as JSON."""
    held = bytearray(size)
    held[::4096] = b"\1" * len(range(0, size, 4096))  # written to, so that the pages are really there
    rss_kib = kib(status_of().get("VmRSS"))
    print(json.dumps([row_of(method, start, rss_kib) for method, start in methods().items()]))


def methods() -> dict[str, Callable[[], None]]:
    """How to start a process that does nothing, and wait for it, by each method."""
    return {
        "os.fork": by_fork,
        "posix_spawn": by_posix_spawn,
        "multiprocessing fork": lambda: by_multiprocessing("fork"),
        "multiprocessing spawn": lambda: by_multiprocessing("spawn"),
        "multiprocessing forkserver": lambda: by_multiprocessing("forkserver"),
    }


def row_of(method: str, start: Callable[[], None], rss_kib: int | None) -> dict[str, Any]:
    """Time the method; the first start, which pays for imports and servers, is not counted."""
    start()
    times = [timed(start) for _ in range(TRIES[method])]
    return {
        "method": method,
        "parent_rss_kib": rss_kib,
        "median_s": round(statistics.median(times), 6),
        "fastest_s": round(min(times), 6),
        "slowest_s": round(max(times), 6),
        "tries": len(times),
    }


def timed(start: Callable[[], None]) -> float:
    """How long it took, in seconds."""
    begun = time.perf_counter()
    start()
    return time.perf_counter() - begun


def by_fork() -> None:
    """fork(2), and the child exits at once."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def by_posix_spawn() -> None:
    """posix_spawn(3) of /bin/true: no page of the parent's is copied, but a program is loaded."""
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


def by_multiprocessing(method: str) -> None:
    """A multiprocessing.Process by one of its start methods."""
    context: Any = multiprocessing.get_context(method)
    process = context.Process(target=int)
    process.start()
    process.join()
