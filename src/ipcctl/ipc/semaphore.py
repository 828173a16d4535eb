"""Named counting semaphores."""

from __future__ import annotations

from typing import Any

from .names import Place, Things


class Semaphores(Things):
    """Those of this user."""

    def __init__(self) -> None:
        super().__init__(Place("sem"))

    def figures(self, name: str) -> dict[str, Any]:
        """Its capacity."""
        return {"capacity": None}
