"""A tree drawn in lines, as pstree(1) draws it: the first child beside its parent, the others below the first.

Where that would be wider than the terminal, all children of a node are below it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from .terminal import MARK, display_width

Node = TypeVar("Node")


def drawn(
    roots: Sequence[Node],
    children: Callable[[Node], Sequence[Node]],
    label: Callable[[Node], str],
    width: int | None = None,
) -> Iterator[str]:
    """Yield the lines, of at most `width` columns; a label that leaves no room for its indentation keeps its end.

    It keeps a stack of its own: a chain of processes may be longer than Python's recursion goes.
    """
    spans = {} if width is None else widths_beside(roots, children, label)
    line = ""
    waiting = [(root, "", "", True) for root in reversed(roots)]
    while waiting:
        node, indent, joint, starts_line = waiting.pop()
        if starts_line and line:
            yield fitting(line, width)
            line = ""
        line += joint + label(node)
        below = children(node)
        beside = width is None or len(indent) + spans[id(node)] <= width
        margin = indent + " " * (display_width(label(node)) + 1) if beside else indent
        for i, child in reversed(list(enumerate(below))):
            first, last = beside and i == 0, i == len(below) - 1
            branch = ("───" if last else "─┬─") if first else margin + ("└─" if last else "├─")
            waiting.append((child, margin + ("  " if last else "│ "), branch, not first))
    if line:
        yield fitting(line, width)


def widths_beside(
    roots: Sequence[Node], children: Callable[[Node], Sequence[Node]], label: Callable[[Node], str]
) -> dict[int, int]:
    """Return, by the node's id(), how many columns it takes with all its descendants to its right."""
    spans: dict[int, int] = {}
    for node, _ in reversed(list(in_order(roots, children))):
        widest = max((spans[id(child)] for child in children(node)), default=-3)
        spans[id(node)] = display_width(label(node)) + 3 + widest
    return spans


def fitting(line: str, width: int | None) -> str:
    """Return the line without as much of its beginning, which is indentation, as does not fit."""
    spare = 0 if width is None else display_width(line) - width
    return MARK + line[spare + 1 :] if spare > 0 else line


def in_order(roots: Iterable[Node], children: Callable[[Node], Sequence[Node]]) -> Iterator[tuple[Node, int]]:
    """Every node with its depth, parents before their children."""
    waiting = [(root, 0) for root in reversed(list(roots))]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        waiting += [(child, depth + 1) for child in reversed(children(node))]

