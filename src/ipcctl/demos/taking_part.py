"""The processes that take part in a demonstration: what its rows and events are made of."""

from __future__ import annotations

from ..report.report import Column

PROCESS_COLUMNS = (
    Column("pid", "integer", "the process"),
    Column("ppid", "integer", "its parent when it was started"),
    Column("role", "text", "which process of the concept it is"),
    Column("check", "text", "the check that it took part in; the parent, in all"),
    Column("started_ms", "real", "when it was started, from the start of the demonstration"),
    Column("ended_ms", "real", "when it was waited for"),
    Column("exit_code", "integer", "what it gave to exit; unknown when a signal ended it"),
    Column("signal", "text", "the signal that ended it"),
)
STATE_COLUMNS = (
    Column("pid", "integer", "the process"),
    Column("made", "text", "the state or mark that it was made to show"),
    Column("stat", "text", "what the kernel shows for it"),
    Column("meaning", "text", "that in words"),
    Column("how", "text", "how it was brought there"),
    Column("skipped", "text", "why it could not be made on this machine"),
)
