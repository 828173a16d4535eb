"""The zombies of a run as rows: who was not waited for, for how long, and by whom."""

from __future__ import annotations

from typing import Any

from ..report.model import Column
from .descendant import Descendant
from .subreaper import Subreaper

BY_PARENT = "reaped by its parent"
ADOPTED = "adopted and reaped"
STILL_THERE = "still there when the command ended"

ZOMBIE_COLUMNS = (
    Column("pid", "integer", "the process that had exited and was not waited for"),
    Column("name", "text", "the kernel's name for it"),
    Column("command", "list", "its arguments while it ran; unknown where it had exited before they were read"),
    Column("parent_pid", "integer", "the parent that did not wait"),
    Column("parent_name", "text", "the kernel's name for that parent"),
    Column("parent_command", "list", "that parent's arguments"),
    Column("first_seen_s", "real", "when it was first seen to be a zombie, from the start of the command"),
    Column("lasted_s", "real", "for how long it was one, until it went or the command ended"),
    Column("ended", "text", f"{BY_PARENT}, {ADOPTED} (its parent ended), or {STILL_THERE}"),
)


def zombie_rows(run: Subreaper) -> list[dict[str, Any]]:
    """A row for each descendant that was a zombie for longer than the run's `longer_than_s`, the first seen first."""
    return sorted((zombie_row(run, *each) for each in run.zombies), key=lambda row: row["first_seen_s"])


def zombie_row(run: Subreaper, found: Descendant, until: float) -> dict[str, Any]:
    """One row of ZOMBIE_COLUMNS."""
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
