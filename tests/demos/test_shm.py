"""`ipcctl shm`: its rows and events, its options, its end; what holds of every concept is a contract."""

from __future__ import annotations

from typing import Any

from mutants import subject_of
from mutations.shm import IDS
from support import ipcctl, report_of


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


def test_updates_are_not_lost_when_each_is_one_step() -> None:
    """By chance, or with one made to wait: both ways are broken here."""
    shm = subject_of("shm")
    source = shm.source.replace("two_at_once(stage, add, opening", "two_at_once(stage, add_with_lock, opening")
    source = source.replace("balance.value = seen + 1", "balance.value += 1")
    assert shm.run_alone("lost-updates", source, updates=100).startswith("failed 0 of 2 lost")


def test_without_locks_it_is_skipped_with_the_reason() -> None:
    shm = subject_of("shm")
    broken = shm.broken("            return make(*args, **given)", '            raise OSError(38, "no")')
    for check in ("overwrites", "array-from-list"):
        found = shm.run_alone(check, broken)
        assert found.startswith("skipped "), found
        assert "it needs /dev/shm" in found


