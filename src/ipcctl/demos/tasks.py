"""The tasks of the pool's demonstration: what its rows are made of."""

from __future__ import annotations

from ..report.report import Column

TASK_COLUMNS = (
    Column("task", "integer", "the task's number, in the order of submission"),
    Column("worker_pid", "integer", "the worker that did it"),
    Column("submitted_ms", "real", "when it was given to the pool, from the start of the demonstration"),
    Column("started_ms", "real", "when the worker began it"),
    Column("ended_ms", "real", "when the worker had done it"),
    Column("result", "text", "what get gave, or raised"),
    Column("check", "text", "the check that it belonged to"),
)
