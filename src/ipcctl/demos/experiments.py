"""The columns of shm's demonstration."""

from __future__ import annotations

from ..report.report import Column

EXPERIMENT_COLUMNS = (
    Column("experiment", "text", "what was tried"),
    Column("check", "text", "the check that it belongs to"),
    Column("updates", "integer", "how many updates the processes made together, where they were counted"),
    Column("expected", "text", "what memory that every process sees would hold in the end"),
    Column("found", "text", "what it held"),
    Column("lost", "integer", "updates that were overwritten by one that did not know of them"),
    Column("wall_ms", "real", "how long it took"),
)
