"""The orphans of a run as rows: who they were, whose they had been, how they ended."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from ...process.procfs import TICKS
from ...process.wait_status import decode

if TYPE_CHECKING:
    from ...process.descendant import Descendant
    from ...process.subreaper import Subreaper


def orphan_rows(run: Subreaper) -> list[dict[str, Any]]:
    """A row for each descendant that outlived its parent, in the order in which they became orphans."""
    session = os.getsid(0)
    return [orphan_row(each, run.watch.root, session) for each in run.orphans]


def orphan_row(found: Descendant, root: Descendant | None, session: int) -> dict[str, Any]:
    """One row of the report."""
    runs = found.exited is None and found.look()
    exit_code, signal_name, _ = (None, None, False) if found.wait_status is None else decode(found.wait_status)
    chain = parents_of(found, root)
    parent = chain[0]
    return {
        "pid": found.pid, "name": found.name, "command": found.argv,
        "chain": " ─ ".join(f"{each.name}({each.pid})" if each else "?" for each in reversed(chain)),
        "parent_pid": parent and parent.pid, "parent_name": parent and parent.name,
        "parent_command": parent and parent.argv, "adopter_pid": found.adopter,
        "age_s": age_s(found), "cpu_s": cpu_s(found), "own_session": found.stat.session != session,
        "ended": how_it_ended(runs, exit_code, signal_name), "exit_code": exit_code, "signal": signal_name,
        "running": runs,
        "parents": [each and {"pid": each.pid, "name": each.name, "command": each.argv} for each in chain],
    }  # fmt: skip


def parents_of(found: Descendant, root: Descendant | None) -> list[Descendant | None]:
    """The chain of parents up to the command, the nearest first, with None where some are unknown."""
    known: list[Descendant | None] = [*found.ancestors()]
    return known if known and known[-1] is root else [*known, None, root]


def age_s(found: Descendant) -> float:
    """From its start until it ended or until now; the kernel keeps the start in hundredths of a second."""
    since_end = 0.0 if found.exited is None else time.monotonic() - found.exited
    return max(round(found.stat.age_s - since_end, 2), 0.0)


def cpu_s(found: Descendant) -> float:
    """By wait4(2) where this process waited for it, else as /proc had it last."""
    if found.usage is not None:
        return round(found.usage.ru_utime + found.usage.ru_stime, 6)
    return round((found.stat.user_ticks + found.stat.system_ticks) / TICKS, 2)


def how_it_ended(runs: bool, exit_code: int | None, signal_name: str | None) -> str:
    """In words."""
    if runs:
        return "still running"
    if signal_name:
        return f"ended by {signal_name}"
    return "ended; another collected the status" if exit_code is None else f"exited with {exit_code}"


def note_orphans(run: Subreaper) -> None:
    """Add to the run's events how each came to be an orphan, and its end."""
    for each, row in zip(run.orphans, orphan_rows(run), strict=True):
        run.note(each, each.met, "seen")
        if each.orphaned is not None:
            run.note(each, each.orphaned, "orphaned", f"adopted by {each.adopter}")
        if each.exited is not None:
            run.note(each, each.exited, "end", row["ended"])
