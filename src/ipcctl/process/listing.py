"""The system's processes as rows, in one pass over /proc that reads only what the wanted columns need.

/proc/PID/stat ──► Stat ──► wanted? ──► cmdline, status, owner, psutil: where a column needs them ──► row
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from .procfs import (
    PAGE_KIB,
    PF_KTHREAD,
    RUNS_ON,
    STATES,
    TICKS,
    Stat,
    another_thread,
    explained,
    has_locked_memory,
    marked_state,
    owner_of,
    path_of,
    pids,
    read,
    stat_of,
    status_of,
)
from .terminal import terminal_name
from .users import user_name

Row = dict[str, Any]


class Lister:
    """Makes rows of processes: those columns that are in `wanted`, and all that stat gives.

    The times of one listing count from the moment `look` was last called.
    """

    def __init__(self, wanted: Collection[str]) -> None:
        self.wants_stat = "stat" in wanted or "meaning" in wanted
        self.wants_user = "user" in wanted
        self.wants_command = "command" in wanted
        self.wants_meaning = "meaning" in wanted
        self.more = [(name, function) for name, function in MORE.items() if name in wanted]
        self.reads_much = self.wants_stat or self.wants_command or bool(self.more)
        self.memory_kib = total_memory_kib()
        self.look()

    def look(self) -> None:
        """Take the time."""
        since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.at = time.time()
        self.boot = self.at - since_boot
        self.now_ticks = int(since_boot * TICKS)

    def rows(self, stats: Iterable[Stat]) -> Iterator[Row]:
        """The rows of those that are still there, each as it is asked for."""
        return filter(None, map(self.row, stats))

    def row(self, stat: Stat) -> Row | None:
        """The row of a process; None when it ended meanwhile."""
        (pid, name, state, ppid, pgrp, session, tty_nr, _, flags, _, _,
         user_ticks, system_ticks, nice, threads, start_ticks, rss_pages) = stat  # fmt: skip
        ticks = user_ticks + system_ticks
        age = self.now_ticks - start_ticks
        if age < 0:  # started while we looked
            age = 0
        has_memory, words = not (flags & PF_KTHREAD or state in "ZX"), STATES.get(state, state)
        about: int | str = pid
        if state == "Z" and threads > 1 and (thread := another_thread(pid)):  # the first has nothing of what all share
            has_memory, about, words = True, f"{pid}/task/{thread}", RUNS_ON
            rss_pages = 0
        rss_kib = rss_pages * PAGE_KIB if rss_pages > 0 or not has_memory else exact_rss_kib(about)
        try:
            status = read_of(about, "status") if has_memory and self.wants_stat else None
            row: Row = {
                "pid": pid, "ppid": ppid, "user": self.user(pid, status) if self.wants_user else None,
                "stat": marked_state(stat, has_locked_memory(status)) if self.wants_stat else None,
                "state": words, "nice": nice, "threads": threads, "rss_kib": rss_kib,
                "cpu_percent": 10000 * ticks // age / 100 if age else 0.0,
                "memory_percent": None if rss_kib is None else 10000 * rss_kib // self.memory_kib / 100,
                "tty": terminal_name(tty_nr),
                "started": self.boot + start_ticks / TICKS, "elapsed_s": age / TICKS, "time_s": ticks / TICKS,
                "pgid": pgrp, "sid": session, "name": name,
                "command": self.command(stat, about if has_memory else None) if self.wants_command else None,
                "at": self.at,
            }  # fmt: skip
            if self.wants_meaning:
                row["meaning"] = explained(row["stat"])
            for column, ask in self.more:
                row[column] = ask(pid)
        except ProcessGone:
            return None
        return row

    def user(self, pid: int, status: bytes | None) -> str:
        """The name of the effective user: from the status where that was read. Raises Gone."""
        uid = effective_user(status) if status else owner_of(pid)
        if uid is None:
            raise ProcessGone
        return user_name(uid)

    def command(self, stat: Stat, about: int | str | None) -> str | None:
        """The arguments on a line, as ps prints them: where there are none [name], and a zombie is <defunct>.

        They are in `about`, below /proc; None for a process without memory.
        """
        cmdline = b"" if about is None else read_of(about, "cmdline")
        if cmdline is None:
            return None
        text = cmdline.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "surrogateescape")
        return text or f"[{stat.name}]" + (" <defunct>" if stat.has_ended else "")


class ProcessGone(Exception):
    """The process ended while it was read."""


def read_of(about: int | str, file: str) -> bytes | None:
    """A file of a process, or of a thread, by its directory in /proc; None where it may not be read. Raises Gone."""
    raw = read(path_of(about, file))
    if raw is None and owner_of(about) is None:
        raise ProcessGone
    return raw


def exact_rss_kib(about: int | str) -> int | None:
    """The resident memory by statm, where stat has none: its counter lags; None where it is not to be read."""
    raw = read(path_of(about, "statm"))
    return int(raw.split()[1]) * PAGE_KIB if raw else None


def stats(numbers: Iterable[int] | None = None) -> Iterator[Stat]:
    """The records of these processes, or of all, each read when it is asked for."""
    return filter(None, map(stat_of, pids() if numbers is None else numbers))


def effective_user(status: bytes) -> int:
    """The effective user ID in a /proc/PID/status: the second of the four after Uid."""
    at = status.index(b"\nUid:\t")
    return int(status[at + 6 : at + 40].split(None, 2)[1])


def total_memory_kib() -> int:
    """The machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * PAGE_KIB


def sigchld_disposition(pid: int) -> str | None:
    """What a process does about SIGCHLD, the signal that a child has ended: caught, blocked, ignored or default.

    From the masks of /proc/PID/status; None where they may not be read.
    """
    import signal

    status = status_of(pid)
    for field, word in (("SigBlk", "blocked"), ("SigCgt", "caught"), ("SigIgn", "ignored")):
        if field not in status:
            return None
        if int(status[field], 16) >> (signal.SIGCHLD - 1) & 1:
            return word
    return "default"


def asking(function: Callable[[Any], Any]) -> Callable[[int], Any]:
    """What asks psutil about a process; None where it may not say. Raises Gone."""

    def ask(pid: int) -> Any:
        import psutil

        try:
            return function(psutil.Process(pid))
        except psutil.ZombieProcess:
            return None
        except psutil.NoSuchProcess:
            raise ProcessGone from None
        except (psutil.Error, OSError):
            return None

    return ask


def program_of(pid: int) -> str | None:
    """The file of the program that a process runs; None for a kernel thread, and where we may not know.

    psutil would guess it from the arguments then.
    """
    try:
        return os.readlink(path_of(pid, "exe"))
    except OSError:
        return None


MORE: dict[str, Callable[[int], Any]] = {
    "uss_kib": asking(lambda process: process.memory_full_info().uss // 1024),
    "pss_kib": asking(lambda process: process.memory_full_info().pss // 1024),
    "fds": asking(lambda process: process.num_fds()),
    "io_read_bytes": asking(lambda process: process.io_counters().read_bytes),
    "io_written_bytes": asking(lambda process: process.io_counters().write_bytes),
    "cwd": asking(lambda process: process.cwd() or None),
    "exe": program_of,
}
