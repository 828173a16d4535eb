"""The columns of orphan's demonstration."""

from __future__ import annotations

from ..report.report import Column

ADOPTED_COLUMNS = (
    Column("pid", "integer", "the process"),
    Column("role", "text", "which process of the concept it is"),
    Column("check", "text", "the check that it took part in"),
    Column("parent_before_pid", "integer", "its parent at first"),
    Column("parent_after_pid", "integer", "its parent once that had ended"),
    Column("adopter", "text", "the program that is the new parent"),
    Column("adoption_ms", "real", "from the parent's last act until the child had another parent"),
    Column("reaped_by_pid", "integer", "who waited for it; unknown where nobody can tell"),
    Column("exit_code", "integer", "what it gave to exit, where that is known"),
)
