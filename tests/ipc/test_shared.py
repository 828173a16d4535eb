"""Values in shared memory: each operation atomic, whoever is killed; nothing wraps; what is corrupted is said."""

from __future__ import annotations

import json
import math
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from shared import own_directory

from ipcctl.errors import BadInput, IpcctlError
from ipcctl.ipc.registry import Corrupted, NotThere, Refused
from ipcctl.ipc.shm.ctype import NAMES, CType, OutOfRange, fitting_for, text_of
from ipcctl.ipc.shm.shared import Shared, SharedMemory, SharedValues


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SharedMemory]:
    yield from own_directory(tmp_path, monkeypatch)


@pytest.fixture
def shared(place: SharedMemory) -> Iterator[Shared]:
    value = Shared("v")
    yield value
    value.close()


def made(shared: Shared, code: str, *texts: str) -> Shared:
    """It, holding these values."""
    ctype = CType(code)
    shared.set(ctype, ctype.pack([ctype.parse(each) for each in texts]))
    return shared


# --- types

INTEGERS = [(code, CType(code).low, CType(code).high) for code in "bBhHiIlLqQ"]


def test_the_types_are_those_of_multiprocessing() -> None:
    import ctypes
    from multiprocessing.sharedctypes import typecode_to_type

    assert NAMES.keys() == typecode_to_type.keys()
    for code, kind in typecode_to_type.items():
        assert CType(code).size == ctypes.sizeof(kind)


def test_the_ends_of_each_range_and_what_is_beyond(place: SharedMemory) -> None:
    for each in INTEGERS:
        ends_of_a_range(*each)


def ends_of_a_range(code: str, low: int, high: int) -> None:
    shared = made(Shared(code), code, str(low), str(high))
    assert shared.get() == [low, high]
    for index, amount in ((0, -1), (1, 1), (0, high - low + 1), (1, low - high - 1)):
        with pytest.raises(OutOfRange) as told:
            shared.add(amount, index)
        assert f"{low} to {high}; nothing was changed" in str(told.value)
    for beyond in (low - 1, high + 1, 10**25, 10**5000):
        with pytest.raises(OutOfRange) as told:
            CType(code).parse(str(beyond) if beyond < 10**26 else "1" + "0" * 5000)
        assert len(str(told.value)) < 200
    assert shared.get() == [low, high]
    assert (shared.add(high - low, 0), shared.add(low - high, 1)) == (high, low)
    shared.close()


def test_no_integer() -> None:
    for text in ("", " 1", "1 ", "x", "1.5", "0x10", "1_000", "٣", "1e3", "--1", "1\n"):
        with pytest.raises(BadInput, match="is no integer; the ctype is 'i'"):
            CType("i").parse(text)


def test_reals(shared: Shared) -> None:
    made(shared, "d", "0.1", "-2.5e-3", "1e308", "inf", "3", ".5")
    assert shared.get() == [0.1, -0.0025, 1e308, math.inf, 3.0, 0.5]
    assert shared.add("0.2", 0) == 0.1 + 0.2
    with pytest.raises(OutOfRange, match="nothing was changed"):
        shared.add("1e308", 2)
    assert shared.add(1, 3) == math.inf
    for text in ("1e309", "-1e999"):
        with pytest.raises(OutOfRange, match="outside the range of ctype 'd'"):
            CType("d").parse(text)
    for text in ("", "x", "1_0", "0x1p3", "1e", "infinit", " 1"):
        with pytest.raises(BadInput, match="is no number"):
            CType("d").parse(text)


def test_a_float_is_as_c_holds_it(shared: Shared) -> None:
    third = struct.unpack("f", struct.pack("f", 0.1))[0]
    assert made(shared, "f", "0.1").get() == [third]
    assert shared.cas("0.1", "2") == (True, 2.0)
    for use in (lambda: CType("f").parse("3.5e38"), lambda: shared.add("3.5e38")):
        with pytest.raises(OutOfRange, match="ctype 'f' \\(float\\); give `ctype` d"):
            use()
    assert shared.get() == [2.0]


def test_characters(shared: Shared) -> None:
    assert made(shared, "c", "h", "i").get() == [b"h", b"i"]
    assert shared.cas("h", "H", 0) == (True, b"H")
    shared.store("\udcff", 1)
    assert shared.get_bytes() == b"H\xff"
    assert text_of(b"\xff") == "\udcff"
    with pytest.raises(BadInput, match="is no number: nothing can be added"):
        shared.add(1, 0)
    with pytest.raises(BadInput, match="'ab' has 2 bytes"):
        CType("c").parse("ab")
    with pytest.raises(BadInput, match="no single character"):
        CType("u").parse("ab")
    other = made(Shared("u"), "u", "é", "€", "🙂")
    assert (other.get(), other.get(2)) == (["é", "€", "🙂"], ["🙂"])
    assert other.cas("€", "x", 1) == (True, "x")
    other.set(CType("u"), struct.pack("4I", 0x41, 0xD800, 0x110000, 2**32 - 1))
    assert other.get() == ["A", *"\N{REPLACEMENT CHARACTER}" * 3]
    other.close()


def test_a_type_for_values_given_without_one() -> None:
    assert [fitting_for(each).code for each in (["1"], ["-1", "2"], ["1", "2.5"], ["nan"])] == ["q", "q", "d", "d"]
    with pytest.raises(BadInput, match="'a' is no number; give `ctype` c"):
        fitting_for(["1", "a"])
    with pytest.raises(BadInput, match="there are: b, B"):
        CType("x")


# --- what is done with one


def test_add_cas_and_store(shared: Shared) -> None:
    made(shared, "i", "5")
    assert (shared.add(2), shared.add("-10")) == (7, -3)
    assert (shared.cas("7", "1"), shared.cas("-3", "1")) == ((False, -3), (True, 1))
    made(shared, "i", "1", "2", "3")
    shared.store("9", 2)
    assert (shared.get(), shared.get(2)) == ([1, 2, 9], [9])
    for use in (lambda: shared.add(1), lambda: shared.cas("1", "2")):
        with pytest.raises(BadInput, match=r"an array of 3; say which of them: v\[INDEX\]"):
            use()
    for use in (lambda: shared.add(1, 3), lambda: shared.get(3), lambda: shared.store("1", 3)):
        with pytest.raises(BadInput, match=r"v\[3\] is outside: the indexes are 0 to 2"):
            use()


def test_one_that_is_not_there_is_made_by_set_and_add_alone(shared: Shared) -> None:
    for use in (shared.get, lambda: shared.add(1), lambda: shared.cas("1", "2"), lambda: shared.wait(bool)):  # type: ignore[arg-type]
        with pytest.raises(NotThere, match="no shm 'v'"):
            use()
    assert not os.path.lexists(shared.place.directory)
    assert shared.add(5, otherwise=CType("h")) == 5
    assert shared.ctype.code == "h"


def test_the_type_stays_and_the_number_of_values_may_change(shared: Shared) -> None:
    made(shared, "i", "1")
    with pytest.raises(BadInput, match=r"'v' holds ctype 'i' \(int\), not 'd' \(double\); give `ctype` i, or"):
        made(shared, "d", "1", "2", "3", "4")
    file = os.stat(shared.path).st_ino
    assert made(shared, "i", "1", "2").get() == [1, 2]
    assert os.stat(shared.path).st_ino == file, "there was room for two"
    other = Shared("v")
    assert other.get() == [1, 2]
    assert made(shared, "i", *"123456789").get() == list(range(1, 10))
    assert os.stat(shared.path).st_ino != file
    assert other.add(1, 8) == 10, "it was opened anew"
    assert made(other, "i").get() == []
    with pytest.raises(BadInput, match="the array is empty"):
        shared.get(0)
    assert made(other, "i", "7").get() == shared.get() == [7]
    other.close()


def test_what_one_that_was_killed_had_begun_to_make_is_taken_away(shared: Shared) -> None:
    made(shared, "i", "1")
    left = Path(shared.place.unfinished("other"))
    left.write_bytes(b"x" * 1000)
    assert SharedValues().names() == ["v"]
    SharedValues().remove("v")
    assert not left.exists()


def test_a_removed_one_is_not_written_to(shared: Shared) -> None:
    made(shared, "i", "1")
    SharedValues().remove("v")
    with pytest.raises(NotThere):
        shared.add(1)
    made(Shared("v"), "i", "40").close()
    assert shared.add(2) == 42


def test_a_child_has_a_lock_of_its_own(shared: Shared) -> None:
    """An open file that a fork shares has one lock for both: neither would wait for the other."""
    made(shared, "i", "0")
    shared.add(1)
    pid = os.fork()
    if pid == 0:
        try:
            for _ in range(1000):
                shared.add(1)
        finally:
            os._exit(0)
    for _ in range(1000):
        shared.add(1)
    os.waitpid(pid, 0)
    assert shared.get() == [2001]


def test_a_child_does_not_hold_the_lock_of_a_parent_that_was_killed(shared: Shared) -> None:
    made(shared, "i", "1")
    script = DRIVER + """
with Shared("v")._writing():
    pid, _ = forked(lambda writing: signal.pause())
    print(pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
    assert process.returncode == -signal.SIGKILL
    try:
        assert shared.add(1) == 2
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_what_another_program_sees(shared: Shared) -> None:
    """The layout, byte by byte, and that a single value stays where it is."""
    made(shared, "q", "5")
    for _ in range(3):
        shared.add(1)
    made(shared, "q", "-7")
    raw = Path(shared.path).read_bytes()
    magic, code, size, zero, _, capacity, _, first, _, sequence, _ = struct.unpack("=8scBHIQqQQQQ", raw[:64])
    assert (magic, code, size, zero, capacity, first, sequence & 1) == (b"ipcctlM1", b"q", 8, 0, 8, 1, 0)
    assert struct.unpack("q", raw[64:72]) == (-7,)
    assert len(raw) == 64 + 2 * 8
    made(shared, "q", "1", "2", "3")
    made(shared, "q", "4", "5", "6")
    raw = Path(shared.path).read_bytes()
    (capacity,), (sequence,) = struct.unpack("Q", raw[16:24]), struct.unpack("Q", raw[48:56])
    assert struct.unpack("3q", raw[64 + (sequence & 1) * capacity :][:24]) == (4, 5, 6)


# --- killed at any instant

DRIVER = """
import fcntl, json, os, random, select, signal, sys
from ipcctl.ipc.shm.ctype import CType
from ipcctl.ipc.shm.shared import Shared

def forked(work):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            work(writing)
        finally:
            os._exit(0)
    os.close(writing)
    return pid, reading

def end_at_random(workers, thresholds):
    # Kills each worker once it has acknowledged so much, wherever it is by then; how much all have acknowledged.
    pids, acknowledged = dict((reading, pid) for pid, reading in workers), dict.fromkeys((r for _, r in workers), 0)
    left, killed = set(pids), 0
    while left:
        for reading in select.select(list(left), [], [])[0]:
            raw = os.read(reading, 1 << 16)
            acknowledged[reading] += len(raw)
            if not raw:
                left.remove(reading)
                os.close(reading)
                os.waitpid(pids[reading], 0)
            elif acknowledged[reading] >= thresholds.get(pids[reading], 1 << 30):
                os.kill(pids[reading], signal.SIGKILL)
                killed += thresholds.pop(pids[reading], None) is not None
                thresholds[pids[reading]] = 1 << 30
    return sum(acknowledged.values()), killed
"""

ADDING = (
    DRIVER
    + """
found = []
for number in range(30):
    def adding(writing):
        shared = Shared(f"n{number}")
        for _ in range(500):
            shared.add(1, otherwise=CType("q"))
            os.write(writing, b"+")
    workers = [forked(adding) for _ in range(8)]
    thresholds = {pid: random.randrange(1, 100) for pid, _ in workers[: 7]}
    acknowledged, killed = end_at_random(workers, thresholds)
    found.append((acknowledged, killed, Shared(f"n{number}").get()[0]))
print(json.dumps(found))
"""
)

SETTING = (
    DRIVER
    + """
ctype = CType("i")
shared = Shared("array")
shared.set(ctype, ctype.pack([0]))
writers, found = [0], []
for number in range(20):
    def setting(writing):
        raws = [ctype.pack([os.getpid()] * (120000 + 2000 * number)), ctype.pack([-os.getpid()] * 90000)]
        os.write(writing, b"+")
        for turn in range(1000):
            shared.set(ctype, raws[turn % 2])
            os.write(writing, b"+")
    worker = forked(setting)
    end_at_random([worker], {worker[0]: random.randrange(1, 6)})
    writers.append(worker[0])
    values = set(shared.get())
    found.append((len(values), set(map(abs, values)) <= set(writers)))
print(json.dumps(found))
"""
)


MAKING = (
    DRIVER
    + """
from ipcctl.ipc.registry import NotThere
from ipcctl.ipc.shm.shared import SharedValues
def making(writing):
    for turn in range(150):
        try:
            Shared("one").add(1, otherwise=CType("q"))
            SharedValues().remove("one")
        except NotThere:
            pass
        except BaseException as error:
            os.write(2, repr(error).encode())
            break
        os.write(writing, b"+")
print(json.dumps(end_at_random([forked(making) for _ in range(4)], {})))
"""
)


def driven(script: str) -> Any:
    """What such a script found."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_what_was_acknowledged_counts_whoever_is_killed(place: SharedMemory) -> None:
    """8 processes, 500 additions each, 7 of them killed at random; the first of all additions makes it."""
    rounds = driven(ADDING)
    assert sum(killed for _, killed, _ in rounds) == 30 * 7
    for acknowledged, killed, total in rounds:
        assert acknowledged <= total <= acknowledged + killed


def test_an_array_is_one_writers_whoever_is_killed(place: SharedMemory) -> None:
    """Each is killed while it puts arrays in the place of others', larger ones too: one of them is there, whole."""
    found = driven(SETTING)
    assert found == [[1, True]] * 20


def test_made_and_removed_by_many_at_once(place: SharedMemory) -> None:
    """The directory comes and goes with the one thing in it; nobody finds it gone half-way."""
    acknowledged, killed = driven(MAKING)
    assert (acknowledged, killed) == (4 * 150, 0)


# --- faults


def header(path: str, offset: int, raw: bytes) -> None:
    """Overwrite a part of the file."""
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(raw)


SPOILT = {
    "cut within the header": lambda path: os.truncate(path, 10),
    "emptied": lambda path: os.truncate(path, 0),
    "cut within the values": lambda path: os.truncate(path, 70),
    "another file's": lambda path: Path(path).write_bytes(b"SQLite format 3\0" * 100),
    "another type": lambda path: header(path, 8, b"d"),
    "another size": lambda path: header(path, 9, b"\x04"),
    "larger": lambda path: header(path, 16, b"\xff"),
    "too many values": lambda path: header(path, 32, b"\xff"),
}


def test_a_corrupted_file_is_said_and_left_as_it_is(shared: Shared) -> None:
    for spoil in SPOILT.values():
        corrupted(shared, spoil)
        SharedValues().remove("v")
        assert made(shared, "d", "1").get() == [1.0]
        SharedValues().remove("v")


def corrupted(shared: Shared, spoil: Callable[[str], Any]) -> None:
    """Everything but its removal fails with the same error."""
    made(shared, "q", "1", "2")
    shared.close()
    spoil(shared.path)
    before = Path(shared.path).read_bytes()
    for use in (
        shared.get,
        lambda: shared.add(1, 0, CType("q")),
        lambda: shared.cas("1", "2", 0),
        lambda: made(shared, "q", "1"),
        lambda: shared.wait(lambda ctype, value: True, 0),
        lambda: SharedValues().figures("v"),
    ):
        with pytest.raises(Corrupted, match=r"is corrupted: .*; `remove` takes it away") as told:
            use()
        assert told.value.status == 125
    assert Path(shared.path).read_bytes() == before
    (row,) = SharedValues().rows()
    assert "is corrupted" in row["problem"]


def test_a_file_that_is_cut_while_it_is_open(shared: Shared) -> None:
    """To read what was cut off would end the process by SIGBUS."""
    made(shared, "q", *map(str, range(10_000)))
    shared.get()
    os.truncate(shared.path, 4096)
    with pytest.raises(Corrupted, match="it was cut to 4096 bytes"):
        shared.get()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda path: path.symlink_to("/tmp"), "is a link"),
        (lambda path: (path.mkdir(), path.chmod(0o755)), "open to others"),
        (lambda path: path.write_text(""), "is no directory"),
    ],
)
def test_what_others_could_have_put_into_dev_shm_is_refused(place: SharedMemory, spoil: Any, told: str) -> None:
    path = Path(place.directory)
    spoil(path)
    try:
        for use in (lambda: made(Shared("v"), "i", "1"), lambda: Shared("v").get()):
            with pytest.raises(Refused, match=told):
                use()
    finally:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()


def test_the_directory_of_the_names_is_checked_too(place: SharedMemory) -> None:
    shared = made(Shared("v"), "i", "1")
    os.chmod(place.named_in, 0o755)
    for use in (Shared("v").get, SharedValues().names, lambda: made(Shared("w"), "i", "1")):
        with pytest.raises(Refused, match="open to others"):
            use()
    os.chmod(place.named_in, 0o700)
    assert shared.get() == [1]
    shared.close()


def test_another_directory_has_other_values(place: SharedMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made(Shared("v"), "i", "1")
    with monkeypatch.context() as patch:
        patch.setenv("IPCCTL_DIR", f"{place.named_in}/others")
        assert SharedValues().names() == []
        second = made(Shared("v"), "i", "2")
        assert (first.get(), second.get()) == ([1], [2])
        SharedValues().remove("v")
    assert SharedValues().names() == ["v"]
    for each in (first, second):
        each.close()


def test_no_dev_shm(place: SharedMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ipcctl.ipc.shm.shared.BASE", "/no/such")
    with pytest.raises(IpcctlError, match="there is no /no/such that may be written to, where shared memory is; mount"):
        made(Shared("v"), "i", "1")
