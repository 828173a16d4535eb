"""The format for reading: sections with titles, values rounded, fitted to the terminal, cut nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .model import CHECK_COLUMNS, Check, Column, Report, Row, tally
from .sink import Sink
from .terminal import GAP, fold, is_narrow, padded, visible_line, wrap
from .values import duration, humane

if TYPE_CHECKING:
    from .layout import Cells

RECORD_FROM = 8  # a single row with as many columns is written as a record: one field a line
LEAST_VALUE = 8  # columns that a record's value gets beside its name; with fewer, it goes on below
TOTALS = ("held", "failed", "skipped", "wall_s")  # what the line of totals says of the summary
COLOURS = {"held": "32", "failed": "31", "skipped": "33"}


class Page:
    """Writes the sections of one report, in order, to a sink."""

    def __init__(self, sink: Sink, colour: bool, header: bool, height: int | None = None) -> None:
        """`height` is how many lines may be written, of any number."""
        self.sink = sink
        self.colour = colour
        self.header = header
        self.width = sink.width
        self._left = height
        self._started = False

    def put(self, line: str, code: str = "") -> None:
        """Write a line, if there is room for it: in a colour (ECMA-48 SGR), where colours are wanted."""
        if self._left == 0:
            return
        self._left = self._left and self._left - 1
        self.sink.write(f"\x1b[{code}m{line}\x1b[0m\n" if self.colour and code else line + "\n")

    def text(self, text: str, code: str = "") -> None:
        """Write a sentence, in as many lines as it takes."""
        text = visible_line(text)
        for line in wrap(text, self.width) if self.width else [text]:
            self.put(line, code)

    def title(self, text: str) -> None:
        """Write a section's title, with a blank line before all but the first."""
        if not self.header:
            return
        if self._started:
            self.put("")
        self._started = True
        self.text(text, "1")

    def line(self, text: str) -> None:
        """Write one line below a section, set off by a blank one."""
        if self.header:
            self.put("")
        self.text(text)

    def rows(self, columns: Sequence[Column], rows: Iterable[Row]) -> None:
        """Write a table; a record where there is but one row of many columns; a word where there is none."""
        listed = list(rows)
        if not listed or not columns:
            if self.header:
                self.put("  none")
            return
        if len(listed) == 1 and len(columns) >= RECORD_FROM:
            self.record(columns, listed[0])
            return
        turns = [(each.name, humane(each)) for each in columns]
        self.grid(columns, [[turn(row.get(name)) for name, turn in turns] for row in listed])

    def record(self, columns: Sequence[Column], row: Row) -> None:
        """Write one field a line: name, value. What is unknown is left out."""
        known = [each for each in columns if row.get(each.name) is not None]
        self.records(known, [[humane(each)(row[each.name]) for each in known]])

    def records(self, columns: Sequence[Column], cells: Cells) -> None:
        """Write each row as a record, with a blank line between them."""
        indent = max((len(each.label) for each in columns), default=0)
        shown = cells
        if self.width:
            from . import layout

            widths = [max(self.width - indent - 4, LEAST_VALUE)] * len(columns)
            short = [layout.shortened(columns, line, widths) for line in cells]
            shown = layout.distinct(cells, short, widths)
        for i, line in enumerate(shown):
            if i:
                self.put("")
            for column, value in zip(columns, line, strict=True):
                self._field(column.label, value, indent)

    def _field(self, label: str, value: str, indent: int) -> None:
        """Write a field, the lines of its value one below the other."""
        if self.width and self.width - indent - 4 < LEAST_VALUE:
            lines = fold(f"{label}  " + value.replace("\n", " "), self.width)
        else:
            names = [label] + [""] * value.count("\n")
            lines = [f"  {name:<{indent}}  {part}" for name, part in zip(names, value.split("\n"), strict=True)]
        for line in lines:
            self.put(line)

    def checks(self, checks: Sequence[Check]) -> None:
        """Write the checks: status, id, statement, and what was seen."""
        cells = [[each.status, each.id, visible_line(each.statement), visible_line(seen(each))] for each in checks]
        self.grid([CHECK_COLUMNS[1], CHECK_COLUMNS[0], CHECK_COLUMNS[2], CHECK_COLUMNS[4]], cells)

    def grid(self, columns: Sequence[Column], cells: Cells) -> None:
        """Lay cells out in columns; on a terminal, so that they fit it."""
        labels = [each.label for each in columns] if self.header else []
        lines = self._fitted(columns, labels, cells) if self.width else tabulated(columns, labels, cells)
        by_status = columns[0].name == "status"
        for line in lines:
            self.put(line.rstrip(), COLOURS.get(line.split(" ", 1)[0], "") if by_status else "")

    def _fitted(self, columns: Sequence[Column], labels: Sequence[str], cells: Cells) -> Iterable[str]:
        """Return the lines of a table that fits the terminal; of none where it was written as records."""
        from . import layout

        table = layout.Table(columns, labels, cells, self.width or 0)
        bands = table.bands()
        if not bands:
            self.records(columns, cells)
            return []
        fitted = table.fitted([width for band in bands for width in band.widths])
        headers = table.headers(bands)
        parts = [[line[band.members[0] : band.members[-1] + 1] for line in fitted] for band in bands]
        texts = [
            tabulated([columns[i] for i in band.members], head, part)
            for band, head, part in zip(bands, headers, parts, strict=True)
        ]
        return layout.interleaved(texts, [heights(*each) for each in zip(headers, parts, strict=True)])


def heights(header: Sequence[str], cells: Cells) -> list[int]:
    """Return how many lines the header takes, with the one that is drawn below it, and each row."""
    from . import layout

    above = [layout.height(header), 1] if header else []
    return above + [layout.height(line) for line in cells]


def tabulated(columns: Sequence[Column], labels: Sequence[str], cells: Cells) -> list[str]:
    """Return the lines of a table.

    Of a header of several lines tabulate gets the last alone: with one that is higher it takes twice as long for all.
    """
    right = [alignment(each) == "right" for each in columns]
    heads = [label.split("\n") for label in labels]
    tabulate = tabulate_for(cells)
    tabulate.MIN_PADDING = 0
    text = tabulate.tabulate(
        cells,
        headers=[padded(lines[-1], max(map(len, lines)), each) for lines, each in zip(heads, right, strict=False)],
        tablefmt="simple" if labels else "plain",
        disable_numparse=True,
        preserve_whitespace=True,  # the indentation of a tree is part of the cell
        colalign=["right" if each else "left" for each in right] if cells else None,
    )
    lines: list[str] = text.split("\n")
    widths = list(map(len, lines[1].split())) if labels else []  # of the dashes
    above = [map(padded, line, widths, right) for line in list(zip(*heads, strict=True))[:-1]]
    return [*((" " * GAP).join(line) for line in above), *lines]


def tabulate_for(cells: Iterable[Sequence[str]]) -> Any:
    """Import tabulate, set to measure these cells as we do: by wcwidth, but only where some cell needs it.

    Where it finds wcwidth it imports it whatever the cells are, and that takes longer than most tables do.
    """
    hidden = "wcwidth" not in sys.modules
    if hidden:
        sys.modules["wcwidth"] = None  # type: ignore[assignment]  # an import of it fails, as the import system has it
    try:
        import tabulate
    finally:
        if hidden:
            del sys.modules["wcwidth"]
    module: Any = tabulate
    module.WIDE_CHARS_MODE = not all(is_narrow(cell) for line in cells for cell in line)
    if module.WIDE_CHARS_MODE:
        import wcwidth

        module.wcwidth = wcwidth
    return module


def alignment(column: Column) -> str:
    """Words to the left, numbers to the right."""
    return "right" if column.kind in ("integer", "real") else "left"


def seen(check: Check) -> str:
    """What the table says was seen: for a check that failed, what was expected as well."""
    if check.status == "skipped":
        return f"skipped: {check.reason}"
    if check.status == "failed":
        return "; ".join(filter(None, [f"expected {check.expected}, saw {check.observed}", check.reason]))
    return check.observed


def write_table(report: Report, page: Page, columns: Sequence[Column], section: str | None) -> None:
    """Write the report's sections, or the one asked for."""
    if section:
        page.rows(columns, report.rows_of(section))
        return
    rows = list(report.rows)
    page.title(report.title)
    if rows or not report.checks:
        page.rows(columns, rows)
    if report.checks:
        page.title("checks")
        page.checks(report.checks)
        page.line(totals(report))
    figures = {name: value for name, value in report.summary.items() if not report.checks or name not in TOTALS}
    if figures and (len(rows) != 1 or len(columns) < RECORD_FROM or report.checks):
        page.title("summary")
        page.record(report.columns_of("summary"), figures)


def totals(report: Report) -> str:
    """The line of totals: 17 held, 0 failed, 0 skipped, in 431 ms."""
    counts = ", ".join(f"{count} {status}" for status, count in tally(report.checks).items())
    return counts + (f", in {duration(report.summary['wall_s'])}" if "wall_s" in report.summary else "")
