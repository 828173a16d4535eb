"""Who ran when, drawn in the terminal: a lane a process, from its first event to its last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .model import Report
from .sink import Sink
from .terminal import cut, display_width, flow, padded, visible_line
from .trace import lanes
from .values import duration

if TYPE_CHECKING:
    from ..process.event import Event

WIDTH = 100  # columns of the drawing where there is no terminal to fit
NARROWEST_LANE = 16


def write_timeline(report: Report, sink: Sink) -> None:
    """Draw the events; the legend under each lane says what happened at each mark, and when."""
    if not report.events:
        sink.write(f"{report.concept}: no events to draw\n")
        return
    width = sink.width or WIDTH
    lives = lanes(report.events)
    heads = [head(pid, role, width - NARROWEST_LANE - 3) for pid, role in lives]
    margin = max(map(display_width, heads))
    lane = width - margin - 3
    first = min(each.t_ms for each in report.events)
    span = max(each.t_ms for each in report.events) - first or 1.0
    for name, events in zip(heads, lives.values(), strict=True):
        sink.write(f"{padded(name, margin, right=True)} │{drawn(events, first, span, lane)}│\n")
        legend = told(events, first)
        for line in flow(legend, " · ", lane + 1) if sink.width else [" · ".join(legend)]:
            sink.write(f"{'':>{margin}} │{line}\n")
    ends = duration(span / 1000)
    sink.write(f"{'':>{margin}} └0{ends:─>{lane - 1}}┘\n")


def head(pid: int, role: str, width: int) -> str:
    """Return what stands before a lane: the role, cut if it must be, and the PID."""
    return cut(visible_line(role), width - len(f" {pid}")) + f" {pid}"


def drawn(events: list[Event], first: float, span: float, lane: int) -> str:
    """A lane: blank before the first event, ━ until the last, a mark ● where something happened."""
    places = [min(int((each.t_ms - first) / span * lane), lane - 1) for each in events]
    line = [" "] * lane
    line[places[0] : places[-1] + 1] = "━" * (places[-1] + 1 - places[0])
    for place in places:
        line[place] = "●"
    return "".join(line)


def told(events: list[Event], first: float) -> list[str]:
    """Return the events in words: `1.20 ms exit 3`."""
    return [
        visible_line(f"{duration((each.t_ms - first) / 1000)} {each.event} {each.detail}".rstrip()) for each in events
    ]
