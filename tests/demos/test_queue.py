"""`ipcctl queue`: its rows and events, its options, its end; what holds of every concept is a contract."""

from __future__ import annotations

from typing import Any

import pytest
from support import ipcctl, one_line


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
