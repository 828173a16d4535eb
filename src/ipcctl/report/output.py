"""The one object that carries what the user asked of the output, and writes the report accordingly."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from ..errors import BadInput
from . import sink as sinks
from .model import Column, Report, Row
from .sink import Sink

HELP = "help"


class Output:
    """How and where to write the report of one run; `asked` is the value of --columns."""

    def __init__(
        self,
        columns: Sequence[Column],
        format: str = "table",
        section: str | None = None,
        asked: str | None = None,
        header: bool = True,
        quiet: bool = False,
        path: str | None = None,
    ) -> None:
        self.columns = columns
        self.format = format
        self.section = section
        self.asked = asked
        self.header = header
        self.quiet = quiet
        self.path = path
        self.height: int | None = None  # the lines that a table may take; of any number where it is not set
        self._sink: Sink | None = None
        self._line: Callable[[Row], str] | None = None  # what makes a line of a row, once rows are streaming

    def open(self, beside_command: bool = False) -> None:
        """Settle where the report goes, before any work: stderr beside a user's command, or FILE, or stdout."""
        if self.path is not None and self.path != "-":
            self._sink = Sink.to_file(self.path)
        elif self.path is None and beside_command:
            self._sink = sinks.stderr()
        else:
            self._sink = sinks.stdout()

    @property
    def on_stderr(self) -> bool:
        """Whether the report goes to stderr, where errors are told as well."""
        return self.sink.descriptor == sinks.STDERR

    def say(self, line: str) -> None:
        """Say a line on stderr; as a comment where the report goes there, for a shell to evaluate."""
        for_shell = self.format == "shell" and self.on_stderr and not self.quiet
        sinks.say(f"# {line}" if for_shell else line)

    @property
    def sink(self) -> Sink:
        """The opened destination."""
        if self._sink is None:
            self.open()
        assert self._sink is not None
        return self._sink

    def check(self) -> None:
        """Raise BadInput, before any work, for columns and sections that are not there."""
        if self.section == "summary" and self.asked is None:
            return
        if self.format == "shell" and self.section not in (None, "summary"):
            raise BadInput(f"format shell writes the summary, not --section {self.section}; use -f json or -f csv")
        self.chosen(Report("", self.columns))

    def chosen(self, report: Report) -> Sequence[Column]:
        """The columns to write, in order. Raises BadInput, listing those there are, for one that is unknown."""
        section = self.section or "rows"
        table = report.columns_of(section)
        if self.asked is None or (section == "summary" and not report.summary):
            nests = self.format in ("json", "jsonl")
            wanted = [each for each in table if each.shown and (nests or each.kind != "object")]
            return [each for each in wanted if each.in_table] if self.format == "table" else wanted
        known = {each.label: each for each in table} | {each.name: each for each in table}
        names = [name.strip() for name in self.asked.split(",")]
        unknown = [name for name in names if name not in known]
        if unknown:
            there = ", ".join(each.name for each in table)
            raise BadInput(f"no column {unknown[0]!r} in {section}; there are: {there}")
        return [known[name] for name in names]

    @property
    def wants_columns_help(self) -> bool:
        """Whether --columns help was given."""
        return self.asked == HELP

    def explain_columns(self) -> None:
        """Print the column table itself, in the format asked for."""
        meta = [Column(name, "text", "") for name in ("name", "type", "unit", "help")]
        table = Report("", self.columns).columns_of(self.section or "rows")
        rows = [{"name": each.name, "type": each.kind, "unit": each.unit, "help": each.help} for each in table]
        report = Report("columns", meta, rows=rows, summary={"columns": len(rows)})
        Output(meta, self.format, None if self.format == "shell" else "rows", header=self.header).write(report)

    def write(self, report: Report, live: bool = False) -> None:
        """Write the report; `live` flushes each row as it comes. Raises OutputFailed, ReaderGone."""
        if self.quiet:
            for _ in report.rows:  # the rows may be what does the work
                pass
            return
        if self._line is None:
            self._write(report, live)
        self.sink.flush()

    def streaming(self) -> Callable[[Row], None] | None:
        """What writes a row at once, while the work that makes them goes on: in the formats of a row a line.

        None where rows are not what is asked for, or the format needs them all. Once a row was written, `write` has
        none left to write. Nothing is imported before that: what is running then may be looked at closely.
        """
        if self.quiet or self.format not in ("jsonl", "csv", "tsv") or self.section not in (None, "rows"):
            return None

        def write(row: Row) -> None:
            from . import formats

            header = None
            if self._line is None:
                self._line, header = formats.line_format(self.format, self.chosen(Report("", self.columns)))
            formats.write_lines([row], self.sink, self._line, header if self.header else None, live=True)

        return write

    def _write(self, report: Report, live: bool) -> None:
        columns = self.chosen(report)
        section = self.section
        if self.format == "table":
            from .table import Page, write_table

            page = Page(self.sink, self.colour, self.header, self.height)
            write_table(report, page, columns, section or ("rows" if self.asked else None))
        elif self.format == "timeline":
            from .timeline import write_timeline

            write_timeline(report, self.sink)
        elif self.format == "trace":
            from .trace import write_trace

            write_trace(report, self.sink)
        else:
            self._write_machine(report, columns, section, live)

    def _write_machine(self, report: Report, columns: Sequence[Column], section: str | None, live: bool) -> None:
        from . import formats

        if self.format == "json":
            formats.write_json(report, self.sink, columns, section)
        elif self.format == "shell":
            formats.write_shell(report, self.sink)
        elif self.format in ("markdown", "html"):
            formats.write_document(report, self.sink, columns, section or ("rows" if self.asked else None), self.format)
        else:
            line, header = formats.line_format(self.format, columns)
            rows = report.rows_of(section or "rows")
            formats.write_lines(rows, self.sink, line, header if self.header else None, live)

    @property
    def colour(self) -> bool:
        """Colours only on a terminal that has them, and never with NO_COLOR (no-color.org)."""
        return self.sink.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

