"""`ipcctl ps --zombies`: zombies by the parent that does not wait for them."""

from __future__ import annotations

from ...process.listing import Lister, Row, sigchld_disposition, stats


def parent_row(ppid: int, zombies: list[Row], lister: Lister) -> Row:
    """A parent and its zombies."""
    ages = [each["elapsed_s"] for each in zombies]
    parent = next(lister.rows(stats([ppid])), {})
    return {
        **{name: parent.get(name) for name in ("user", "stat", "command")},
        "ppid": ppid,
        "sigchld": sigchld_disposition(ppid),
        "zombies": len(zombies),
        "oldest_s": max(ages),
        "newest_s": min(ages),
        "pids": [each["pid"] for each in zombies],
        "names": [each["name"] for each in zombies],
        "ages_s": ages,
        "at": lister.at,
    }
