"""`ipcctl pipe`: every statement holds on this kernel, and is found not to when what it speaks of is broken."""

from __future__ import annotations

import fcntl
import os
from typing import Any

import pytest
from mutants import run_alone, run_broken
from support import ROOT, ipcctl, report_of

IDS = [
    "pipe.duplex", "pipe.simplex", "pipe.recv-blocks-when-empty", "pipe.send-blocks-when-full", "pipe.order",
    "pipe.eof", "pipe.only-relatives",
]  # fmt: skip
SOURCE = (ROOT / "src/ipcctl/demos/pipe.py").read_text("utf-8")

# What the statement of each check speaks of, broken in one place: (id, the code, what stands there instead).
MUTATIONS = [
    ("duplex", "Pipe(duplex=True)\n", "Pipe(duplex=False)\n"),
    ("duplex", 'log.send(second, "from the child")', 'log.send(second, "from nobody")'),
    ("simplex", "Pipe(duplex=False)\n    with", "Pipe(duplex=True)\n    with"),
    (
        "recv-blocks-when-empty",
        'channel.send("receiving")\n                log.receive(receiving)',
        'channel.send("receiving")',
    ),
    ("send-blocks-when-full", "while True:\n            count +=", "for _ in range(1):\n            count +="),
    ("order", "for message in sent:\n", "for message in reversed(sent):\n"),
    ("eof", 'second.send("last words")', 'second.send("last words"); second.send("and more")'),
    ("eof", "    os.close(reading)\n    pid", "    pid"),
    ("eof", "signal.signal(signal.SIGPIPE, signal.SIG_DFL)", "pass"),
    ("only-relatives", "os.write({NUMBER},", 'os.write(os.open(f"/proc/{{os.getppid()}}/fd/{NUMBER}", os.O_WRONLY),'),
]


@pytest.fixture(scope="module")
def report() -> Any:
    """One run, with everything in it."""
    done = ipcctl("pipe", "-f", "json")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return report_of(done)


def test_every_check_is_there_and_holds(report: Any) -> None:
    assert [(each["id"], each["status"]) for each in report["checks"]] == [(id, "held") for id in IDS]


def test_rows_are_the_messages_with_who_and_when(report: Any) -> None:
    rows = report["rows"]
    assert {row["check"] for row in rows} == set(IDS) - {"pipe.eof"}
    assert {row["pipe"] for row in rows} == {"Pipe(duplex=True)", "Pipe(duplex=False)", "os.pipe"}
    (parent,) = {row["sender_pid"] for row in rows if row["sender"] == "parent"}
    for row in rows:
        assert row["sent_ms"] <= row["received_ms"]
        assert (row["receiver"] == "parent") == (row["receiver_pid"] == parent)
    both = [(row["sender"], row["receiver"]) for row in rows if row["check"] == "pipe.duplex"]
    assert sorted(both) == [("child", "parent"), ("parent", "child")]


def test_the_capacity_is_the_kernels(report: Any) -> None:
    reading, writing = os.pipe()
    capacity = fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ)
    os.close(reading)
    os.close(writing)
    (check,) = (each for each in report["checks"] if each["id"] == "pipe.send-blocks-when-full")
    assert f"os.pipe: full with {capacity} bytes" in check["observed"]
    assert f"{capacity} bytes" in {row["message"] for row in report["rows"]}


def test_what_was_sent_is_an_event_of_its_process(report: Any) -> None:
    sent = [each for each in report["events"] if each["event"] == "sent" and each["detail"].startswith("'one way'")]
    (row,) = (row for row in report["rows"] if row["message"] == "one way")
    seen = [(each["pid"], each["role"], each["t_ms"]) for each in sent]
    assert seen == [(row["sender_pid"], "child", row["sent_ms"])]


def test_source_is_the_demonstration_itself() -> None:
    assert ipcctl("pipe", "--source").stdout == SOURCE


@pytest.mark.parametrize(("check", "old", "new"), MUTATIONS)
def test_a_check_fails_when_what_it_speaks_of_is_broken(check: str, old: str, new: str) -> None:
    assert SOURCE.count(old) == 1, "the code to break is not there exactly once"
    found = run_broken(f"pipe.{check}", SOURCE.replace(old, new))
    assert found.startswith("failed "), found


def test_every_check_has_a_mutation() -> None:
    assert {f"pipe.{check}" for check, _, _ in MUTATIONS} == set(IDS)


@pytest.mark.parametrize("check", IDS)
def test_a_check_stands_alone(check: str) -> None:
    assert run_alone(check, SOURCE).startswith("held "), check
