"""`ipcctl zombie`: every statement holds on this kernel, and is found not to when what it speaks of is broken."""

from __future__ import annotations

import re
import signal
from typing import Any

import pytest
from mutants import run_alone, run_broken
from support import ROOT, children, ipcctl, one_line, report_of, started, state_of

IDS = [
    "zombie.seen",
    "zombie.keeps-record-only",
    "zombie.cannot-be-killed",
    "zombie.wait-reaps",
    "zombie.avoid-wait",
    "zombie.avoid-waitpid-handler",
    "zombie.avoid-double-fork",
    "zombie.avoid-sigchld-ignored",
    "zombie.unreaped-accumulate",
    "zombie.parent-exit-clears",
]
SOURCE = (ROOT / "src/ipcctl/demos/zombie.py").read_text("utf-8")
COUNT = 4

# What the statement of each check speaks of, broken in one place: (id, the code, what stands there instead).
MUTATIONS = [
    (
        "seen",
        "    state = state_of(pid)\n    stage.wait(pid)\n    return Evidence(\"state Z\"",
        "    stage.wait(pid)\n    state = state_of(pid)\n    return Evidence(\"state Z\"",
    ),
    (
        "keeps-record-only",
        "    barrier.open()\n    exit_status = decode(wait_until_zombie(pid))[0]\n",
        "    exit_status = 7\n",
    ),
    ("keeps-record-only", "with ending_child(7):", "with ending_child(8):"),
    (
        "cannot-be-killed",
        '        os._exit(3)\n    stage.record_process(pid, "child")\n    wait_until_zombie(pid)\n',
        '        signal.pause()\n    stage.record_process(pid, "child")\n',
    ),
    ("wait-reaps", "channel.send(os.wait())", "channel.send(os.waitpid(pid, os.WNOHANG))"),
    ("wait-reaps", "with ending_child(5):", "with ending_child(6):"),
    ("avoid-wait", "os.wait() for _ in range(family.count)", "os.wait() for _ in range(family.count - 1)"),
    ("avoid-waitpid-handler", "while (ended := os.waitpid(-1, os.WNOHANG))[0]:", "if (ended := os.wait())[0]:"),
    ("avoid-waitpid-handler", "    signal.signal(signal.SIGCHLD, collect)\n", ""),
    (
        "avoid-double-fork",
        "            if os.fork() == 0:\n                family.child(number)\n            os._exit(0)\n"
        "        began = time.monotonic()\n        os.waitpid(first, 0)\n",
        "            family.child(number)\n        began = time.monotonic()\n",
    ),
    ("avoid-sigchld-ignored", "    signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n", ""),
    ("unreaped-accumulate", "    family.have_children()\n    family.send([])", "    family.have_children()\n"
     "    family.send([os.wait()])"),
    ("parent-exit-clears", "    family.have_children()\n    family.send([])", "    family.have_children()\n"
     "    family.send([os.wait()])"),
    ("parent-exit-clears", "    family.ended()\n    adopters", "    adopters"),
]  # fmt: skip


@pytest.fixture(scope="module")
def report() -> Any:
    """One run, with everything in it."""
    done = ipcctl("zombie", "-f", "json", "-n", str(COUNT))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return report_of(done)


def test_every_check_is_there_and_holds(report: Any) -> None:
    assert [(each["id"], each["status"]) for each in report["checks"]] == [(id, "held") for id in IDS]
    assert report["summary"] | {"wall_s": None} == {"held": 10, "failed": 0, "skipped": 0, "wall_s": None}


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


def test_source_is_the_demonstration_itself() -> None:
    assert ipcctl("zombie", "--source").stdout == SOURCE


@pytest.mark.parametrize(("check", "old", "new"), MUTATIONS)
def test_a_check_fails_when_what_it_speaks_of_is_broken(check: str, old: str, new: str) -> None:
    assert SOURCE.count(old) == 1, "the code to break is not there exactly once"
    found = run_broken(f"zombie.{check}", SOURCE.replace(old, new), count=3)
    assert found.startswith("failed "), found


def test_every_check_has_a_mutation() -> None:
    assert {f"zombie.{check}" for check, _, _ in MUTATIONS} == set(IDS)


@pytest.mark.parametrize("check", IDS)
def test_a_check_stands_alone(check: str) -> None:
    assert run_alone(check, SOURCE, count=3).startswith("held "), check


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
