"""Arguments as they come, jobs made of them, what may run at once, and what the bar says."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipcctl.commands.pool.slots import slots_of
from ipcctl.errors import BadInput
from ipcctl.pool import processors
from ipcctl.pool.arguments import LineReader, Listed
from ipcctl.pool.jobs import JobSource
from ipcctl.pool.output import Tagged
from ipcctl.report.progress import Progress


def arguments_of(chunks: list[bytes], separator: bytes = b"\n") -> list[bytes]:
    """What a stream gives that comes in such chunks."""
    reading, writing = os.pipe()
    try:
        stream, found = LineReader(reading, "a pipe", separator), []
        for chunk in [*filter(None, chunks), None]:
            if chunk is None:
                os.close(writing)
            else:
                os.write(writing, chunk)
            stream.fill()
            while (argument := stream.take()) is not None:
                found.append(argument)
        assert stream.ended
        assert stream.total == len(found)
        return found
    finally:
        os.close(reading)


@given(st.lists(st.binary(max_size=8)))
def test_lines_do_not_depend_on_how_they_come(chunks: list[bytes]) -> None:
    text = b"".join(chunks)
    lines = text.split(b"\n")
    assert arguments_of(chunks) == (lines if lines[-1] else lines[:-1])


def test_the_last_line_needs_no_end_and_an_empty_one_counts() -> None:
    assert arguments_of([b"a\n\nb"]) == [b"a", b"", b"b"]
    assert arguments_of([b"a\n", b"\0b\0\0"], b"\0") == [b"a\n", b"b", b""]
    assert arguments_of([]) == []


def test_jobs_of_several_none_twice_none_done() -> None:
    jobs = JobSource(Listed(list("abcde")), per_job=2)
    assert jobs.total == 3
    assert [(job.seq, job.arguments) for job in jobs.all()] == [(1, ["a", "b"]), (2, ["c", "d"]), (3, ["e"])]
    jobs = JobSource(Listed(list("abab")), unique=True)
    assert ([job.seq for job in jobs.all()], jobs.repeated) == ([1, 2], 2)
    jobs = JobSource(Listed(list("abab")))
    jobs.done = Counter({("a",): 1, ("z",): 1})
    assert ([job.seq for job in jobs.all()], jobs.skipped) == ([2, 3, 4], 1)


@given(st.binary(), st.integers(0, 9))
def test_tags_do_not_depend_on_how_the_text_comes(text: bytes, cut: int) -> None:
    tagged = Tagged(b"t\t")
    expected = b"".join(b"t\t" + line + b"\n" for line in text.split(b"\n"))
    expected = expected[:-1] if not text.endswith(b"\n") else expected.removesuffix(b"t\t\n")
    assert tagged.lines(text[:cut]) + tagged.lines(text[cut:]) == (expected if text else b"")


@pytest.mark.parametrize(("asked", "slots"), [("3", 3), ("100%", 4), ("50%", 2), ("1%", 1), ("250%", 10), (None, 4)])
def test_how_many_at_once(asked: str | None, slots: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ipcctl.commands.pool.slots.usable_processors", lambda: 4)
    assert slots_of(asked) == slots


@pytest.mark.parametrize("asked", ["", "-1", "x", "0%", "1.5", "10001", "%", "１"])
def test_no_number_of_jobs(asked: str) -> None:
    with pytest.raises(BadInput, match="is no number of jobs; give 1 to 10000"):
        slots_of(asked)


def test_as_many_as_the_descriptors_let() -> None:
    assert 1 <= slots_of("0") <= processors.MOST_SLOTS


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.cfs_quota_us": "200000\n", "cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_a_cgroup(files: dict[str, str], quota: float | None, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert processors.quota_of(str(tmp_path)) == quota


def test_the_quota_narrows_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    have = len(os.sched_getaffinity(0))
    for quota, slots in ((0.2, 1), (float(have), have), (1000.0, have), (None, have)):
        monkeypatch.setattr(processors, "cpu_quota", lambda quota=quota: quota)
        assert processors.usable_processors() == slots


def test_the_bar_says_what_is_unknown() -> None:
    bar = Progress()
    assert bar.line(5, 1, 2, None, 2.0) == "5 done, 1 failed, 2 running, 2.5/s, total unknown"
    assert bar.line(0, 0, 2, 8, 2.0).endswith("0/8  0 done, 0 failed, 2 running, 0/s, time left unknown")
    assert bar.line(4, 0, 2, 8, 2.0) == f"[{'━' * 12}{' ' * 12}] 4/8  4 done, 0 failed, 2 running, 2/s, 2.00 s left"
    assert bar.line(8, 0, 0, 8, 2.0).startswith(f"[{'━' * 24}] 8/8")
