"""What /proc says: the record of a process, whatever its name; lists longer than a page; states and marks in words."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import wait_until

from ipcctl.process import procfs
from ipcctl.process.procfs import (
    MARKS,
    STATES,
    Stat,
    children_of,
    explained,
    has_locked_memory,
    marked_state,
    parse_stat,
)

NAMES = st.binary(max_size=64).map(lambda name: name.replace(b"\0", b""))
TRICKY = st.sampled_from([b"a) S 1 2 3", b"(", b")", b") (", b"\n", b"x\ny", b"\xff\xfe", b" ", b"", b"(())", b") Z 9"])
NUMBERS = st.integers(-(1 << 31), (1 << 63) - 1)


@given(NAMES | TRICKY, st.sampled_from(list(STATES)), st.lists(NUMBERS, min_size=49, max_size=49))
def test_a_record_is_parsed_whatever_the_name_holds(name: bytes, state: str, numbers: list[int]) -> None:
    raw = b"77 (" + name + b") " + " ".join([state, *map(str, numbers)]).encode() + b"\n"
    stat = parse_stat(raw)
    assert os.fsencode(stat.name) == name
    assert (stat.pid, stat.state) == (77, state)
    field = [None, None, None, state, *numbers]  # numbered as proc(5) has it: 4 is ppid
    assert stat[3:9] == tuple(field[4:10])
    assert (stat.minor_faults, stat.major_faults) == (field[10], field[12])
    assert (stat.user_ticks, stat.system_ticks) == (field[14], field[15])
    assert (stat.nice, stat.threads, stat.start_ticks, stat.rss_pages) == (field[19], field[20], field[22], field[24])


def test_the_record_of_this_process_is_what_the_kernel_tells_it_by_other_means() -> None:
    stat = procfs.stat_of(os.getpid())
    assert stat is not None
    assert (stat.ppid, stat.pgrp, stat.session) == (os.getppid(), os.getpgrp(), os.getsid(0))
    assert stat.nice == os.getpriority(os.PRIO_PROCESS, 0)
    assert stat.state == "R"
    wait_until(threads_agree, "a thread of an earlier test to be gone wholly")
    assert not stat.in_kernel


def threads_agree() -> bool:
    """Whether the record has as many threads as are listed."""
    stat = procfs.stat_of(os.getpid())
    return stat is not None and stat.threads == len(os.listdir("/proc/self/task"))


def test_nobody_is_none() -> None:
    assert procfs.stat_of(1 << 22) is None
    assert procfs.owner_of(1 << 22) is None
    assert procfs.status_of(1 << 22) == {}
    assert procfs.read_list("/proc/self/nothing") is None


def test_a_list_of_children_longer_than_a_page_is_read_to_its_end() -> None:
    count = 4096 // len(str(os.getpid())) + 50
    pids = [os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}) for _ in range(count)]
    try:
        assert set(pids) <= set(children_of(os.getpid()))
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)


RECORD = Stat(10, "x", "S", 1, 10, 9, 0, -1, 0, 0, 0, 0, 0, 0, 1, 5, 5)


@pytest.mark.parametrize(
    ("changes", "locked", "stat"),
    [
        ({}, False, "S"),
        ({"nice": -1}, False, "S<"),
        ({"nice": 1}, False, "SN"),
        ({}, True, "SL"),
        ({"session": 10}, False, "Ss"),
        ({"threads": 2}, False, "Sl"),
        ({"tpgid": 10}, False, "S+"),
        ({"nice": -9, "session": 10, "threads": 9, "tpgid": 10, "state": "D"}, True, "D<Lsl+"),
    ],
)
def test_marks(changes: dict[str, object], locked: bool, stat: str) -> None:
    assert marked_state(RECORD._replace(**changes), locked) == stat


@pytest.mark.parametrize(
    ("status", "locked"),
    [
        (None, False),
        (b"Name:\tx\nState:\tZ (zombie)\n", False),
        (b"Name:\tx\nVmLck:\t       0 kB\nVmPin:\t       8 kB\n", False),
        (b"Name:\tx\nVmLck:\t       4 kB\nVmPin:\t       0 kB\n", True),
        (b"Name:\tx\nVmLck:\t      40 kB\nVmPin:\t       0 kB\n", True),
        (b"Name:\tx\nVmLck:\t 5000000 kB\n", True),
    ],
)
def test_locked_memory(status: bytes | None, locked: bool) -> None:
    assert has_locked_memory(status) is locked


def test_every_letter_has_words() -> None:
    assert explained("Ss+") == f"S {STATES['S']}; s {MARKS['s']}; + {MARKS['+']}"
    assert "unknown" not in explained("D<Lsl+") + explained("RN")
    assert explained("Q") == "Q unknown"
