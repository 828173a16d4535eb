"""What happened while processes ran, moment by moment."""

from __future__ import annotations


class Event:
    """Something that a process did; `t_ms` counts from the start of the whole run."""

    def __init__(self, t_ms: float, pid: int, role: str, event: str, detail: str = "") -> None:
        self.t_ms = t_ms
        self.pid = pid
        self.role = role
        self.event = event
        self.detail = detail
