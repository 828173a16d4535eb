"""`ipcctl pipe`: its rows and events, its options, its end; what holds of every concept is a contract."""

from __future__ import annotations

import fcntl
import os
from typing import Any

from mutations.pipe import IDS


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


