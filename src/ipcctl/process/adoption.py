"""The orphans of a run as rows: who they were, whose they had been, how they ended."""

from __future__ import annotations

import os
import time
from typing import Any

from ..report.model import Column
from .descendant import Descendant
from .procfs import TICKS
from .subreaper import Subreaper
from .wait_status import decode

ORPHAN_COLUMNS = (
    Column("pid", "integer", "the process whose parent ended before it"),
    Column("name", "text", "the kernel's name for it"),
    Column("command", "list", "its arguments; unknown where it had ended before they were read"),
    Column("chain", "text", "its parents as they were, from the command down; ? where one was gone before it was seen"),
    Column("parent_pid", "integer", "the parent that ended"),
    Column("parent_name", "text", "the kernel's name for that parent"),
    Column("parent_command", "list", "that parent's arguments", shown=False),
    Column("adopter_pid", "integer", "who became its parent: ipcctl, or a subreaper further down"),
    Column("age_s", "real", "from its start until it ended, or until now"),
    Column("cpu_s", "real", "processor time; once it has ended, its waited-for children's included"),
    Column("own_session", "boolean", "whether it is in another session than the command's"),
    Column("ended", "text", "exited with …, ended by …, or still running"),
    Column("exit_code", "integer", "what it gave to exit; unknown when a signal ended it, or it runs"),
    Column("signal", "text", "the signal that ended it"),
    Column("running", "boolean", "whether it is left running"),
    Column("parents", "object", "in JSON: the chain, the nearest first, each with pid, name and command; null unknown"),
)  # fmt: skip


def orphan_rows(run: Subreaper) -> list[dict[str, Any]]:
    """A row for each descendant that outlived its parent, in the order in which they became orphans."""
    session = os.getsid(0)
    return [orphan_row(each, run.watch.root, session) for each in run.orphans]


def orphan_row(found: Descendant, root: Descendant | None, session: int) -> dict[str, Any]:
    """One row of ORPHAN_COLUMNS."""
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
