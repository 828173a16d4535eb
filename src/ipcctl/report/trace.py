"""Chrome's trace event format, for Perfetto and chrome://tracing: a lane a process, its events on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .formats import to_json
from .model import Report
from .sink import Sink

if TYPE_CHECKING:
    from ..process.event import Event


def write_trace(report: Report, sink: Sink) -> None:
    """One object, as the Trace Event Format document has it; times are microseconds."""
    sink.write(to_json({"traceEvents": trace_events(report), "displayTimeUnit": "ms"}) + "\n")


def trace_events(report: Report) -> list[dict[str, Any]]:
    """A complete event ("X") from each process's first event to its last, and an instant ("i") for each event."""
    lives = lanes(report.events)
    found: list[dict[str, Any]] = []
    for (pid, role), events in lives.items():
        place = {"pid": pid, "tid": pid}
        begin = events[0].t_ms * 1000
        found.append({"name": "process_name", "ph": "M", **place, "args": {"name": role}})
        found.append({"name": role, "ph": "X", "ts": begin, "dur": events[-1].t_ms * 1000 - begin, **place})
        found += [
            {"name": each.event, "ph": "i", "s": "t", "ts": each.t_ms * 1000, **place, "args": {"detail": each.detail}}
            for each in events
        ]
    return found


def lanes(events: Sequence[Event]) -> dict[tuple[int, str], list[Event]]:
    """The events of each process in each role, in time; processes in the order in which they appeared."""
    found: dict[tuple[int, str], list[Event]] = {}
    for each in sorted(events, key=lambda event: event.t_ms):
        found.setdefault((each.pid, each.role), []).append(each)
    return found
