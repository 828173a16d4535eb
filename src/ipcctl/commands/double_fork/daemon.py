"""What is reported of a daemon: by its start, and whenever it is asked after."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...report.model import Column, Report

if TYPE_CHECKING:
    from ...process.daemon.pidfile import Holder
    from ...process.procfs import Stat
    from ...report.output import Output

DAEMON_COLUMNS = (
    Column("state", "text", "running, ended (the exit status says more), not running, stopped"),
    Column("pid", "integer", "the daemon"),
    Column("ppid", "integer", "its parent: the adopter that it fell to"),
    Column("adopter", "text", "the adopter's name"),
    Column("pgid", "integer", "its process group"),
    Column("sid", "integer", "its session; its leader is gone, so the daemon cannot acquire a terminal"),
    Column("uid", "integer", "the user that it runs as"),
    Column("started", "time", "when it was started"),
    Column("elapsed_s", "real", "how long it has been running"),
    Column("argv", "list", "the command, as the kernel has it; where that has ended, as it was given"),
    Column("pidfile", "text", "the pidfile, from the root"),
)


def facts_of(stat: Stat | None, adopted: bool = True) -> dict[str, Any]:
    """What /proc says of a daemon; its parent only where that is the one it keeps when we are gone."""
    from ...process.procfs import NEVER_READ, argv_of, owner_of, started_at, stat_of

    if stat is None:
        return {}
    if stat.start_ticks == NEVER_READ:
        return {"pid": stat.pid, "pgid": stat.pgrp, "sid": stat.session}
    parent = stat_of(stat.ppid) if adopted and stat.ppid != os.getpid() else None
    return {
        "pid": stat.pid,
        "ppid": parent.pid if parent else None,
        "adopter": parent.name if parent else None,
        "pgid": stat.pgrp,
        "sid": stat.session,
        "uid": owner_of(stat.pid),
        "started": round(started_at(stat), 3),
        "elapsed_s": round(stat.age_s, 3),
        "argv": argv_of(stat.pid),
    }


def row_of_holder(holder: Holder | None, pidfile: str) -> dict[str, Any]:
    """The daemon of a pidfile."""
    row = {"state": "not running" if holder is None else "running", "pidfile": rooted(pidfile)}
    return row if holder is None else {**row, "pid": holder.pid or None, **facts_of(holder.stat)}


def rooted(path: str | None) -> str | None:
    """The path from the root, so that it can be found from anywhere."""
    try:
        return None if path is None else os.path.abspath(path)
    except FileNotFoundError:  # the working directory was removed
        return path


def say_refusal(output: Output, left: Sequence[Stat]) -> None:
    """Tell of what was left running, as it may not be signalled."""
    if left:
        from ...process.terminate import refusal

        output.say(f"ipcctl double-fork: {refusal(left)}")


def write(output: Output, row: dict[str, Any]) -> None:
    """Write the one row; the summary is the same, as a shell evaluates it."""
    summary = {each.name: row.get(each.name) for each in output.columns if each.name not in ("argv", "started")}
    output.write(Report("double-fork", output.columns, row["state"] != "not running", summary, [row]))
