"""The machine formats: raw values, one function a format, rows written as they come."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..times import iso8601
from .model import Column, Report, Row
from .sink import Sink
from .table import alignment, tabulate_for
from .values import exact

# Every byte survives: what is not UTF-8 was decoded with surrogateescape, and ASCII JSON escapes it as \udcXX.
to_json = json.JSONEncoder(ensure_ascii=True, allow_nan=False, check_circular=False).encode


def chosen(columns: Sequence[Column]) -> Callable[[Row], Row]:
    """What turns a row into the object that JSON shows: these columns, in this order, times as ISO 8601."""
    names = [each.name for each in columns]
    times = [each.name for each in columns if each.kind == "time"]
    values = operator.itemgetter(*names, names[0])  # the first once more, for a tuple even of one; zip leaves it out

    def choose(row: Row) -> Row:
        try:
            result: Row = dict(zip(names, values(row)))  # noqa: B905
        except KeyError:  # a row may leave columns out
            result = {name: row.get(name) for name in names}
        for name in times:
            moment = result[name]
            if moment is not None:
                result[name] = iso8601(moment)
        return result

    return choose


def write_json(report: Report, sink: Sink, columns: Sequence[Column], section: str | None) -> None:
    """One object with the whole report, or the one section."""
    if section:
        rows = list(map(chosen(columns), report.rows_of(section)))
        sink.write(to_json(rows[0] if section == "summary" else rows) + "\n")
        return
    sink.write(to_json(whole(report, columns)) + "\n")


def whole(report: Report, columns: Sequence[Column]) -> dict[str, Any]:
    """The report as JSON has it: always these keys, in this order."""
    rows = list(map(chosen(columns), report.rows))  # before the rest: the summary may be counted as rows come
    lists = {name: list(report.rows_of(name)) for name in ("checks", "events")}
    return {"concept": report.concept, "ok": report.ok, "summary": report.summary, "rows": rows, **lists}


def write_lines(
    rows: Iterable[Row], sink: Sink, line: Callable[[Row], str], header: str | None, live: bool
) -> None:
    """A header, where there is one, and a line a row; `live` rows go out at once, each as it comes."""
    if header is not None:
        sink.write(header + "\n")
    for row in rows:
        sink.write(line(row) + "\n")
        if live:
            sink.flush()


def jsonl_line(columns: Sequence[Column]) -> Callable[[Row], str]:
    """A row as one line of JSON."""
    choose = chosen(columns)
    return lambda row: to_json(choose(row))


def csv_field(text: str) -> str:
    """A field of RFC 4180: quoted where it must be, and where it is empty text rather than unknown."""
    if text and not any(char in text for char in ',"\r\n'):
        return text
    return '"' + text.replace('"', '""') + '"'


TSV_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def tsv_field(text: str) -> str:
    """A field without tabs or line ends: backslash, tab, newline and return are written as in C."""
    return text.translate(TSV_ESCAPES)


def fields_line(columns: Sequence[Column], field: Callable[[str], str], separator: str) -> Callable[[Row], str]:
    """A row as fields; an unknown one is nothing at all."""
    turns = [(each.name, exact(each)) for each in columns]

    def line(row: Row) -> str:
        values = [(row.get(name), turn) for name, turn in turns]
        return separator.join("" if value is None else field(turn(value)) for value, turn in values)

    return line


def line_format(name: str, columns: Sequence[Column]) -> tuple[Callable[[Row], str], str | None]:
    """What makes a line of a row in jsonl, csv or tsv, and the header line where the format has one."""
    if name == "jsonl":
        return jsonl_line(columns), None
    field, separator = (csv_field, ",") if name == "csv" else (tsv_field, "\t")
    return fields_line(columns, field, separator), separator.join(each.name for each in columns)


def shell_quoted(text: str) -> str:
    """The text in single quotes, as every POSIX shell reads it back, newlines included."""
    return "'" + text.replace("'", "'\\''") + "'"


def write_shell(report: Report, sink: Sink) -> None:
    """The summary as assignments: CONCEPT_FIELD='value'.

    The concept stands before each name, so that evaluating a report can change none of the shell's own variables
    (PATH, UID, SECONDS) and two reports do not overwrite each other.
    """
    for column in report.columns_of("summary"):
        name = f"{report.concept}_{column.name}".upper().replace("-", "_")
        sink.write(f"{name}={shell_quoted(exact(column)(report.summary[column.name]))}\n")


MARKDOWN_ESCAPES = str.maketrans(
    {"\\": "\\\\", "|": "\\|", "&": "&amp;", "<": "&lt;", ">": "&gt;", "\n": "&#10;", "\r": "&#13;"}
)


def markdown_cell(text: str) -> str:
    """A cell that stays one: bars and backslashes escaped, line ends and angle brackets as HTML."""
    return text.translate(MARKDOWN_ESCAPES)


def write_document(report: Report, sink: Sink, columns: Sequence[Column], section: str | None, markup: str) -> None:
    """Markdown or HTML: the asked-for section, or all that have something in them, each under a heading."""
    if section:
        write_markup(report.rows_of(section), columns, sink, markup)
        return
    for name in ("rows", "checks", "summary"):
        rows = list(report.rows_of(name))
        if rows and any(rows):
            heading = report.concept if name == "rows" else name
            sink.write(f"## {heading}\n\n" if markup == "markdown" else f"<h2>{heading}</h2>\n")
            write_markup(rows, columns if name == "rows" else report.columns_of(name), sink, markup)
            sink.write("\n")


class Cell(str):
    """A cell that is no plain string: one of "\\x01" would make tabulate draw a line instead of its row."""


def write_markup(rows: Iterable[Row], columns: Sequence[Column], sink: Sink, markup: str) -> None:
    """One table of raw values."""
    turns = [(each.name, exact(each)) for each in columns]
    quote = markdown_cell if markup == "markdown" else str
    cells = [[Cell(quote(turn(row.get(name)))) for name, turn in turns] for row in rows]
    text = tabulate_for(()).tabulate(
        cells,
        headers=[each.name for each in columns],
        tablefmt="pipe" if markup == "markdown" else "html",
        disable_numparse=True,
        preserve_whitespace=True,
        colalign=[alignment(each) for each in columns] if cells else None,
    )
    sink.write(text + "\n")
