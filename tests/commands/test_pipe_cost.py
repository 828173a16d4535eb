"""`ipcctl pipe cost`: what each kind of pipe costs, by the size of a message."""

from __future__ import annotations

import os
import signal

import pytest
from support import ipcctl, one_line, report_of, started

METHODS = ["os.pipe", "socketpair", "multiprocessing.Pipe", "FIFO"]


def test_a_row_for_each_kind_and_size() -> None:
    done = ipcctl("pipe", "cost", "--sizes", "1,100K", "-f", "json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = report_of(done)["rows"]
    assert [(row["method"], row["message_bytes"]) for row in rows] == [(m, s) for s in (1, 102400) for m in METHODS]
    for row in rows:
        assert row["throughput_bytes_per_s"] > 0
        assert 0 < row["fastest_round_trip_s"] <= row["round_trip_s"]
        assert row["messages"] > row["message_bytes"] / 102400
        assert row["round_trips"] >= 3


def test_rates_are_told_in_multiples_a_second() -> None:
    done = ipcctl("pipe", "cost", "--sizes", "4K", "-c", "throughput")
    assert done.stdout.split()[0] == "throughput"
    assert done.stdout.rstrip().endswith("B/s")
    assert "bytes a second" in ipcctl("pipe", "cost", "-c", "help").stdout


def test_ctrl_c_ends_it_and_leaves_nothing() -> None:
    with started("pipe", "cost", "--sizes", ",".join(["64"] * 100), "-f", "csv", start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("method,")
        assert process.stdout.readline().startswith("os.pipe,64,")
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate()[1] == ""
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["cost", "--sizes", "0"], "a message of 0 bytes cannot be measured; give --sizes from 1 to 64M"),
        (["cost", "--sizes", "1G"], "a message of 1073741824 bytes cannot be measured"),
        (["cost", "--sizes", "many"], "'many' is no size"),
        (["cost", "cat"], "Got unexpected extra argument (cat)"),
        (["--sizes", "1"], "No such option"),
    ],
)
def test_bad_input_is_one_clear_line(args: list[str], told: str) -> None:
    done = ipcctl("pipe", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in one_line(done.stderr)
