"""How a table is laid out on a terminal: no line is wider than it, and no two rows look alike that are not.

What does not fit is narrowed: first the headers, broken at their underscores; then texts. A text that may be of any
length is cut, any other is wrapped, and numbers are neither. Rows that differ and would look alike are folded, with all
that is in them. If that does not suffice, a row goes on on a further, indented line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .model import Column
from .terminal import GAP, cut, display_width, fold, is_narrow, wrap

INDENT = 4  # of the lines on which a row goes on
MOST_LINES = 3  # that a row's columns are spread over; of more, a record is easier to read
LEAST = 8  # columns that a text keeps
LEAST_PROSE = 20  # and a long one that is wrapped
LEAST_TIME = 10  # the date, above the time of day
OPEN_ENDED = ("command", "input", "message", "value", "stdout", "stderr", "cwd", "exe", "tree")

Cells = list[list[str]]


def is_cut(column: Column) -> bool:
    """Return whether the column's texts may be of any length, and so are cut rather than wrapped."""
    return column.kind == "list" or column.name in OPEN_ENDED


class Band:
    """The columns that stand on one line of each row: their numbers, and the width of each."""

    def __init__(self, members: Sequence[int], widths: Sequence[int]) -> None:
        self.members = members
        self.widths = widths


class Table:
    """Headers and cells, to be laid out in `width` columns; without `labels` there is no header."""

    def __init__(self, columns: Sequence[Column], labels: Sequence[str], cells: Cells, width: int) -> None:
        self.columns = columns
        self.labels = labels
        self.cells = cells
        self.width = width

    def bands(self) -> list[Band]:
        """Return the columns of each line of a row; of none, if they would be too many."""
        data = data_widths(self.cells, len(self.columns))
        heads = [max(map(len, pieces(label))) for label in self.labels] or [0] * len(data)
        whole = [max(pair) for pair in zip(data, map(len, self.labels or [""] * len(data)), strict=True)]
        if taken(whole) <= self.width:
            return [Band(range(len(data)), whole)]
        natural = [max(pair) for pair in zip(data, heads, strict=True)]
        least = [max(pair) for pair in zip(map(least_width, self.columns, data), heads, strict=True)]
        lines = spread(least, self.width)
        if len(lines) > MOST_LINES or max(least) > self.width - INDENT * (len(lines) > 1):
            return []
        return [self._band(line, natural, least, self.width - INDENT * (i > 0)) for i, line in enumerate(lines)]

    def _band(self, members: Sequence[int], natural: Sequence[int], least: Sequence[int], room: int) -> Band:
        """Return the columns of a line, narrowed to fit into `room`: first those that are cut, then the others."""
        widths = {i: min(natural[i], room) for i in members}
        narrow(widths, [i for i in members if is_cut(self.columns[i])], least, room)
        narrow(widths, members, least, room)
        return Band(members, list(widths.values()))

    def headers(self, bands: Iterable[Band]) -> list[list[str]]:
        """Return the header cells of each line, broken to fit, all of a height; of none, where there is no header."""
        if not self.labels:
            return [[] for _ in bands]
        found = [[fold(self.labels[i], width) for i, width in zip(band.members, band.widths, strict=True)]
                 for band in bands]  # fmt: skip
        for cells in found:
            height = max(map(len, cells))
            cells[:] = [[""] * (height - len(lines)) + lines for lines in cells]
        return [["\n".join(lines) for lines in cells] for cells in found]

    def fitted(self, widths: Sequence[int]) -> Cells:
        """Return the cells in these widths: shortened where no other row comes to look the same, else folded."""
        return distinct(self.cells, [shortened(self.columns, line, widths) for line in self.cells], widths)


def distinct(cells: Cells, shown: Cells, widths: Sequence[int]) -> Cells:
    """Return what is shown, but for rows that differ and look alike: those are folded."""
    if shown == cells:
        return shown
    alike: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for line, short in zip(cells, shown, strict=True):
        alike.setdefault(tuple(short), set()).add(tuple(line))
    return [
        short if len(alike[tuple(short)]) == 1 else ["\n".join(fold(*each)) for each in zip(line, widths, strict=True)]
        for line, short in zip(cells, shown, strict=True)
    ]


def shortened(columns: Sequence[Column], line: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Return a row with its texts cut or wrapped to these widths."""
    return [
        cell if len(cell) <= width and cell.isascii() else shorter(column, cell, width)
        for column, cell, width in zip(columns, line, widths, strict=True)
    ]


def shorter(column: Column, cell: str, width: int) -> str:
    """Return a cell that fits `width` columns, in lines if it is not to be cut."""
    if display_width(cell) <= width:
        return cell
    if is_cut(column):
        return cut(cell, width)
    return "\n".join(wrap(cell, width) if column.kind == "text" else fold(cell, width))


def data_widths(cells: Cells, count: int) -> list[int]:
    """Return the width of each column's widest cell."""
    if not cells:
        return [0] * count
    return [max(map(len if all(map(is_narrow, each)) else display_width, each)) for each in zip(*cells, strict=True)]


def least_width(column: Column, data: int) -> int:
    """Return how narrow a column may become, of which the widest cell takes `data` columns."""
    if is_cut(column):
        least = LEAST
    elif column.kind == "text":
        least = max(LEAST, min(LEAST_PROSE, data // 4))
    else:
        least = LEAST_TIME if column.kind == "time" else data
    return min(data, least)


def pieces(label: str) -> list[str]:
    """Return the parts that a header may be broken into: `parent_`, `before_`, `pid`."""
    found = label.split("_")
    return [part + "_" for part in found[:-1]] + found[-1:]


def taken(widths: Sequence[int]) -> int:
    """Return how many columns of the terminal columns of these widths take."""
    return sum(widths) + GAP * (len(widths) - 1)


def spread(least: Sequence[int], width: int) -> list[list[int]]:
    """Return which columns go on which line of a row: on each as many as fit."""
    lines: list[list[int]] = [[]]
    for i in range(len(least)):
        room = width - INDENT * (len(lines) > 1)
        if lines[-1] and taken([least[each] for each in [*lines[-1], i]]) > room:
            lines.append([])
        lines[-1].append(i)
    return lines


def narrow(widths: dict[int, int], these: Sequence[int], least: Sequence[int], room: int) -> None:
    """Take from the widest of these columns, one by one, until all fit, or these are as narrow as may be."""
    spare = taken(list(widths.values())) - room
    while spare > 0 and (left := [i for i in these if widths[i] > least[i]]):
        widths[max(left, key=lambda i: widths[i])] -= 1
        spare -= 1


def interleaved(bands: Sequence[Sequence[str]], heights: Sequence[Sequence[int]]) -> Iterator[str]:
    """Yield the lines of tables that make up one: a row of the first, then that of the next, indented, and so on."""
    ends = [0] * len(bands)
    for row in zip(*heights, strict=True):
        for i, height in enumerate(row):
            begin, ends[i] = ends[i], ends[i] + height
            yield from (" " * (INDENT * (i > 0)) + line for line in bands[i][begin : ends[i]])


def height(cells: Sequence[str]) -> int:
    """Return how many lines a row of cells takes."""
    return 1 + max(cell.count("\n") for cell in cells)
