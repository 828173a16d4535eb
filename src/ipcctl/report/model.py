"""What a subcommand has to say, before anybody decides how to print it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ..process.event import Event

Row = dict[str, Any]
Kind = Literal["text", "integer", "real", "boolean", "time", "list", "object"]
Status = Literal["held", "failed", "skipped"]

FORMATS = ("table", "json", "jsonl", "csv", "tsv", "shell", "markdown", "html", "timeline", "trace")
SECTIONS = ("rows", "checks", "events", "summary")

# A field's unit is the end of its name, so that a script that reads `wall_s` never has to guess.
UNITS = {
    "_bytes_per_s": "bytes a second",
    "_s": "seconds",
    "_ms": "milliseconds",
    "_kib": "KiB",
    "_bytes": "bytes",
    "_percent": "percent",
}


# Plain classes, not dataclasses: making a dataclass costs a millisecond, and every start of ipcctl would pay for six.
class Column:
    """One field of a row: its name (with its unit at the end), type, and what it means.

    `kind` "time" is a moment, held as seconds since the epoch and written as ISO 8601 with the zone;
    "object" is what JSON nests, and other formats leave out unless it is asked for.
    `shown` says whether it is there when no columns are asked for, and `in_table` whether in the table, too.
    """

    def __init__(self, name: str, kind: Kind, help: str, shown: bool = True, in_table: bool = True) -> None:
        self.name = name
        self.kind = kind
        self.help = help
        self.shown = shown
        self.in_table = in_table

    def but(self, shown: bool, in_table: bool) -> Column:
        """The same column, shown elsewhere."""
        return Column(self.name, self.kind, self.help, shown, in_table)

    @property
    def unit(self) -> str:
        """The unit in words, from the end of the name; for a time, its form; "" where there is none."""
        if self.kind == "time":
            return "ISO 8601"
        return next((unit for end, unit in UNITS.items() if self.name.endswith(end)), "")

    @property
    def label(self) -> str:
        """The name without its unit: a table's header, and accepted wherever a column is named."""
        end = next((end for end in UNITS if self.name.endswith(end) and end != "_percent"), "")
        return self.name.removesuffix(end)


class Check:
    """One statement of a concept, compared with what was seen in this run."""

    def __init__(
        self, id: str, statement: str, expected: str, observed: str, status: Status, reason: str | None = None
    ) -> None:
        self.id = id
        self.statement = statement
        self.expected = expected
        self.observed = observed
        self.status = status
        self.reason = reason


CHECK_COLUMNS = (
    Column("id", "text", "the check's name, part of the interface"),
    Column("status", "text", "held, failed or skipped"),
    Column("statement", "text", "what must be seen to hold"),
    Column("expected", "text", "what the statement leads one to expect"),
    Column("observed", "text", "what was seen on this kernel, in this run"),
    Column("reason", "text", "why it failed or was skipped"),
)
EVENT_COLUMNS = (
    Column("t_ms", "real", "time since the run began"),
    Column("pid", "integer", "the process"),
    Column("role", "text", "which process of the concept it is"),
    Column("event", "text", "what happened"),
    Column("detail", "text", "with what"),
)


class Report:
    """The whole of what a subcommand found.

    `rows` may be any iterable: where it is not a list, the formats that write a row a line consume it once, as it
    comes. `columns` says what a row may have; a row may leave a column out, which reads as unknown (null).
    """

    def __init__(
        self,
        concept: str,
        columns: Sequence[Column],
        ok: bool = True,
        summary: Row | None = None,
        rows: Iterable[Row] = (),
        checks: Sequence[Check] = (),
        events: Sequence[Event] = (),
        title: str = "",
    ) -> None:
        self.concept = concept
        self.columns = columns
        self.ok = ok
        self.summary = {} if summary is None else summary
        self.rows = rows
        self.checks = checks
        self.events = events
        self.title = title or concept

    def columns_of(self, section: str) -> Sequence[Column]:
        """The column table of a section; the summary's is made from its own names and values."""
        if section == "summary":
            return [Column(name, kind_of(value), "") for name, value in self.summary.items()]
        return {"rows": self.columns, "checks": CHECK_COLUMNS, "events": EVENT_COLUMNS}[section]

    def rows_of(self, section: str) -> Iterable[Row]:
        """The section as flat objects."""
        if section == "summary":
            return [self.summary]
        if section == "rows":
            return self.rows
        return [vars(each) for each in (self.checks if section == "checks" else self.events)]


def kind_of(value: object) -> Kind:
    """The column kind that a Python value has."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "real"
    return "list" if isinstance(value, (list, tuple)) else "text"


def tally(checks: Iterable[Check]) -> Mapping[str, int]:
    """How many checks held, failed and were skipped."""
    counts = {"held": 0, "failed": 0, "skipped": 0}
    for each in checks:
        counts[each.status] += 1
    return counts
