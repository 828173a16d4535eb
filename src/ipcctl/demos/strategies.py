"""The columns of zombie's demonstration."""

from __future__ import annotations

from ..report.report import Column

STRATEGY_COLUMNS = (
    Column("strategy", "text", "what the parent does about children that exit"),
    Column("children", "integer", "how many it had"),
    Column("zombies_at_peak", "integer", "the most zombies at once, as /proc shows them"),
    Column("zombies_left", "integer", "zombies once all had exited and the parent had done what it does"),
    Column("statuses", "integer", "exit statuses that the parent collected"),
    Column("blocked_ms", "real", "how long the parent was blocked in wait"),
)
