"""`ipcctl shm`: every statement holds on this kernel, and is found not to when what it speaks of is broken."""

from __future__ import annotations

from typing import Any

import pytest
from mutants import run_alone, run_broken
from support import ROOT, ipcctl, report_of

IDS = [
    "shm.child-write-visible",
    "shm.private-is-not",
    "shm.overwrites",
    "shm.lost-updates",
    "shm.lock-keeps-all",
    "shm.array-from-list",
    "shm.array-from-size",
    "shm.array-from-bytes",
    "shm.array-iterates",
    "shm.faster-than-pipe",
]
SOURCE = (ROOT / "src/ipcctl/demos/shm.py").read_text("utf-8")

# What the statement of each check speaks of, broken in one place: (id, the code, what stands there instead).
MUTATIONS = [
    (
        "child-write-visible",
        'number, numbers = Value("i", 0), Array("i", 3)',
        "number, numbers = ctypes.c_int(0), (ctypes.c_int * 3)(); number.get_obj = lambda: number",
    ),
    ("child-write-visible", "numbers[:] = [1, 2, 3]", "pass"),
    (
        "private-is-not",
        "number, numbers = ctypes.c_int(0), (ctypes.c_int * 3)()",
        'number, numbers = context.RawValue("i"), context.RawArray("i", 3)',
    ),
    ("overwrites", "    channel.send(number.value)\n    number.value = value", "    channel.send(number.value)"),
    ("overwrites", "number.value = value", "number.value += value"),
    (
        "lock-keeps-all",
        "        with balance.get_lock():\n            balance.value += amount",
        "        seen = balance.value\n        os.sched_yield()\n        balance.value = seen + amount",
    ),
    ("array-from-list", 'Array("i", [1, 2, 3]), stage.channel()', 'Array("i", [1, 2, 4]), stage.channel()'),
    ("array-from-list", "array[:] = [2 * each for each in array]", "list(array)[:] = [2 * each for each in array]"),
    ("array-from-size", 'Array("d", 5), stage.channel()', 'Array("d", 4), stage.channel()'),
    ("array-from-bytes", "array[0] = array[0].upper()", "array[1] = array[1].upper()"),
    ("array-iterates", "total += each", "total = each"),
    ("faster-than-pipe", "        memory[:] = data\n        given", "        memory[:-1] = data[1:]\n        given"),
    ("faster-than-pipe", "min(by_pipe) / min(by_memory)", "min(by_memory) / min(by_pipe)"),
]


@pytest.fixture(scope="module")
def report() -> Any:
    """One run, with everything in it."""
    done = ipcctl("shm", "-f", "json")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return report_of(done)


def test_every_check_is_there_and_holds(report: Any) -> None:
    assert [(each["id"], each["status"]) for each in report["checks"]] == [(id, "held") for id in IDS]


def test_rows_are_the_experiments(report: Any) -> None:
    """What was expected and found, with the lock and without, and how many updates were lost."""
    rows = report["rows"]
    assert [each for each in IDS if each not in {row["check"] for row in rows}] == []
    locked = [row for row in rows if row["check"] == "shm.lock-keeps-all"]
    found = [(row["expected"], row["found"], row["lost"]) for row in locked]
    assert found == [("200", "200", 0), ("40000", "40000", 0)]
    bank, counter = [row for row in rows if row["check"] == "shm.lost-updates"][:2]
    assert (bank["updates"], bank["expected"], bank["experiment"][:4]) == (40000, "200", "bank")
    assert int(counter["found"]) + counter["lost"] == counter["updates"] == 40000


def test_the_number_of_updates(report: Any) -> None:
    """With few, the two hardly ever meet by chance: then one is made to wait between its steps."""
    found = report_of(ipcctl("shm", "--updates", "1", "-f", "json"))
    assert {each["status"] for each in found["checks"]} == {"held"}
    assert {row["updates"] for row in found["rows"]} == {None, 2}
    assert " of 2 lost" in found["checks"][3]["observed"]


def test_source_is_the_demonstration_itself() -> None:
    assert ipcctl("shm", "--source").stdout == SOURCE


@pytest.mark.parametrize(("check", "old", "new"), MUTATIONS)
def test_a_check_fails_when_what_it_speaks_of_is_broken(check: str, old: str, new: str) -> None:
    assert SOURCE.count(old) == 1, "the code to break is not there exactly once"
    found = run_broken(f"shm.{check}", SOURCE.replace(old, new))
    assert found.startswith("failed "), found


def test_updates_are_not_lost_when_each_is_one_step() -> None:
    """By chance, or with one made to wait: both ways are broken here."""
    source = SOURCE.replace("two_at_once(stage, add, opening", "two_at_once(stage, add_with_lock, opening")
    source = source.replace("balance.value = seen + 1", "balance.value += 1")
    assert run_alone("shm.lost-updates", source, updates=100).startswith("failed 0 of 2 lost")


def test_without_locks_it_is_skipped_with_the_reason() -> None:
    broken = SOURCE.replace("            return make(*args, **given)", '            raise OSError(38, "no")')
    for check in ("shm.overwrites", "shm.array-from-list"):
        found = run_alone(check, broken)
        assert found.startswith("skipped "), found
        assert "it needs /dev/shm" in found


def test_every_check_has_a_mutation() -> None:
    assert {f"shm.{check}" for check, _, _ in MUTATIONS} | {"shm.lost-updates"} == set(IDS)


@pytest.mark.parametrize("check", IDS)
def test_a_check_stands_alone(check: str) -> None:
    assert run_alone(check, SOURCE).startswith("held "), check
