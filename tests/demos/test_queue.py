"""`ipcctl queue`: every statement holds on this kernel, and is found not to when what it speaks of is broken."""

from __future__ import annotations

from typing import Any

import pytest
from mutants import run_alone, run_broken
from support import ROOT, ipcctl, one_line, report_of

NAMES = ("fifo", "request-handle", "maxsize", "empty", "qsize", "each-message-once", "close")
IDS = [f"queue.{name}" for name in NAMES]
SOURCE = (ROOT / "src/ipcctl/demos/queue.py").read_text("utf-8")

# What the statement of each check speaks of, broken in one place: (id, the code, what stands there instead).
MUTATIONS = [
    ("fifo", "put_all, queue, range(count))\n    received", "put_all, queue, range(count)[::-1])\n    received"),
    ("request-handle", "responses.put(message(a + b))", "responses.put(message(a - b))"),
    ("request-handle", "a, b = requests.get(timeout=TIMEOUT_S)", "a, b = requests.get(timeout=TIMEOUT_S / 20)"),
    ("maxsize", "queue, channel, barrier = new_queue(size)", "queue, channel, barrier = new_queue(size + 1)"),
    ("maxsize", "    got(stage, queue.get())\n    barrier.open()", "    barrier.open()"),
    ("maxsize", "timeout=TIMEOUT_S)\n    early = ", "timeout=TIMEOUT_S / 20)\n    early = "),
    ("empty", 'seen = f"{emptiness(queue)}', 'queue.put(0); seen = f"{emptiness(queue)}'),
    ("empty", 'put_all, queue, ["one"]', 'put_all, queue, ["two"]'),
    ("qsize", "put_all, queue, range(count)))", "put_all, queue, range(count + 1)))"),
    ("each-message-once", "(len(found), *found)", "(len(found) + 1, *found, *found[:1])"),
    ("each-message-once", "(len(found), *found)", "(len(found) - 1, *found[1:])"),
    ("close", "    queue.close()\n", ""),
    ("close", 'queue.put(message("arrived"))', 'queue.put(message("another"))'),
]


@pytest.fixture(scope="module")
def report() -> Any:
    """One run, with everything in it."""
    done = ipcctl("queue", "-f", "json", "--maxsize", "2", "--messages", "5")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return report_of(done)


def test_every_check_is_there_and_holds(report: Any) -> None:
    assert [(each["id"], each["status"]) for each in report["checks"]] == [(id, "held") for id in IDS]


def test_rows_have_who_put_and_who_got_each_message(report: Any) -> None:
    of_fifo = [row for row in report["rows"] if row["check"] == "queue.fifo"]
    assert [row["message"] for row in of_fifo] == ["0", "1", "2", "3", "4"]
    assert len({row["producer_pid"] for row in of_fifo}) == len({row["consumer_pid"] for row in of_fifo}) == 1
    once = [row for row in report["rows"] if row["check"] == "queue.each-message-once"]
    wanted = [f"{producer}.{number}" for producer in (0, 1) for number in range(5)]
    assert sorted(row["message"] for row in once) == wanted
    assert len({row["producer_pid"] for row in once}) == 2
    for row in report["rows"]:
        assert row["producer_pid"] != row["consumer_pid"]
        assert 0 < row["put_ms"] <= row["got_ms"]


def test_options_say_how_many(report: Any) -> None:
    (found,) = [each for each in report["checks"] if each["id"] == "queue.maxsize"]
    assert found["observed"].startswith("after 2 put: full")


def test_many_messages_and_as_large_a_bound_as_may_be() -> None:
    done = ipcctl("queue", "--maxsize", "500", "--messages", "3000", "-f", "json", "--section", "summary")
    assert done.returncode == 0, done.stdout


def test_source_is_the_demonstration_itself() -> None:
    assert ipcctl("queue", "--source").stdout == SOURCE


@pytest.mark.parametrize(("check", "old", "new"), MUTATIONS)
def test_a_check_fails_when_what_it_speaks_of_is_broken(check: str, old: str, new: str) -> None:
    assert SOURCE.count(old) == 1, "the code to break is not there exactly once"
    found = run_broken(f"queue.{check}", SOURCE.replace(old, new))
    assert found.startswith("failed "), found


def test_every_check_has_a_mutation() -> None:
    assert {f"queue.{check}" for check, _, _ in MUTATIONS} == set(IDS)


@pytest.mark.parametrize("check", IDS)
def test_a_check_stands_alone(check: str) -> None:
    assert run_alone(check, SOURCE).startswith("held "), check


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--maxsize", "0"], "0 is not in the range"),
        (["--maxsize", "501"], "501 is not in the range"),
        (["--messages", "no"], "'no' is not a valid integer"),
        (["--section", "nothing"], "'rows', 'checks', 'events', 'summary'"),
    ],
)
def test_bad_input_is_one_clear_line(args: list[str], told: str) -> None:
    done = ipcctl("queue", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in one_line(done.stderr)
