"""Demonstrate shared memory: what one process writes, another reads, and nothing is sent.  See mmap(2), fork(2).

    parent ──fork()──► child        one page of memory in both: Value("l"), Array("i", …)
       └────► page ◄─────┘          balance.value += 1      is to read, to add, and to write: three steps …
                                    with balance.get_lock()    … which nobody comes between

Each check stands alone. What is not Python's own comes from channels.py: on a channel a process sends another what it
saw, at a barrier it waits until another opens it. That memory is shared, the kernel says: both processes map the same
file (the same inode), and the mapping is marked shared (`rw-s` in /proc/PID/maps, proc(5)).
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import time
from collections.abc import Callable
from typing import Any

from ..process.procfs import path_of
from .channels import Barrier, Channel
from .columns import EXPERIMENT_COLUMNS
from .harness import Demonstration, Evidence, Skip, Stage

demonstration = Demonstration("shm", EXPERIMENT_COLUMNS)
context = multiprocessing.get_context("fork")  # on Linux the default, until Python 3.14
UPDATES = 20_000  # of each process
RACES_WITHIN_S = 0.2
OPENING_BALANCE = 200


def or_skip(make: Callable[..., Any]) -> Callable[..., Any]:
    """What makes a value with its lock; raises Skip where that cannot be made."""

    def made(*args: Any, **given: Any) -> Any:
        try:
            return make(*args, **given)
        except (ImportError, OSError) as error:
            raise Skip(f"no lock can be made here: {error}; it needs /dev/shm, mounted and writable") from None

    return made


Process, Value, Array = context.Process, or_skip(context.Value), or_skip(context.Array)


def started(stage: Stage, role: str, work: Callable[..., None], *args: Any) -> Any:
    """A process that does that work."""
    process = Process(target=work, args=args)
    process.start()
    stage.record_process(process.pid, role)
    return process


def ran(stage: Stage, role: str, work: Callable[..., None], *args: Any) -> None:
    """Let a process do that work, to its end."""
    stage.join(started(stage, role, work, *args))


def tried(stage: Stage, id: str, experiment: str, expected: object, found: object, **known: Any) -> None:
    """Keep an experiment as a row."""
    row = {"experiment": experiment, "check": id, "expected": str(expected), "found": str(found)}
    stage.results.append(row | known)


def mapping_of(pid: int, address: int) -> tuple[str, str]:
    """What the kernel says of the memory at an address: its permissions, and the file (device and inode) behind it."""
    with open(path_of(pid, "maps"), errors="replace") as lines:
        for line in lines:
            limits, permissions, _, device, inode = line.split()[:5]
            low, high = (int(each, 16) for each in limits.split("-"))
            if low <= address < high:
                return permissions, f"{device} {inode}"
    return "not mapped", ""


# --- what is shared, and what is not


def write_both(number: Any, numbers: Any, channel: Channel, barrier: Barrier) -> None:
    """A child's part: write to what was handed to it, and stay until the parent has looked."""
    number.value = 42
    numbers[:] = [1, 2, 3]
    channel.send("written")
    barrier.wait()


@demonstration.check("shm.child-write-visible", "Value and Array: what the child writes, the parent reads")
def child_write_visible(stage: Stage) -> Evidence:
    """Nothing is sent, and yet it is there: both map the same file, and share it."""
    number, numbers = Value("i", 0), Array("i", 3)
    channel, barrier = stage.channel(), stage.barrier()
    child = started(stage, "child", write_both, number, numbers, channel, barrier)
    channel.recv()
    seen = f"{number.value}, {numbers[:]}"
    address = ctypes.addressof(number.get_obj())
    (mine, my_file), (its, its_file) = mapping_of(os.getpid(), address), mapping_of(child.pid, address)
    barrier.open()
    stage.join(child)
    file = "one file" if my_file == its_file else f"two files, {my_file} and {its_file}"
    tried(stage, "shm.child-write-visible", "a child writes to a Value and an Array", "42, [1, 2, 3]", seen)
    return Evidence(
        "the parent reads 42, [1, 2, 3]; mapped rw-s and rw-s, of one file",
        f"the parent reads {seen}; mapped {mine} and {its}, of {file}",
    )


@demonstration.check("shm.private-is-not", "the same write to an ordinary variable is not seen")
def private_is_not(stage: Stage) -> Evidence:
    """The same C values, but in ordinary memory: the child writes to a copy of its own."""
    number, numbers = ctypes.c_int(0), (ctypes.c_int * 3)()
    channel, barrier = stage.channel(), stage.barrier()
    child = started(stage, "child", write_both, number, numbers, channel, barrier)
    channel.recv()
    seen = f"{number.value}, {numbers[:]}"
    its, _ = mapping_of(child.pid, ctypes.addressof(number))
    barrier.open()
    stage.join(child)
    tried(stage, "shm.private-is-not", "a child writes to ordinary variables", "0, [0, 0, 0]", seen)
    return Evidence(
        "the parent reads 0, [0, 0, 0]; mapped rw-p in the child", f"the parent reads {seen}; mapped {its} in the child"
    )


def overwrite(number: Any, value: int, channel: Channel) -> None:
    """A child's part: tell what it finds, and write over it."""
    channel.send(number.value)
    number.value = value


@demonstration.check("shm.overwrites", "the last write is what is there")
def overwrites(stage: Stage) -> Evidence:
    """Memory is no queue: what was there before is gone, whether anybody has read it or not."""
    number, channel = Value("i", 1), stage.channel()
    for value in (2, 3):
        ran(stage, f"child that writes {value}", overwrite, number, value, channel)
    found = [*channel.recv_all(), number.value]
    tried(stage, "shm.overwrites", "the parent writes 1, a child 2, another 3", 3, number.value)
    return Evidence("found 1, then 2, and 3 in the end", "found {}, then {}, and {} in the end".format(*found))


# --- the race, and the lock


def add(balance: Any, updates: int, amount: int, barrier: Barrier) -> None:
    """A child's part: add, and add, and nobody asks who else does."""
    barrier.wait()
    for _ in range(updates):
        balance.value += amount


def add_with_lock(balance: Any, updates: int, amount: int, barrier: Barrier) -> None:
    """A child's part: add while nobody else can."""
    barrier.wait()
    for _ in range(updates):
        with balance.get_lock():
            balance.value += amount


def two_at_once(stage: Stage, work: Callable[..., None], opening: int, amounts: tuple[int, int]) -> tuple[int, float]:
    """Two processes update a balance, each so often, each by its amount: the balance then, and the milliseconds."""
    balance = Value("l", opening, lock=work is add_with_lock)
    updates, barrier = stage.options.get("updates", UPDATES), stage.barrier()
    stage.more_time(updates * 40e-6)
    both = [started(stage, f"adds {amount}", work, balance, updates, amount, barrier) for amount in amounts]
    begun = time.monotonic()
    for _ in both:
        barrier.open()
    for each in both:
        stage.join(each)
    return balance.value, round((time.monotonic() - begun) * 1000, 3)


@demonstration.check("shm.lost-updates", "two processes adding without a lock lose updates (how many, of how many)")
def lost_updates(stage: Stage) -> Evidence:
    """Both read 5, both write 6. Where they do not meet by chance, one is made to wait between its two steps."""
    id, of = "shm.lost-updates", 2 * stage.options.get("updates", UPDATES)
    balance, wall_ms = until_they_meet(stage, OPENING_BALANCE, (1, -1), OPENING_BALANCE)
    tried(stage, id, "bank: deposits and withdrawals, no lock", OPENING_BALANCE, balance, updates=of, wall_ms=wall_ms)
    total, wall_ms = until_they_meet(stage, 0, (1, 1), of)
    lost = of - total
    tried(stage, id, "counter: two processes add, no lock", of, total, updates=of, lost=lost, wall_ms=wall_ms)
    if lost == 0:
        of, lost = 2, 2 - step_by_step(stage)
        tried(stage, id, "counter: one adds between another's steps", 2, 2 - lost, updates=2, lost=lost)
    return Evidence("more than 0 lost", f"{lost:,} of {of:,} lost", 0 < lost <= of)


def until_they_meet(stage: Stage, opening: int, amounts: tuple[int, int], right: int) -> tuple[int, float]:
    """Without a lock, again and again, until the balance is not the right one, or the time for it is over."""
    end, balance, wall_ms = time.monotonic() + RACES_WITHIN_S, right, 0.0
    while balance == right and time.monotonic() < end:
        balance, wall_ms = two_at_once(stage, add, opening, amounts)
    return balance, wall_ms


def step_by_step(stage: Stage) -> int:
    """One process reads, another adds, and then the first writes what it made of what it had read."""
    balance, has_read, may_write = Value("l", 0), stage.barrier(), stage.barrier()

    def read_wait_write() -> None:
        seen = balance.value
        has_read.open()
        may_write.wait()
        balance.value = seen + 1

    slow = started(stage, "adds, in two steps", read_wait_write)
    has_read.wait()
    balance.value += 1
    may_write.open()
    stage.join(slow)
    result: int = balance.value
    return result


@demonstration.check("shm.lock-keeps-all", "with the lock none is lost (the bank balance comes out exactly)")
def lock_keeps_all(stage: Stage) -> Evidence:
    """The lock is a semaphore of 1 that lies beside the value: whoever finds it taken sleeps until it is given back."""
    id, of = "shm.lock-keeps-all", 2 * stage.options.get("updates", UPDATES)
    balance, wall_ms = two_at_once(stage, add_with_lock, OPENING_BALANCE, (1, -1))
    what = "bank: deposits and withdrawals, with the lock"
    tried(stage, id, what, OPENING_BALANCE, balance, updates=of, lost=abs(OPENING_BALANCE - balance), wall_ms=wall_ms)
    total, wall_ms = two_at_once(stage, add_with_lock, 0, (1, 1))
    what = "counter: two processes add, with the lock"
    tried(stage, id, what, of, total, updates=of, lost=of - total, wall_ms=wall_ms)
    return Evidence(
        f"balance {OPENING_BALANCE}; counted {of:,} of {of:,}", f"balance {balance}; counted {total:,} of {of:,}"
    )


# --- arrays


def double(array: Any, channel: Channel) -> None:
    """A child's part: tell what is there, and double it."""
    channel.send(list(array))
    array[:] = [2 * each for each in array]


@demonstration.check("shm.array-from-list", "an Array made from a list holds its elements")
def array_from_list(stage: Stage) -> Evidence:
    """C values of one type, one after the other; the child finds those of the list."""
    array, channel = Array("i", [1, 2, 3]), stage.channel()
    ran(stage, "child", double, array, channel)
    found = f"the child finds {channel.recv()}, doubles them: {array[:]}"
    tried(stage, "shm.array-from-list", 'Array("i", [1, 2, 3]), doubled', [2, 4, 6], array[:])
    return Evidence("the child finds [1, 2, 3], doubles them: [2, 4, 6]", found)


@demonstration.check("shm.array-from-size", "an Array made from a size holds so many zeros")
def array_from_size(stage: Stage) -> Evidence:
    """New pages of a file are zeros: the kernel gives nobody what another has left."""
    array, channel = Array("d", 5), stage.channel()
    ran(stage, "child", double, array, channel)
    found = channel.recv()
    tried(stage, "shm.array-from-size", 'Array("d", 5)', [0.0] * 5, found)
    return Evidence("the child finds [0.0, 0.0, 0.0, 0.0, 0.0]", f"the child finds {found}")


def capitalize(array: Any) -> None:
    """A child's part: one byte is another."""
    array[0] = array[0].upper()


@demonstration.check("shm.array-from-bytes", "an Array made from bytes holds them (hello becomes Hello)")
def array_from_bytes(stage: Stage) -> Evidence:
    """The type "c" is a char: such an Array has its bytes as `value`, too."""
    array = Array("c", b"hello")
    ran(stage, "child", capitalize, array)
    tried(stage, "shm.array-from-bytes", 'Array("c", b"hello"), its first capitalized', "Hello", array.value.decode())
    return Evidence("hello, then Hello", f"hello, then {array.value.decode()}")


def add_up(array: Any, channel: Channel) -> None:
    """A child's part: go through it as through a list."""
    total = 0
    for each in array:
        total += each
    channel.send((len(array), total, array[-1], array[1:3]))


@demonstration.check("shm.array-iterates", "an Array is iterated over, has a length, an index and slices")
def array_iterates(stage: Stage) -> Evidence:
    """What a list can, but for growing."""
    channel = stage.channel()
    ran(stage, "child", add_up, Array("i", [3, 1, 4, 1, 5]), channel)
    found = "length {}, sum {}, last {}, slice {}".format(*channel.recv())
    tried(stage, "shm.array-iterates", "for each in Array: add up", 14, found.split()[3].rstrip(","))
    return Evidence("length 5, sum 14, last 5, slice [1, 4]", found)


# --- what it is good for

COPIED_BYTES = 8 << 20
ROUNDS = 3
PIECE = 1 << 16  # what a pipe holds


@demonstration.check("shm.faster-than-pipe", "the same bytes through shared memory and through a pipe: the ratio")
def faster_than_pipe(stage: Stage) -> Evidence:
    """Into memory that both see the bytes are copied once; through a pipe twice, in pieces that each need a switch."""
    data = bytes(range(256)) * (COPIED_BYTES // 256)
    memory, asked, given = context.RawArray("c", COPIED_BYTES), stage.barrier(), stage.barrier()
    reading, writing = os.pipe()
    for each in (reading, writing):
        stage.closing(each)
    child = started(stage, "child that writes", write_twice, data, memoryview(memory).cast("B"), asked, given, writing)
    by_memory, by_pipe, same = [], [], True
    received: list[bytes] = []
    for _ in range(ROUNDS):
        by_memory.append(timed(asked, given.wait))
        same = same and memory.raw == data
        by_pipe.append(timed(asked, lambda: received.append(read_all(reading))))
        same = same and received.pop() == data
    stage.join(child)
    ratio = min(by_pipe) / min(by_memory)
    for what, times in (("shared memory", by_memory), ("a pipe", by_pipe)):
        experiment = f"{COPIED_BYTES >> 20} MiB through {what}"
        tried(stage, "shm.faster-than-pipe", experiment, "the same bytes", "the same bytes" if same else "other bytes",
              wall_ms=round(min(times) * 1000, 3))  # fmt: skip
    arrived = "the same bytes arrived" if same else "other bytes arrived"
    return Evidence(
        "the same bytes arrived, in less time than through a pipe", f"{arrived}, {ratio:.1f} × as fast",
        held=same and ratio > 1,
    )  # fmt: skip


def write_twice(data: bytes, memory: memoryview, asked: Barrier, given: Barrier, writing: int) -> None:
    """The writer's part, whenever it is asked: into the memory, and then into the pipe."""
    memory[:] = data  # so that no page is touched for the first time when it counts
    for _ in range(ROUNDS):
        asked.wait()
        memory[:] = data
        given.open()
        asked.wait()
        left = memoryview(data)
        while left:
            left = left[os.write(writing, left) :]


def read_all(reading: int) -> bytes:
    """Read what is written, all of it."""
    received = bytearray()
    while len(received) < COPIED_BYTES:
        received += os.read(reading, PIECE)
    return bytes(received)


def timed(asked: Barrier, received: Callable[[], object]) -> float:
    """Seconds from asking for the bytes until they have been received."""
    begun = time.perf_counter()
    asked.open()
    received()
    return time.perf_counter() - begun
