"""What /proc says of a process, one read a file.  See proc(5), pid_namespaces(7).

PIDs are looked up only in a /proc of our own PID namespace: in another's the same numbers are other processes. Where it
is another's, or there is none, every look-up by PID raises NoProc; what can be known all the same is in unseen.py.
Of ourselves /proc/self tells, in the /proc of an outer namespace too.

Whatever is read here may be gone before it is read: then the answer is None, never an error. What belongs to
another user and may not be read (hidepid) is None as well: `is_there` tells the two apart.
"""

from __future__ import annotations

import errno
import operator
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from ..errors import IpcctlError

MOUNT = "mount one: mount -t proc proc /proc, or unshare --mount-proc"
_own = (0, "")  # the PID that looked, and what it found: see why_not_own

TICKS = os.sysconf("SC_CLK_TCK")  # a second, for the times in /proc/PID/stat
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
HIDEPID = {"off": "0", "noaccess": "1", "invisible": "2", "ptraceable": "4"}  # in words from Linux 5.8
CAP_SYS_PTRACE = 19
NEVER_READ = -1  # Stat.start_ticks of a process whose record was not read: see unseen.py
PF_KTHREAD = 0x00200000  # in Stat.flags: a thread of the kernel, without memory of its own (linux/sched.h)

STATES = {
    "R": "running or ready to run",
    "S": "waiting for an event (interruptible sleep)",
    "D": "waiting, not to be interrupted (usually for a device)",
    "T": "stopped by a signal",
    "t": "stopped by a debugger",
    "Z": "zombie: exited, not waited for",
    "X": "dead",
    "I": "idle kernel thread",
    "P": "parked",
    "W": "paging",
    "K": "wakekill",
}
RUNS_ON = "its first thread has ended, others run"  # such a process is shown in state Z, and is no zombie
MARKS = {
    "<": "high priority (nice below 0)",
    "N": "low priority (nice above 0)",
    "L": "has pages locked into memory",
    "s": "session leader",
    "l": "has several threads",
    "+": "in the foreground process group of its terminal",
}


if TYPE_CHECKING:

    class Record(NamedTuple):
        """The fields of /proc/PID/stat that ipcctl uses, in the kernel's units."""

        pid: int
        name: str  # comm: at most 15 bytes, any bytes
        state: str
        ppid: int
        pgrp: int
        session: int
        tty_nr: int
        tpgid: int
        flags: int
        minor_faults: int
        major_faults: int
        user_ticks: int
        system_ticks: int
        nice: int
        threads: int
        start_ticks: int  # since boot: with the PID it names one process for good
        rss_pages: int

else:

    class Record(tuple):
        """The same in effect: to make a NamedTuple of so many costs half a millisecond, at every start."""

        __slots__ = ()
        _fields = (
            "pid", "name", "state", "ppid", "pgrp", "session", "tty_nr", "tpgid", "flags", "minor_faults",
            "major_faults", "user_ticks", "system_ticks", "nice", "threads", "start_ticks", "rss_pages",
        )  # fmt: skip

        def __new__(cls, *values):
            return tuple.__new__(cls, values)

        def _replace(self, **changes):
            return type(self)(*(changes.get(name, value) for name, value in zip(self._fields, self, strict=True)))

    for _i, _name in enumerate(Record._fields):
        setattr(Record, _name, property(operator.itemgetter(_i)))


class Stat(Record):
    """The record of a process, of one moment."""

    __slots__ = ()

    @property
    def has_ended(self) -> bool:
        """Whether it runs no more: a zombie, or dead.

        A process whose first thread has ended, pthread_exit(3) in main, is in state Z as well while the others run.
        """
        return self.state in "ZX" and self.threads <= 1

    @property
    def in_kernel(self) -> bool:
        """Whether it is a thread of the kernel, which runs no program."""
        return bool(self.flags & PF_KTHREAD)

    @property
    def age_s(self) -> float:
        """Seconds since it started."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.start_ticks / TICKS


class NoProc(IpcctlError):
    """There is no /proc in which this process's PIDs could be looked up; `what` is what that would be needed for."""

    def __init__(self, what: str = "") -> None:
        super().__init__(f"{what}{': ' if what else ''}{why_not_own()}; {MOUNT}")


def why_not_own() -> str:
    """Return why PIDs cannot be looked up in /proc: it is missing, or another PID namespace's; "" where they can be.

    A process looks once, by readlink(2) of /proc/self; a forked one anew, for it may be in a namespace of its own.
    """
    global _own
    pid = os.getpid()
    if _own[0] != pid:
        _own = (pid, look_at_self(str(pid)))
    return _own[1]


def look_at_self(pid: str) -> str:
    """Look whether /proc knows this process by its PID; the answer is that of why_not_own."""
    try:
        known_as = os.readlink("/proc/self")
    except OSError:
        there = os.path.isdir("/proc/1") or os.path.exists("/proc/filesystems")
        return "/proc is that of another PID namespace" if there else "there is no /proc here"
    return "" if known_as == pid else "/proc is that of another PID namespace"


def is_own() -> bool:
    """Return whether PIDs can be looked up in /proc."""
    return not why_not_own()


def require(what: str) -> None:
    """Raise NoProc, with what it is needed for, where PIDs cannot be looked up in /proc."""
    if why_not_own():
        raise NoProc(what)


def path_of(pid: int | str, file: str = "") -> str:
    """Return the path of the directory in /proc of a process (a thread's is PID/task/TID), or of a file in it.

    Raises NoProc.
    """
    if why_not_own():
        raise NoProc
    return f"/proc/{pid}/{file}"


def is_there(pid: int) -> bool:
    """Return whether there is a process of that PID, whatever /proc shows of it (pidfd_open(2), kill(2))."""
    try:
        os.close(os.pidfd_open(pid))
        return True
    except OSError as error:
        if error.errno in (errno.ESRCH, errno.EINVAL, errno.ENOENT):  # nobody's; or a thread's
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def parse_stat(raw: bytes) -> Stat:
    """Parse one /proc/PID/stat.

    The name stands in parentheses and may itself hold parentheses, spaces and newlines: it ends at the last ")".
    """
    head, _, tail = raw.decode("utf-8", "surrogateescape").rpartition(") ")
    pid, _, name = head.partition(" (")
    f = tail.split(" ", 22)  # f[0] is field 3 of proc(5)
    return Stat(
        int(pid), name, f[0],
        int(f[1]), int(f[2]), int(f[3]), int(f[4]), int(f[5]), int(f[6]), int(f[7]), int(f[9]),
        int(f[11]), int(f[12]), int(f[16]), int(f[17]), int(f[19]), int(f[21]),
    )  # fmt: skip


def read(path: str, most: int = 1 << 16) -> bytes | None:
    """The whole of a small file under /proc; None where it is gone or not to be read by us."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return None
    try:
        raw = os.read(descriptor, most)
        while len(raw) == most:  # an argument vector may be megabytes
            most *= 4
            raw += os.read(descriptor, most - len(raw))
        return raw
    except (ProcessLookupError, PermissionError):  # it ended between open and read
        return None
    finally:
        os.close(descriptor)


def read_list(path: str) -> bytes | None:
    """As `read`, for a file without a bound to its length: of such the kernel hands out a page or less at a time."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return None


def stat_of(pid: int) -> Stat | None:
    """The record of one process; None when there is none to be read. Raises NoProc."""
    raw = read(path_of(pid, "stat"))
    return parse_stat(raw) if raw else None


def marked_state(stat: Stat, locked: bool) -> str:
    """The state letter and the marks after it, as ps(1) prints them under STAT.

    `locked` is whether it has pages locked into memory, which its stat does not say (see has_locked_memory).
    """
    found = stat.state
    if stat.nice:
        found += "<" if stat.nice < 0 else "N"
    if locked:
        found += "L"
    if stat.session == stat.pid:
        found += "s"
    if stat.threads > 1:
        found += "l"
    return found + "+" if stat.tpgid == stat.pgrp else found


def has_locked_memory(status: bytes | None) -> bool:
    """Whether a /proc/PID/status tells of locked memory; one without memory, as of a zombie, has no such field."""
    at = status.find(b"\nVmLck:") if status else -1
    return status is not None and at >= 0 and not status.startswith(b" 0 kB", status.index(b"kB", at) - 3)


def explained(stat: str) -> str:
    """A STAT in words: `Ss+` is waiting, session leader, in the foreground."""
    state = RUNS_ON if stat[:1] == "Z" and "l" in stat else STATES.get(stat[:1], "unknown")
    words = [state, *(MARKS.get(mark, "unknown") for mark in stat[1:])]
    return "; ".join(f"{letter} {word}" for letter, word in zip(stat, words, strict=True))


def owner_of(pid: int | str) -> int | None:
    """The effective user ID of a process: the owner of its directory; None when that is not to be seen."""
    try:
        return os.stat(path_of(pid)).st_uid
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return None


def pids() -> list[int]:
    """Every process that /proc shows, by PID. Raises NoProc."""
    if why_not_own():
        raise NoProc
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def all_stats() -> list[Stat]:
    """The record of every process that could be read."""
    return [stat for stat in map(stat_of, pids()) if stat]


def read_of_any_thread(pid: int, name: str) -> bytes | None:
    """As `read`, of a file about a process's memory: a first thread that has ended has none, while the others run."""
    raw = read(path_of(pid, name))
    if not raw and (thread := another_thread(pid)):  # empty, or ESRCH
        raw = read(path_of(pid, f"task/{thread}/{name}"))
    return raw


def another_thread(pid: int) -> int | None:
    """A thread of a process beside its first."""
    try:
        return next((int(each) for each in os.listdir(path_of(pid, "task")) if int(each) != pid), None)
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return None


def argv_of(pid: int) -> list[str] | None:
    """A process's argument vector; empty for a zombie and for a kernel thread."""
    raw = read_of_any_thread(pid, "cmdline")
    return None if raw is None else split_argv(raw)


def split_argv(raw: bytes) -> list[str]:
    """The arguments in a /proc/PID/cmdline."""
    if not raw:
        return []
    return raw.removesuffix(b"\0").decode("utf-8", "surrogateescape").split("\0")


def status_of(pid: int | None = None) -> dict[str, str]:
    """The fields of /proc/PID/status by name, of this process by default; {} when it cannot be read."""
    raw = read("/proc/self/status" if pid is None else path_of(pid, "status")) or b""
    lines = raw.decode("utf-8", "surrogateescape").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def kib(value: str | None) -> int | None:
    """The number in a field such as `VmHWM: 13500 kB`."""
    return int(value.split()[0]) if value else None


def peak_rss_kib() -> int:
    """Return the most memory of this process that was resident at once, in KiB (VmHWM).

    Where /proc does not tell, it is no more than the kernel has counted since the process began, over exec (getrusage).
    """
    raw = read("/proc/self/status") or b""
    at = raw.find(b"VmHWM:")
    if at >= 0:
        return int(raw[at + 6 : raw.index(b"kB", at)])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def children_of(pid: int) -> list[int]:
    """The children of one process, zombies among them.

    /proc/PID/task/TID/children is there only in kernels configured for it: else every process is asked for its parent.
    """
    try:
        threads = os.listdir(path_of(pid, "task"))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []
    listed = [read_list(path_of(pid, f"task/{thread}/children")) for thread in threads]
    if listed and all(each is not None for each in listed):
        return [int(child) for each in listed if each for child in each.split()]
    return [stat.pid for stat in all_stats() if stat.ppid == pid]


def started_at(stat: Stat) -> float:
    """When a process started, in seconds since the epoch."""
    return time.time() - stat.age_s


def hides_others() -> str:
    """Return the mount option by which /proc hides other users' processes from us, as hidepid=2; "" where none does.

    It does not hide them from who has CAP_SYS_PTRACE, nor, but for hidepid=4, from the group of gid= (proc(5)).
    """
    mounts = (read_list("/proc/self/mountinfo") or b"").decode("utf-8", "surrogateescape").splitlines()
    options = [line.rpartition(" ")[2].split(",") for line in mounts if line.split(" ", 5)[4] == "/proc"][-1:]
    given = dict(each.partition("=")[::2] for each in (options or [[]])[0])
    level = HIDEPID.get(given.get("hidepid", "0"), given.get("hidepid", "0"))
    capable = int(status_of().get("CapEff", "0"), 16) >> CAP_SYS_PTRACE & 1
    in_group = int(given.get("gid", 0)) in (os.getegid(), *os.getgroups())
    return "" if level == "0" or capable or (in_group and level != "4") else f"hidepid={level}"
