"""The tasks that take their turns at a semaphore: what the rows of its demonstration are made of."""

from __future__ import annotations

from ..report.report import Column

TURN_COLUMNS = (
    Column("task", "integer", "the task, in the order in which they were started"),
    Column("pid", "integer", "its process"),
    Column("waited_s", "real", "from its call of acquire until that returned"),
    Column("entered_ms", "real", "when that was, from the start of the demonstration"),
    Column("left_ms", "real", "when it called release"),
    Column("value_seen", "integer", "what get_value told it when it was inside: the slots still free"),
    Column("inside", "integer", "how many were inside when it had entered, itself included"),
)
