"""The format for reading: sections with titles, values rounded, fitted to the terminal, cut nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .model import CHECK_COLUMNS, Check, Column, Report, Row, tally
from .sink import Sink
from .values import duration, humane

GAP = 2  # spaces between columns
NARROWEST = 8  # a text column is not made narrower than this
NAMES = ("id", "check", "status")  # columns that are narrowed last: a name cut short is no name
RECORD_FROM = 8  # a single row with as many columns is written as a record: one field a line
TOTALS = ("held", "failed", "skipped", "wall_s")  # what the line of totals says of the summary
COLOURS = {"held": "32", "failed": "31", "skipped": "33"}


class Page:
    """Writes the sections of one report, in order, to a sink."""

    def __init__(self, sink: Sink, colour: bool, header: bool) -> None:
        self.sink = sink
        self.colour = colour
        self.header = header
        self.width = sink.width
        self._started = False

    def title(self, text: str) -> None:
        """A section's title, with a blank line before all but the first."""
        if not self.header:
            return
        self.sink.write("\n" if self._started else "")
        self._started = True
        self.sink.write(self.painted(text, "1") + "\n")

    def painted(self, text: str, code: str) -> str:
        """The text in a colour (ECMA-48 SGR), where colours are wanted."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code else text

    def line(self, text: str) -> None:
        """One line below a section, set off by a blank one."""
        self.sink.write(f"\n{text}\n" if self.header else f"{text}\n")

    def rows(self, columns: Sequence[Column], rows: Iterable[Row]) -> None:
        """A table; a record where there is but one row of many columns; a word where there is none."""
        listed = list(rows)
        if not listed:
            self.sink.write("  none\n" if self.header else "")
            return
        if len(listed) == 1 and len(columns) >= RECORD_FROM:
            self.record(columns, listed[0])
            return
        turns = [(each.name, humane(each)) for each in columns]
        cells = [[turn(row.get(name)) for name, turn in turns] for row in listed]
        self.grid(columns, cells, wrapped=False)

    def record(self, columns: Sequence[Column], row: Row) -> None:
        """One field a line: name, value. What is unknown is left out."""
        known = [(each.label, humane(each)(row[each.name])) for each in columns if row.get(each.name) is not None]
        indent = max((len(label) for label, _ in known), default=0)
        for label, value in known:
            line = f"  {label:<{indent}}  {value}"
            self.sink.write((cut(line, self.width) if self.width else line) + "\n")

    def checks(self, checks: Sequence[Check]) -> None:
        """The checks: status, id, statement, and what was seen."""
        cells = [[each.status, each.id, each.statement, seen(each)] for each in checks]
        shown = [CHECK_COLUMNS[1], CHECK_COLUMNS[0], CHECK_COLUMNS[2], CHECK_COLUMNS[4]]
        self.grid(shown, cells, wrapped=True)

    def grid(self, columns: Sequence[Column], cells: list[list[str]], wrapped: bool) -> None:
        """Lay cells out in columns; on a terminal, wrapped or cut to its width."""
        import tabulate

        tabulate.MIN_PADDING = 0
        labels = [each.label for each in columns] if self.header else []
        if self.width:
            cells = fitted(columns, labels, cells, self.width, wrapped)
        text = tabulate.tabulate(
            cells,
            headers=labels,
            tablefmt="simple" if labels else "plain",
            disable_numparse=True,
            preserve_whitespace=True,  # the indentation of a tree is part of the cell
            colalign=[alignment(each) for each in columns] if cells else None,
        )
        for line in text.split("\n"):
            self.sink.write(self.painted(line.rstrip(), self._colour_of(line)) + "\n")

    def _colour_of(self, line: str) -> str:
        return COLOURS.get(line.split(" ", 1)[0], "") if self.colour else ""


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


def fitted(
    columns: Sequence[Column], labels: Sequence[str], cells: list[list[str]], width: int, wrapped: bool
) -> list[list[str]]:
    """The cells, with the widest text columns narrowed until a line fits the terminal."""
    heads = labels or [""] * len(columns)
    widths = [max([len(head)] + [len(line[i]) for line in cells]) for i, head in enumerate(heads)]
    texts = [i for i, each in enumerate(columns) if each.kind in ("text", "list")]
    narrow(widths, [i for i in texts if columns[i].name not in NAMES], width)
    narrow(widths, texts, width)
    if wrapped:
        import textwrap

        return [["\n".join(textwrap.wrap(cell, widths[i])) for i, cell in enumerate(line)] for line in cells]
    return [[cut(cell, widths[i]) for i, cell in enumerate(line)] for line in cells]


def narrow(widths: list[int], these: Sequence[int], width: int) -> None:
    """Take from the widest of these columns, one by one, until all fit, or these are as narrow as may be."""
    spare = sum(widths) + GAP * (len(widths) - 1) - width
    while spare > 0 and these:
        widest = max(these, key=lambda i: widths[i])
        if widths[widest] <= NARROWEST:
            break
        widths[widest] -= 1
        spare -= 1


def cut(text: str, width: int) -> str:
    """The text in at most `width` columns, its cut end marked."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


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
