"""`ipcctl ps --tree`: who descends from whom, drawn, nested, or a row each."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from ...report.model import Report, Row
from ...report.output import Output
from .columns import DRAWING


def tree_rows(rows: list[Row], output: Output) -> Iterable[Row]:
    """The tree of these processes: drawn, nested in JSON, and elsewhere a row each, parents before their children."""
    from ...report.tree import drawn, in_order

    by_pid = {row["pid"]: row for row in rows}
    families: dict[int, list[Row]] = {}
    roots: list[Row] = []
    for row in rows:
        parent = by_pid.get(row["ppid"])
        # One that is younger than its child got its number after the child's record was read, and is not its parent.
        is_below = parent is not None and parent is not row and parent["started"] <= row["started"]
        (families.setdefault(row["ppid"], []) if is_below else roots).append(row)

    def children(row: Row) -> list[Row]:
        return families.get(row["pid"], [])

    if output.columns is DRAWING:
        width = output.sink.width
        lines = drawn(roots, children, lambda row: process_label(row, width), width)
        return ({"tree": line} for line in lines)
    flat = [{**row, "depth": depth} for row, depth in in_order(roots, children)]
    return nested(flat, output) if output.format in ("json", "jsonl") else flat


def process_label(row: Row, width: int | None) -> str:
    """Return `name(PID)`; the name is cut where both would not fit, with a mark before them."""
    from ...report.terminal import cut, visible_line

    name, pid = visible_line(row["name"]), f"({row['pid']})"
    return (name if width is None else cut(name, width - len(pid) - 1)) + pid


def nested(flat: list[Row], output: Output) -> list[Row]:
    """The roots, each with its children in it, theirs in them, made as JSON shows them."""
    from ...report.formats import chosen

    choose = chosen(output.chosen(Report("ps", output.columns)))
    below: dict[int, list[Row]] = {}
    roots = []
    for row in reversed(flat):  # children before their parents
        row["children"] = below.pop(row["pid"], [])[::-1]
        if row["depth"] == 0:
            roots.append(row)
        else:
            below.setdefault(row["ppid"], []).append(choose(row))
    allow_depth(max((row["depth"] for row in flat), default=0))
    return roots[::-1]


def allow_depth(depth: int) -> None:
    """Let JSON nest so deep: the encoder takes a level of recursion for the object and one for the list."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 3 * depth + 1000))
