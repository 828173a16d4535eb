"""Demonstrate the system's processes: one tree, the states, and the processors that they share.

    new ──► R ready ◄──► R running ──► Z zombie ──► gone        See ps(1), proc(5), sched(7), credentials(7).
              ▲              │
              └── S, D, T ◄──┘  waiting, waiting without interruption, stopped
"""

from __future__ import annotations

import contextlib
import mmap
import os
import resource
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from ..process.procfs import (
    Stat,
    all_stats,
    explained,
    is_there,
    marked_state,
    path_of,
    read,
    read_list,
    stat_of,
    status_of,
)
from .channels import ending_child, recv, send
from .columns import STATE_COLUMNS
from .harness import Demonstration, Evidence, Skip, Stage, wait_for_state, wait_until_zombie

demonstration = Demonstration("ps", STATE_COLUMNS)

GENERATIONS = 3
SWITCHES = 3  # so often is each spinner taken off its processor before we count
LOOKS = 100  # at a system that goes on while it is read


# ---- one tree


@demonstration.check("ps.tree", "every process but the first has exactly one parent; walking up ends at a root")
def tree(stage: Stage) -> Evidence:
    """From each process up to a root; and across: the kernel keeps a list of its children with each process.

    The system goes on while it is read. What does not fit together at first is looked at again, until it does or ended.
    """
    line = family(stage, GENERATIONS)
    misfits = everyone = {each.pid for each in all_stats()}
    for _ in range(LOOKS):
        stats = {each.pid: each for each in all_stats()}
        parents = parents_by_list(stats)
        misfits = {pid for pid in misfits if pid in stats and not fits(pid, stats, parents)}
        if not misfits:
            break
    up = walk_up(line[-1], stats)[: GENERATIONS + 1]
    ours = [*reversed(line), os.getpid()]
    for pid in line:
        os.kill(pid, signal.SIGKILL)
    for pid in line:
        stage.wait(pid)  # a grandchild becomes ours, as its parent ends
    return Evidence(
        expected=f"all {len(everyone)} have one parent and end at a root; from {line[-1]} up: {ours}",
        observed=f"{len(misfits)} do not{some(misfits)}; from {line[-1]} up: {up}",
        held=not misfits and up == ours,
    )


def fits(pid: int, stats: dict[int, Stat], parents: dict[int, list[int]] | None) -> bool:
    """Whether a process's walk ends at a root, and its parent, and nobody else, has it among its children."""
    path = walk_up(pid, stats)
    if not is_root(path[-1], stats):
        return False
    return parents is None or len(path) == 1 or parents.get(pid) == [path[1]]


def some(misfits: set[int]) -> str:
    """The first few of them."""
    return f" ({', '.join(map(str, sorted(misfits)[:5]))})" if misfits else ""


def family(stage: Stage, generations: int) -> list[int]:
    """Start a child, which starts a child, and so on; return their PIDs, the eldest first. They wait to be killed."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        with ending_child():
            line = [os.getpid()]
            while len(line) < generations and os.fork() == 0:
                line.append(os.getpid())
            if len(line) == generations:
                send(writing, line)
            signal.pause()
    line = recv(reading)
    close(reading, writing)
    for i, pid in enumerate(line, 1):
        stage.record_process(pid, f"generation {i}")
    return [int(pid) for pid in line]


def walk_up(pid: int, stats: dict[int, Stat]) -> list[int]:
    """The process, its parent, and so on, until one whose parent is not there, or was met before."""
    path = [pid]
    while (parent := stats[path[-1]].ppid) in stats and parent not in path:
        path.append(parent)
    return path


def is_root(pid: int, stats: dict[int, Stat]) -> bool:
    """Whether a process has no parent that we could see: 0 stands for none, or for one outside (pid_namespaces(7))."""
    ppid = stats[pid].ppid
    return ppid == 0 or (ppid not in stats and is_hidden(ppid))


def is_hidden(pid: int) -> bool:
    """Whether a process runs, though /proc does not show it to us (mounted with hidepid)."""
    return is_there(pid) and stat_of(pid) is None


def parents_by_list(everyone: Iterable[int]) -> dict[int, list[int]] | None:
    """For each process, those that have it in their list of children; None where the kernel shows no such lists."""
    if read("/proc/thread-self/children") is None:
        return None
    found: dict[int, list[int]] = {}
    for parent in everyone:
        for each in listed_children(parent):
            found.setdefault(each, []).append(parent)
    return found


def listed_children(pid: int) -> set[int]:
    """The kernel's list of a process's children, over all its threads (/proc/PID/task/TID/children)."""
    try:
        threads = os.listdir(path_of(pid, "task"))
    except OSError:
        return set()
    lists = (read_list(path_of(pid, f"task/{thread}/children")) or b"" for thread in threads)
    return {int(child) for each in lists for child in each.split()}


# ---- each state, each mark


@demonstration.check("ps.states", "one process made in each state, D S T R Z, and with each mark + < N l s: "
                     "what the kernel shows for it")  # fmt: skip
def states(stage: Stage) -> Evidence:
    """Each is made, looked at from outside, and ended, one after the other."""
    seen: dict[str, str] = {}
    unmade: list[str] = []
    for letter, make in MAKERS.items():
        how = make.__doc__ or ""
        with contextlib.ExitStack() as kept:
            try:
                pid = make(kept)
            except Skip as reason:
                unmade.append(letter)
                stage.results.append({"made": letter, "how": how, "skipped": str(reason)})
                continue
            seen[letter] = look(stage, pid, letter, how)
            os.kill(pid, signal.SIGKILL)
            stage.wait(pid)
    return Evidence(
        expected="each letter in the STAT of the process made for it",
        observed=", ".join(f"{letter} {'in' if letter in stat else 'not in'} {stat}" for letter, stat in seen.items()),
        held=all(letter in stat for letter, stat in seen.items()),
        reason=f"could not be made here, see the rows: {' '.join(unmade)}" if unmade else None,
    )


def look(stage: Stage, pid: int, letter: str, how: str) -> str:
    """What the kernel shows of a process: its row has it."""
    stat = stat_of(pid)
    shown = marked_state(stat, locked=False) if stat else "gone"
    stage.record_process(pid, letter)
    stage.results.append({"pid": pid, "made": letter, "stat": shown, "meaning": explained(shown), "how": how})
    stage.event(pid, "seen", shown)
    return shown


def child(work: Callable[[Callable[[], None]], object]) -> int:
    """Fork a child that does `work`; returns its PID once it has called what `work` is given."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with ending_child():
            work(lambda: send(writing, "ready"))
    recv(reading)
    close(reading, writing)
    return pid


def idle(ready: Callable[[], None]) -> None:
    """Wait for a signal, for ever."""
    ready()
    while True:
        signal.pause()


def spin(ready: Callable[[], None]) -> None:
    """Compute, for ever."""
    ready()
    while True:
        pass


def uninterruptible(kept: contextlib.ExitStack) -> int:
    """it waits for its vfork child (posix_spawn), which waits for somebody at the other end of a FIFO"""
    try:
        directory = kept.enter_context(tempfile.TemporaryDirectory(prefix="ipcctl-"))
    except FileNotFoundError as error:  # none that a file could be written in
        raise Skip(f"{error.strerror}; name one that may be written to in TMPDIR") from None
    fifo = os.path.join(directory, "fifo")
    os.mkfifo(fifo)

    def spawn(ready: Callable[[], None]) -> None:
        ready()
        opening = (os.POSIX_SPAWN_OPEN, 0, fifo, os.O_RDONLY, 0)
        os.posix_spawn("/proc/self/exe", ["python", "-c", ""], {}, file_actions=[opening])

    pid = child(spawn)
    wait_for_state(pid, "D")
    return pid


def sleeping(kept: contextlib.ExitStack) -> int:
    """it waits for a signal"""
    pid = child(idle)
    wait_for_state(pid, "S")
    return pid


def stopped(kept: contextlib.ExitStack) -> int:
    """it was sent SIGSTOP"""
    pid = child(idle)
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    return pid


def running(kept: contextlib.ExitStack) -> int:
    """it computes"""
    return child(spin)


def zombie(kept: contextlib.ExitStack) -> int:
    """it exited, and nobody has waited for it"""
    pid = child(lambda ready: ready())
    wait_until_zombie(pid)
    return pid


def foreground(kept: contextlib.ExitStack) -> int:
    """it leads the foreground process group of a new pseudo-terminal (forkpty)"""
    try:
        pid, terminal = os.forkpty()
    except OSError as error:
        raise Skip(f"there is no pseudo-terminal to be had: {error.strerror}") from None
    if pid == 0:
        with ending_child():
            os.write(1, b"!")
            signal.pause()
    kept.callback(os.close, terminal)
    os.read(terminal, 1)
    return pid


def high_priority(kept: contextlib.ExitStack) -> int:
    """its niceness was set below 0"""
    pid = child(idle)
    try:
        os.setpriority(os.PRIO_PROCESS, pid, -5)
    except PermissionError:
        end(pid)
        raise Skip("a niceness below 0 needs privilege (CAP_SYS_NICE, or RLIMIT_NICE)") from None
    return pid


def low_priority(kept: contextlib.ExitStack) -> int:
    """its niceness was set above 0"""
    pid = child(idle)
    lowered = min(max(os.getpriority(os.PRIO_PROCESS, pid) + 1, 5), 19)  # to raise it again would need privilege
    os.setpriority(os.PRIO_PROCESS, pid, lowered)
    return pid


def threaded(kept: contextlib.ExitStack) -> int:
    """it started a second thread"""

    def with_thread(ready: Callable[[], None]) -> None:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        idle(ready)

    return child(with_thread)


def session_leader(kept: contextlib.ExitStack) -> int:
    """it called setsid"""

    def in_own_session(ready: Callable[[], None]) -> None:
        os.setsid()
        idle(ready)

    return child(in_own_session)


MAKERS: dict[str, Callable[[contextlib.ExitStack], int]] = {
    "D": uninterruptible, "S": sleeping, "T": stopped, "R": running, "Z": zombie,
    "+": foreground, "<": high_priority, "N": low_priority, "l": threaded, "s": session_leader,
}  # fmt: skip


# ---- processors


@demonstration.check("ps.parallel-concurrent", "on C processors at most C processes are on a processor at once; "
                     "more than C runnable ones share them by time slices")  # fmt: skip
def parallel_and_concurrent(stage: Stage) -> Evidence:
    """More spinners than processors, for as long as it takes until each was switched out several times.

    Each notes when it was certainly on a processor: between two moments at which the kernel's count of its context
    switches was the same, it was not taken off.
    """
    begun = time.monotonic()
    with pinned_to(2) as processors, mmap.mmap(-1, 1) as flag:
        crew = [start_spinner(flag) for _ in range(2 * processors + 1)]
        for pid, _ in crew:
            stage.record_process(pid, "spinner")
        wait_until_switched([pid for pid, _ in crew])
        flag[0] = 1
        stints = [recv(reading) for _, reading in crew]
        ends = [os.wait4(pid, 0) for pid, _ in crew]
    wall_s = time.monotonic() - begun
    for (pid, wait_status, _), (_, reading) in zip(ends, crew, strict=True):
        stage.ended(pid, wait_status)
        close(reading)
    used = [usage.ru_utime + usage.ru_stime for _, _, usage in ends]
    switched = [usage.ru_nivcsw for _, _, usage in ends]
    at_once = most_at_once(stints)
    return Evidence(
        expected=f"at most {processors} of {len(crew)} at once; each switched out, and served; "
        f"together at most {processors} × {wall_s:.3f} s of processor time",
        observed=f"{at_once} at once; switched out {spaced(switched)} times; served {spaced(used, '.3f')} s, "
        f"together {sum(used):.3f} s",
        held=1 <= at_once <= processors < len(stints) and min(switched) >= SWITCHES and all(stints) and min(used) > 0
        and sum(used) <= processors * wall_s,
    )  # fmt: skip


def spaced(figures: Iterable[float], form: str = "d") -> str:
    """Figures one after the other."""
    return " ".join(format(each, form) for each in figures)


def wait_until_switched(pids: Iterable[int]) -> None:
    """Return once the kernel has taken each off its processor so often from now on."""
    wanted = {pid: times_switched_out(pid) + SWITCHES for pid in pids}
    while any(times_switched_out(pid) < count for pid, count in wanted.items()):
        os.sched_yield()


@contextlib.contextmanager
def pinned_to(most: int) -> Iterator[int]:
    """This process and those it starts run on so many processors; gives how many they are (sched_setaffinity(2))."""
    before = os.sched_getaffinity(0)
    chosen = sorted(before)[:most]
    try:
        os.sched_setaffinity(0, chosen)
    except OSError as error:
        raise Skip(f"this process may not choose its processors: {error.strerror}") from None
    try:
        yield len(chosen)
    finally:
        os.sched_setaffinity(0, before)


def start_spinner(flag: mmap.mmap) -> tuple[int, int]:
    """Start a child that computes until the flag is set and then tells its stints; its PID, and where it tells."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with ending_child():
            send(writing, "computing")
            send(writing, stints_until(flag))
    close(writing)
    recv(reading)
    return pid, reading


def stints_until(flag: mmap.mmap) -> list[tuple[int, int]]:
    """Compute until the flag is set; from when to when this process stayed on a processor (ns, monotonic)."""
    stints: list[tuple[int, int]] = []
    before = context_switches()
    first = last = None
    while not flag[0]:
        now = time.monotonic_ns()
        after = context_switches()
        if after == before:  # not taken off since the count before: it was on the processor at `now`
            last = now
            first = first or now
        elif first and last:
            stints.append((first, last))
            first = last = None
        before = after
    return [*stints, (first, last)] if first and last else stints


def context_switches() -> int:
    """How often this process was taken off a processor, or left one by itself (getrusage(2))."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_nvcsw + usage.ru_nivcsw


def times_switched_out(pid: int) -> int:
    """How often the kernel took a process off its processor although it could have gone on."""
    return int(status_of(pid).get("nonvoluntary_ctxt_switches", 0))


def most_at_once(lives: list[list[tuple[int, int]]]) -> int:
    """The most processes whose stints share a moment."""
    moments = sorted(
        moment for stints in lives for begin, end in stints if begin < end for moment in ((begin, 1), (end, -1))
    )
    most = now = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most


# ---- both


def end(pid: int) -> None:
    """Kill a child and wait for it."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def close(*descriptors: int) -> None:
    """Close them all."""
    for each in descriptors:
        os.close(each)
