"""The zombies of a run as rows: who was not waited for, for how long, and by whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...process.descendant import Descendant
    from ...process.subreaper import Subreaper

BY_PARENT = "reaped by its parent"
ADOPTED = "adopted and reaped"
STILL_THERE = "still there when the command ended"


def zombie_rows(run: Subreaper) -> list[dict[str, Any]]:
    """A row for each descendant that was a zombie for longer than the run's `longer_than_s`, the first seen first."""
    return sorted((zombie_row(run, *each) for each in run.zombies), key=lambda row: row["first_seen_s"])


def zombie_row(run: Subreaper, found: Descendant, until: float) -> dict[str, Any]:
    """One row of the report."""
    assert found.exited is not None
    parent = found.holder or found.parent
    return {
        "pid": found.pid, "name": found.name, "command": found.argv,
        "parent_pid": parent and parent.pid, "parent_name": parent and parent.name,
        "parent_command": parent and parent.argv,
        "first_seen_s": round(run.since_begin_ms(found.exited) / 1000, 6), "lasted_s": round(until - found.exited, 6),
        "ended": how_it_ended(found, until),
    }  # fmt: skip


def how_it_ended(found: Descendant, until: float) -> str:
    """In words."""
    if found.gone != until:
        return STILL_THERE
    return BY_PARENT if found.wait_status is None else ADOPTED


def note_zombies(run: Subreaper) -> None:
    """Add to the run's events when each became a zombie, and when and how it went."""
    for found, until in run.zombies:
        run.note(found, found.met, "seen")
        run.note(found, found.exited or found.met, "zombie")
        run.note(found, until, "until", how_it_ended(found, until))
