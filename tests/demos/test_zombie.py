"""`ipcctl zombie`: its rows and events, its options, its end; what holds of every concept is a contract."""

from __future__ import annotations

import re
import signal
from typing import Any

import pytest
from mutations.zombie import IDS
from support import children, ipcctl, one_line, report_of, started, state_of

COUNT = 4


def test_the_strategies_side_by_side(report: Any) -> None:
    rows = {row["strategy"]: row for row in report["rows"]}
    assert list(rows) == ["wait", "handler", "double-fork", "ignore", "none"]
    assert {name: row["zombies_left"] for name, row in rows.items()} == dict.fromkeys(rows, 0) | {"none": COUNT}
    collected = {name: row["statuses"] for name, row in rows.items()}
    assert collected == dict.fromkeys(rows, 0) | {"wait": COUNT, "handler": COUNT}
    assert rows["none"]["zombies_at_peak"] == rows["handler"]["zombies_at_peak"] == COUNT
    assert rows["ignore"]["zombies_at_peak"] == 0
    blocked = {name for name, row in rows.items() if row["blocked_ms"] > 0}
    assert blocked == {"wait", "double-fork", "ignore"}


def test_every_process_has_a_start_among_the_events(report: Any) -> None:
    roles = [each["role"] for each in report["events"] if each["event"] == "start"]
    assert roles.count("child, wait") == roles.count("child, ignore") == COUNT
    assert "parent that waits" in roles


def test_one_strategy_alone() -> None:
    found = report_of(ipcctl("zombie", "-f", "json", "--avoid", "handler", "-n", "1"))
    assert [row["strategy"] for row in found["rows"]] == ["handler"]
    skipped = [each["id"] for each in found["checks"] if each["status"] == "skipped"]
    assert set(IDS[4:]) - set(skipped) == {"zombie.avoid-waitpid-handler"}
    assert all("--avoid handler" in each["reason"] for each in found["checks"] if each["status"] == "skipped")
    assert found["ok"]


def test_many_children() -> None:
    found = report_of(ipcctl("zombie", "-f", "json", "--avoid", "none", "-n", "100"))
    assert [(row["children"], row["zombies_at_peak"]) for row in found["rows"]] == [(100, 100)]


def held_pids(channel: str) -> tuple[int, list[int]]:
    """The parent and its zombies, out of what --hold says."""
    match = re.fullmatch(r"ipcctl zombie: zombies of process (\d+): ([\d ]+); held for .* s, Ctrl-C ends it\n", channel)
    assert match, channel
    return int(match[1]), list(map(int, match[2].split()))


def test_hold_keeps_the_zombies_for_others_to_see() -> None:
    with started("zombie", "--hold", "300ms", "-n", "3", "-f", "json") as process:
        assert process.stderr is not None
        parent, zombies = held_pids(process.stderr.readline())
        assert (state_of(parent), [state_of(pid) for pid in zombies]) == ("S", ["Z"] * 3)
        out, err = process.communicate()
    assert (process.returncode, err, '"ok": true' in out) == (0, "", True)
    assert [state_of(pid) for pid in zombies] == [""] * 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_hold_and_leaves_nothing(number: signal.Signals) -> None:
    with started("zombie", "--hold", "1h", "-n", "3") as process:
        assert process.stderr is not None
        parent, zombies = held_pids(process.stderr.readline())
        process.send_signal(number)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (128 + number, "", "")
    assert [state_of(pid) for pid in (parent, *zombies)] == [""] * 4
    assert children() == []


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["-n", "0"], "0 is not in the range 1<=x<=1000"),
        (["-n", "1001"], "1001 is not in the range 1<=x<=1000"),
        (["--avoid", "prayer"], "'none', 'wait', 'handler', 'double-fork', 'ignore'"),
        (["--hold", "0"], "too short"),
        (["--hold", "long"], "'long' is no time"),
        (["--longer-than", "1"], "--longer-than goes with -- COMMAND"),
        (["--fail-on-leak"], "--fail-on-leak goes with -- COMMAND"),
        (["-n", "3", "--", "true"], "--count goes with `ipcctl zombie` alone"),
        (["--hold", "3", "--", "true"], "--hold goes with `ipcctl zombie` alone"),
        (["--longer-than", "-1", "--", "true"], "'-1' is no time"),
        (["--"], "no command after --"),
    ],
)
def test_bad_input_is_one_clear_line(args: list[str], told: str) -> None:
    done = ipcctl("zombie", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in one_line(done.stderr)
