"""Demonstrate fork: one call, two processes.  See fork(2), exit(3), wait(2), proc(5).

    parent ──fork()──► returns the child's PID ──► … ──► waitpid() ──► goes on
                 └───► returns 0: the child, with its own copy of all memory ──► … ──► _exit(n)

Each check stands alone: read one, change it, run it. What is not Python's own comes from harness.py: a child's part
stands in `with ending_child()`, where it ends; on a channel a process sends another what it saw; at a barrier it waits
until another opens it; `stage.record_process`, `stage.wait` and `stage.join` also keep the record of who ran when.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import multiprocessing
import os
import resource
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.process import BaseProcess

from ..process.procfs import PAGE_KIB, TICKS, Stat, children_of, path_of, pids, read, stat_of, status_of
from ..process.wait_status import decode
from .channels import Barrier, Channel, Pipe, ending_child
from .harness import (
    Demonstration,
    Evidence,
    Skip,
    Stage,
    go_on,
    state_of,
    stop_here,
    wait_for_state,
    wait_until_it_ran,
    wait_until_stopped,
    wait_until_zombie,
)

demonstration = Demonstration("fork")
Process = multiprocessing.get_context("fork").Process  # on Linux the default, until Python 3.14


@demonstration.check("fork.returns-twice", "the parent gets the child's PID, the child gets 0")
def returns_twice(stage: Stage) -> Evidence:
    """One call, two returns: look at `returned` in each. Which child is new, the kernel says."""
    channel = stage.channel()
    before = set(children_of(os.getpid()))
    returned = os.fork()
    if returned == 0:
        with ending_child():
            channel.send(returned)
    (child,) = set(children_of(os.getpid())) - before
    stage.record_process(child, "child")
    stage.wait(child)
    return Evidence(f"child got 0, parent got {child}", f"child got {channel.recv()}, parent got {returned}")


@demonstration.check(
    "fork.failure-is-oserror",
    "where C's fork returns a negative number, Python raises OSError: at a process limit of none,"
    " fork fails with EAGAIN and the parent goes on",
)
def failure_is_oserror(stage: Stage) -> Evidence:
    """A process that may have no children tries to fork, and goes on to exit with the errno that it got."""
    pid = os.fork()
    if pid == 0:
        with ending_child():
            drop_privileges()  # the limit does not bind root
            resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
            os._exit(errno_of_fork())
    stage.record_process(pid, "parent at its limit")
    status = exit_status(stage.wait(pid))
    if status == str(errno.EPERM):
        raise Skip("the limit does not bind this process, and it cannot become an unprivileged user (setuid)")
    meanings = {"0": "fork did not fail", str(errno.EAGAIN): "fork raised OSError EAGAIN"}
    return Evidence(
        f"fork raised OSError EAGAIN; its caller went on to exit status {errno.EAGAIN}",
        f"{meanings.get(status, 'fork went wrong')}; its caller went on to exit status {status}",
    )


def drop_privileges() -> None:
    """As root, become the user nobody, where the system has one."""
    try:
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
    except OSError:
        pass  # a container may not know that user; whether the limit binds us, is_privileged() tells


def errno_of_fork() -> int:
    """Why fork fails: its errno. 0 when it does not fail; EPERM when it does not because no limit binds us."""
    try:
        pid = os.fork()
    except OSError as error:
        return error.errno or 0
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return errno.EPERM if is_privileged() else 0


def is_privileged() -> bool:
    """Whether we have a capability that RLIMIT_NPROC does not bind: CAP_SYS_ADMIN (21) or CAP_SYS_RESOURCE (24)."""
    effective = int(status_of().get("CapEff", "0"), 16)
    return bool(effective & (1 << 21 | 1 << 24))


@demonstration.check("fork.continues-after-fork", "code before the fork ran once; code after it runs in both")
def continues_after_fork(stage: Stage) -> Evidence:
    """The line of code before the fork is run by one process, the same line after it by two."""
    channel = stage.channel()
    channel.send(("before", os.getpid()))
    pid = os.fork()
    channel.send(("after", os.getpid()))
    if pid == 0:
        os._exit(0)
    stage.record_process(pid, "child")
    stage.wait(pid)
    ran = channel.recv_all()
    before = sorted(who for when, who in ran if when == "before")
    after = sorted(who for when, who in ran if when == "after")
    both = sorted((os.getpid(), pid))
    return Evidence(f"before ran in {[os.getpid()]}, after in {both}", f"before ran in {before}, after in {after}")


AT_ONCE = 10  # trials: while the children of some are still to run, the parent makes the next


@demonstration.check("fork.order-not-fixed", "over N trials, count which side ran first; both always finish")
def order_not_fixed(stage: Stage) -> Evidence:
    """Who runs first is the scheduler's choice: no program may count on it, though one side may win every time."""
    trials, orders = stage.options.get("trials", 50), Counter[tuple[str, ...]]()
    for begun in range(0, trials, AT_ONCE):
        orders.update(orders_of_forks(stage, min(AT_ONCE, trials - begun)))
        stage.more_time()
    parent_first, child_first = orders["parent", "child"], orders["child", "parent"]
    both = parent_first + child_first
    return Evidence(
        f"both finished in {trials} of {trials} trials, whichever was first",
        f"both finished in {both} of {trials} trials; parent first in {parent_first}, child first in {child_first}",
        held=both == trials,
    )


def orders_of_forks(stage: Stage, trials: int) -> Iterator[tuple[str, ...]]:
    """For each fork, who came to its pipe, in order; nobody, when the child did not finish as it should."""
    with contextlib.ExitStack() as pipes:
        forked = [one_fork(stage, pipes.enter_context(Pipe())) for _ in range(trials)]
        for pid, pipe in forked:
            wait_status = stage.wait(pid)
            came = os.read(pipe.reading, 64).decode().split()
            yield tuple(came) if wait_status == 0 else ()


def one_fork(stage: Stage, pipe: Pipe) -> tuple[int, Pipe]:
    """After the fork each side writes who it is, and who runs first writes first."""
    pid = os.fork()
    os.write(pipe.writing, b"parent " if pid else b"child ")
    if pid == 0:
        os._exit(0)
    stage.record_process(pid, "child of a trial")
    return pid, pipe


@demonstration.check("fork.inherits-memory", "the child reads what the parent made before the fork")
def inherits_memory(stage: Stage) -> Evidence:
    """Nobody sends `made` to the child: it has it, because its memory is a copy of its parent's."""
    channel = stage.channel()
    made = secrets.token_hex(8)
    pid = os.fork()
    if pid == 0:
        with ending_child():
            channel.send(made)
    stage.record_process(pid, "child")
    stage.wait(pid)
    return Evidence(f"child reads {made}", f"child reads {channel.recv()}")


@demonstration.check("fork.memory-is-separate", "a = 1; the child sets 10000; the parent still reads 1")
def memory_is_separate(stage: Stage) -> Evidence:
    """The same name in two processes: two variables. The parent looks after the child has set its own."""
    channel = stage.channel()
    a = 1
    pid = os.fork()
    if pid == 0:
        with ending_child():
            a = 10000
            channel.send(a)
    stage.record_process(pid, "child")
    in_child = channel.recv()
    stage.wait(pid)
    return Evidence("10000 in the child, 1 in the parent", f"{in_child} in the child, {a} in the parent")


@demonstration.check(
    "fork.copy-on-write",
    "pages are shared until written: the child's private pages grow by what it wrote, not by what it inherited",
)
def copy_on_write(stage: Stage) -> Evidence:
    """Of the 4 MiB that it inherits the child writes 1: only those are copied. The parent looks before and after."""
    inherited_kib, written_kib = 4096, 1024
    memory = private_memory(inherited_kib)
    write_each_page(memory, inherited_kib)
    pid = os.fork()
    if pid == 0:
        with ending_child():
            stop_here()
            write_each_page(memory, written_kib)
            stop_here()
    stage.record_process(pid, "child")
    at_first = private_kib(stage, pid)
    go_on(pid)
    grown = private_kib(stage, pid) - at_first
    go_on(pid)
    stage.wait(pid)
    return Evidence(
        f"private at first: less than the {inherited_kib} KiB inherited; more by writing: about {written_kib} KiB",
        f"private at first: {at_first} KiB; more by writing: {grown} KiB",
        held=at_first < inherited_kib and abs(grown - written_kib) <= written_kib / 2,  # it writes a little else too
    )


def private_memory(kib: int) -> mmap.mmap:
    """So much memory, this process's own, and no huge pages in it: those are copied, and counted, whole."""
    memory = mmap.mmap(-1, kib << 10, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    except OSError:
        pass  # a kernel without huge pages
    return memory


def write_each_page(memory: mmap.mmap, kib: int) -> None:
    """One byte is enough for the kernel to give a process a page of its own."""
    for start in range(0, kib << 10, mmap.PAGESIZE):
        memory[start] = 1


def private_kib(stage: Stage, pid: int) -> int:
    """Once the child has stopped: the memory it shares with nobody, in KiB (Private_Dirty in smaps_rollup)."""
    wait_until_stopped(pid)
    stage.event(pid, "stopped")
    raw = read(path := path_of(pid, "smaps_rollup"))
    if not raw:
        raise Skip(f"{path} is not there, or is not to be read")
    (channel,) = (each for each in raw.splitlines() if each.startswith(b"Private_Dirty:"))
    return int(channel.split()[1])


@demonstration.check(
    "fork.identity", "getpid and getppid in child and parent agree with fork's return values and with /proc"
)
def identity(stage: Stage) -> Evidence:
    """Who is whose child: by what fork returned, by what each asks the kernel, and by /proc."""
    channel, me = stage.channel(), os.getpid()
    pid = os.fork()
    if pid == 0:
        with ending_child():
            channel.send((os.getpid(), os.getppid()))
    stage.record_process(pid, "child")
    its_pid, its_parent = channel.recv()
    child, parent = stat_of(pid), stat_of(me)  # the child's record stays until the wait
    stage.wait(pid)
    return Evidence(
        f"child {pid} of {me}, in /proc {pid} of {me}; parent {me} of {os.getppid()}, in /proc {me} of {os.getppid()}",
        f"child {its_pid} of {its_parent}, in /proc {child and child.pid} of {child and child.ppid};"
        f" parent {me} of {os.getppid()}, in /proc {parent and parent.pid} of {parent and parent.ppid}",
    )


@demonstration.check(
    "fork.process-record",
    "the kernel's record (PCB) of a process has PID, parent, owner, creation time, memory, state",
)
def process_record(stage: Stage) -> Evidence:
    """A child fills 4 MiB between two looks at its record; the record agrees with what we know of it otherwise."""
    filled_kib, me = 4096, os.getpid()
    memory = private_memory(filled_kib)
    earliest = time.clock_gettime(time.CLOCK_BOOTTIME)
    pid = os.fork()
    if pid == 0:
        with ending_child():
            stop_here()
            write_each_page(memory, filled_kib)
            stop_here()
    latest = time.clock_gettime(time.CLOCK_BOOTTIME)
    stage.record_process(pid, "child")
    first = stopped_record(stage, pid)
    go_on(pid)
    then = stopped_record(stage, pid)
    owner = int(status_of(pid)["Uid"].split()[0])
    go_on(pid)
    stage.wait(pid)
    created, grown_kib = then.start_ticks / TICKS, (then.rss_pages - first.rss_pages) * PAGE_KIB
    identity = f"PID {pid}, parent {me}, owner {os.getuid()}, state T"
    seen = f"PID {then.pid}, parent {then.ppid}, owner {owner}, state {then.state}"
    return Evidence(
        f"{identity}, created {earliest:.2f} to {latest:.2f} s after boot, memory up by about {filled_kib} KiB",
        f"{seen}, created {created:.2f} s after boot, memory up by {grown_kib} KiB",
        held=identity == seen
        and earliest - 1 / TICKS <= created <= latest
        and abs(grown_kib - filled_kib) <= filled_kib / 2,  # the kernel counts pages in batches
    )


def stopped_record(stage: Stage, pid: int) -> Stat:
    """Once the child has stopped: its /proc/PID/stat."""
    wait_until_stopped(pid)
    stage.event(pid, "stopped")
    stat = stat_of(pid)
    assert stat, "a child that was not waited for has a record"
    return stat


@demonstration.check(
    "fork.states", "new, ready/running, waiting, stopped, terminated: each state of one child seen in /proc"
)
def states(stage: Stage) -> Evidence:
    """One child is driven through its life, and looked at from outside.

    Linux has no letter for new: what is new is in /proc for the first time, and ready to run (R) at once.
    """
    end_of_spin, empty = stage.barrier(), stage.barrier()
    seen: list[str] = []

    def see(name: str, state: str) -> None:
        stage.event(pid, name, state)
        seen.append(f"{name}: {state}")

    there_before = pids()
    pid = os.fork()
    if pid == 0:
        with ending_child():
            spin_then_wait(end_of_spin, empty)
    stage.record_process(pid, "child")
    see("before", "there" if pid in there_before else "not there")
    see("new", wait_for_state(pid, "R"))
    wait_until_it_ran(pid, seconds=0.001)
    see("running", wait_for_state(pid, "R"))
    end_of_spin.open()
    see("waiting", wait_for_state(pid, "S"))
    os.kill(pid, signal.SIGSTOP)
    wait_until_stopped(pid)
    see("stopped", state_of(pid))
    go_on(pid)
    empty.open()
    wait_until_zombie(pid)
    see("terminated", state_of(pid))
    stage.wait(pid)
    see("waited for", state_of(pid))
    expected = "before: not there, new: R, running: R, waiting: S, stopped: T, terminated: Z, waited for: gone"
    return Evidence(expected, ", ".join(seen))


def spin_then_wait(end_of_spin: Barrier, empty: Barrier) -> None:
    """What the child does: be busy, then read from an empty pipe."""
    while not end_of_spin.is_open():
        pass
    empty.wait()


LEAVES = """
import atexit, os, sys
atexit.register(os.write, 1, b"atexit ")
print("buffered", end=" ")
try:
    {leave}(7)
finally:
    os.write(1, b"finally ")
"""


@demonstration.check(
    "fork.os-exit-skips-cleanup",
    "os._exit(n) runs no finally, no atexit and loses unflushed output; sys.exit(n) runs and keeps them;"
    " both give the wait status n",
)
def os_exit_skips_cleanup(stage: Stage) -> Evidence:
    """The same program leaves by one and by the other: look at what comes out of it."""
    ways = ("os._exit", "sys.exit")
    programs = {leave: stage.python(LEAVES.format(leave=leave), f"leaves by {leave}(7)") for leave in ways}
    seen = []
    for leave, program in programs.items():
        wait_status, out, _ = stage.ran(program)
        seen.append(f"{leave}(7): status {exit_status(wait_status)}, came out: {out.strip() or 'nothing'}")
    expected = "os._exit(7): status 7, came out: nothing; sys.exit(7): status 7, came out: finally atexit buffered"
    return Evidence(expected, "; ".join(seen))


def exit_status(wait_status: int) -> str:
    """What the process gave to exit, or the signal that ended it, out of a wait status."""
    exit_code, signal_name, _ = decode(wait_status)
    return signal_name or str(exit_code)


@demonstration.check(
    "fork.sys-exit-text", 'sys.exit() is 0; sys.exit("text") prints the text on stderr and is status 1'
)
def sys_exit_text(stage: Stage) -> Evidence:
    """What is given to sys.exit and is no number is said, and means failure."""
    calls = ("sys.exit()", "sys.exit('text')")
    programs = {call: stage.python(f"import sys; {call}", f"leaves by {call}") for call in calls}
    seen = []
    for call, program in programs.items():
        wait_status, _, err = stage.ran(program)
        seen.append(f"{call}: status {exit_status(wait_status)}, stderr: {err.strip() or 'nothing'}")
    expected = "sys.exit(): status 0, stderr: nothing; sys.exit('text'): status 1, stderr: text"
    return Evidence(expected, "; ".join(seen))


CATCHES = """
import sys
try:
    sys.exit(3)
except SystemExit as error:
    print("caught", error.code, "and went on")
"""


@demonstration.check("fork.systemexit-can-be-caught", "catching SystemExit prevents the exit")
def systemexit_can_be_caught(stage: Stage) -> Evidence:
    """sys.exit only raises an exception: who catches it goes on, and comes to an end of another status."""
    wait_status, out, _ = stage.ran(stage.python(CATCHES, "catches SystemExit"))
    return Evidence("caught 3 and went on; status 0", f"{out.strip()}; status {exit_status(wait_status)}")


@demonstration.check(
    "fork.Process-attributes",
    "multiprocessing.Process(target, name, args, kwargs): name, pid, is_alive, exitcode before start, while running,"
    " after join",
)
def process_attributes(stage: Stage) -> Evidence:
    """The four attributes at three times, and beside them what the kernel says."""
    barrier, before = stage.barrier(), set(children_of(os.getpid()))
    process = Process(target=exit_with_sum, name="adder", args=(barrier, 1), kwargs={"b": 2})
    seen = [attributes(process)]
    process.start()
    stage.record_process(process.pid, "Process adder")
    (child,) = set(children_of(os.getpid())) - before
    seen.append(f"{attributes(process)}, state {wait_for_state(child, 'S')}")
    barrier.open()
    wait_status = stage.join(process)
    seen.append(f"{attributes(process)}, exit status {exit_status(wait_status)}")
    expected = [
        "adder, pid None, not alive, exitcode None",
        f"adder, pid {child}, alive, exitcode None, state S",
        f"adder, pid {child}, not alive, exitcode 3, exit status 3",
    ]
    when = "before start: {}; while running: {}; after join: {}"
    return Evidence(when.format(*expected), when.format(*seen))


def exit_with_sum(barrier: Barrier, a: int, b: int) -> None:
    """A target: what it was given by position and by name can be told from its exit code."""
    barrier.wait()
    sys.exit(a + b)


def attributes(process: BaseProcess) -> str:
    """What a Process says of itself."""
    alive = "alive" if process.is_alive() else "not alive"
    return f"{process.name}, pid {process.pid}, {alive}, exitcode {process.exitcode}"


@demonstration.check("fork.Process-join-timeout", "join(timeout) returns while the process still runs")
def process_join_timeout(stage: Stage) -> Evidence:
    """It waits at a barrier that is closed: join comes back when its time is over. Then the barrier is opened."""
    barrier, timeout = stage.barrier(), 0.01
    process = Process(target=barrier.wait)
    process.start()
    stage.record_process(process.pid, "Process at a barrier")
    began = time.monotonic()
    process.join(timeout)
    waited, state = time.monotonic() - began, state_of(process.pid)
    barrier.open()
    wait_status = stage.join(process)
    return Evidence(
        f"back after {timeout * 1000:.0f} ms or more, the Process in state S or R; with the gate open it exits with 0",
        f"back after {waited * 1000:.1f} ms, the Process in state {state};"
        f" with the gate open it exits with {exit_status(wait_status)}",
        held=waited >= timeout and state in ("R", "S", "D") and wait_status == 0,
    )


counter = 1


@demonstration.check("fork.Process-own-memory", "a global changed in the Process is unchanged in its parent")
def process_own_memory(stage: Stage) -> Evidence:
    """A Process runs the function on memory of its own: the global that it counts up is its own too."""
    channel = stage.channel()
    process = Process(target=count_up, args=(channel,))
    process.start()
    stage.record_process(process.pid, "Process")
    in_process = channel.recv()
    stage.join(process)
    return Evidence("2 in the Process, 1 in its parent", f"{in_process} in the Process, {counter} in its parent")


def count_up(channel: Channel) -> None:
    """A target that changes a global."""
    global counter
    counter += 1
    channel.send(counter)


LEAVES_TWO = """
import multiprocessing, os, signal
Process = multiprocessing.get_context("fork").Process
stdin = os.dup(0)

def work():
    os.read(stdin, 1)
    print("worked to its end", flush=True)

daemon = Process(target=signal.pause, daemon=True)
other = Process(target=work)
daemon.start()
other.start()
print(daemon.pid, other.pid, flush=True)
"""


@demonstration.check("fork.Process-daemon", "a daemon Process ends with its parent, another is waited for")
def process_daemon(stage: Stage) -> Evidence:
    """A program comes to its last line with two Processes running, which would both wait for ever."""
    program = stage.python(LEAVES_TWO, "ends before its Processes")
    assert program.stdin and program.stdout
    daemon, other = map(int, program.stdout.readline().split())
    stage.record_process(daemon, "daemon Process")
    stage.record_process(other, "other Process")
    wait_for_state(daemon, "Z gone")
    stage.event(daemon, "end", "by its parent")
    other_state, parent_state = (wait_for_state(each, "S Z gone") for each in (other, program.pid))
    seen = f"daemon ended, other in state {other_state}, parent in state {parent_state}"
    os.write(program.stdin.fileno(), b"!")
    wait_status, out, _ = stage.ran(program)
    stage.event(other, "end", "as its parent waited")
    return Evidence(
        "daemon ended, other in state S, parent in state S;"
        " then other worked to its end, parent's status 0, other gone",
        f"{seen}; then other {out.strip()}, parent's status {exit_status(wait_status)}, other {state_of(other)}",
    )
