"""A tree drawn in lines, as pstree(1) draws it: the first child beside its parent, the others below the first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

Node = TypeVar("Node")


def drawn(
    roots: Iterable[Node], children: Callable[[Node], Sequence[Node]], label: Callable[[Node], str]
) -> Iterator[str]:
    """The lines. It keeps a stack of its own: a chain of processes may be longer than Python's recursion goes."""
    line = ""
    waiting = [(root, "", "", True) for root in reversed(list(roots))]
    while waiting:
        node, indent, joint, starts_line = waiting.pop()
        if starts_line and line:
            yield line
            line = ""
        line += joint + label(node)
        below = children(node)
        margin = indent + " " * (len(label(node)) + 1)
        for i, child in reversed(list(enumerate(below))):
            first, last = i == 0, i == len(below) - 1
            branch = ("───" if last else "─┬─") if first else margin + ("└─" if last else "├─")
            waiting.append((child, margin + ("  " if last else "│ "), branch, not first))
    if line:
        yield line


def in_order(roots: Iterable[Node], children: Callable[[Node], Sequence[Node]]) -> Iterator[tuple[Node, int]]:
    """Every node with its depth, parents before their children."""
    waiting = [(root, 0) for root in reversed(list(roots))]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        waiting += [(child, depth + 1) for child in reversed(children(node))]

