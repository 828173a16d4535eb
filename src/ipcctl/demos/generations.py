"""The generations of the double fork: what the rows of its demonstration are made of."""

from __future__ import annotations

from ..report.report import Column

GENERATION_COLUMNS = (
    Column("pid", "integer", "the process"),
    Column("ppid", "integer", "its parent, when it was looked at"),
    Column("pgid", "integer", "its process group then"),
    Column("sid", "integer", "its session then"),
    Column("terminal", "text", "its controlling terminal then"),
    Column("role", "text", "which generation it is"),
    Column("did", "text", "what it did"),
    Column("check", "text", "the check that it took part in; the parent, in all"),
    Column("started_ms", "real", "when it was started, from the start of the demonstration"),
    Column("ended_ms", "real", "when it was waited for"),
    Column("exit_code", "integer", "what it gave to exit; unknown when a signal ended it"),
    Column("signal", "text", "the signal that ended it"),
)
