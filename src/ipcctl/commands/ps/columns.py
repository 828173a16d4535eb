"""The columns of a list of processes, and of each other view of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...report.model import Column

AT = Column("at", "time", "when the system was looked at", shown=False)
COLUMNS = (
    Column("pid", "integer", "the process"),
    Column("ppid", "integer", "its parent"),
    Column("user", "text", "its effective user; the number where that has no name"),
    Column("stat", "text", "its state and marks, as ps prints them"),
    Column("state", "text", "its state in words", in_table=False),
    Column("meaning", "text", "stat in words", shown=False),
    Column("nice", "integer", "its niceness: -20 is served first, 19 last", in_table=False),
    Column("threads", "integer", "its threads", in_table=False),
    Column("rss_kib", "integer", "its memory that is resident, shared pages as well"),
    Column("cpu_percent", "real", "its processor time as a share of its life; over 100 with several threads"),
    Column("memory_percent", "real", "its resident memory as a share of the machine's", in_table=False),
    Column("tty", "text", "its controlling terminal"),
    Column("started", "time", "when it was started", in_table=False),
    Column("elapsed_s", "real", "how long ago it was started"),
    Column("time_s", "real", "its processor time, its own and the kernel's for it"),
    Column("pgid", "integer", "its process group", in_table=False),
    Column("sid", "integer", "its session", in_table=False),
    Column("name", "text", "its name: at most 15 bytes, which it may change", in_table=False),
    Column("command", "text", "its arguments; [name] where it has none"),
    AT,
    Column("uss_kib", "integer", "memory that nobody else shares: what its end would free", shown=False),
    Column("pss_kib", "integer", "memory, each shared page divided by those who share it", shown=False),
    Column("fds", "integer", "its open file descriptors", shown=False),
    Column("io_read_bytes", "integer", "what it made storage read", shown=False),
    Column("io_written_bytes", "integer", "what it made storage write", shown=False),
    Column("cwd", "text", "its working directory", shown=False),
    Column("exe", "text", "its program's file", shown=False),
)
IN_WORDS = ("pid", "stat", "meaning", "command")
EXPLAINED = tuple(each.but(each.shown or each.name in IN_WORDS, each.name in IN_WORDS) for each in COLUMNS)
TREE = (
    *COLUMNS,
    Column("depth", "integer", "how many of those listed are above it"),
    Column("children", "object", "in JSON: the processes below it, each with its own"),
)
DRAWING = (Column("tree", "text", "name(PID), and to the right of it its children"),)
ZOMBIES = (
    Column("ppid", "integer", "the parent that has not waited"),
    Column("user", "text", "the parent's effective user"),
    Column("stat", "text", "the parent's state and marks"),
    Column("sigchld", "text", "what the parent does about SIGCHLD: caught, blocked, ignored or default"),
    Column("zombies", "integer", "how many zombies it has"),
    Column("oldest_s", "real", "how long ago the oldest was started; when it exited the kernel does not keep"),
    Column("newest_s", "real", "how long ago the newest was started"),
    Column("pids", "list", "the zombies", in_table=False),
    Column("names", "list", "their names", in_table=False),
    Column("ages_s", "list", "how long ago each was started", in_table=False),
    Column("command", "text", "the parent's arguments"),
    AT,
)
WATCHED = tuple(each.but(shown=True, in_table=False) if each is AT else each for each in COLUMNS)
TABLES = {
    "the list": COLUMNS,
    "--explain": EXPLAINED,
    "--watch": WATCHED,
    "--tree": TREE,
    "--tree, drawn": DRAWING,
    "--zombies": ZOMBIES,
}


def view(given: dict[str, Any]) -> Sequence[Column]:
    """The columns of the view that the options ask for."""
    if given["zombies"]:
        return ZOMBIES
    if given["tree"]:
        return DRAWING if given["format"] == "table" and given["columns"] is None else TREE
    return EXPLAINED if given["explain"] else WATCHED if given["watch"] else COLUMNS
