"""One value of a record as text: exact for machines, rounded for people."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from .model import Column, Kind
from .terminal import visible_line

SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def local_time(moment: float) -> str:
    """Seconds since the epoch as a person reads it."""
    return datetime.datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float) -> str:
    """Seconds with three digits that count: 812 µs, 1.25 ms, 3.20 s, 2:05:10."""
    size = abs(seconds)
    if size < 0.001:
        return f"{seconds * 1e6:.0f} µs" if size else "0 s"
    if size < 1:
        return f"{seconds * 1e3:.3g} ms" if size < 0.9995 else "1.00 s"
    if size < 59.995:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(size), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    clock = f"{hours}:{minutes:02}:{rest:02}" if hours or days else f"{minutes}:{rest:02}"
    return ("-" if seconds < 0 else "") + (f"{days}d {clock}" if days else clock)


def size(count: float) -> str:
    """Bytes in binary multiples: 512 B, 8.4 MiB."""
    step = 0
    while abs(count) >= 1024 and step < len(SIZES) - 1:
        count /= 1024
        step += 1
    return f"{count:.0f} {SIZES[step]}" if step == 0 or abs(count) >= 100 else f"{count:.1f} {SIZES[step]}"


def listed(value: list[str]) -> str:
    """An argv as one would type it in a shell."""
    import shlex

    return shlex.join(map(str, value))


HUMANE: dict[str, Callable[[Any], str]] = {
    "seconds": duration,
    "milliseconds": lambda value: f"{value:.2f} ms",
    "KiB": lambda value: size(value * 1024),
    "bytes": size,
    "bytes a second": lambda value: f"{size(value)}/s",
    "percent": lambda value: f"{value:.1f} %",
}
HUMANE_KIND: dict[Kind, Callable[[Any], str]] = {
    "text": str,
    "integer": str,
    "real": lambda value: f"{value:.4g}",
    "boolean": lambda value: "yes" if value else "no",
    "time": local_time,
    "list": listed,
    "object": str,
}


def humane(column: Column) -> Callable[[Any], str]:
    """What turns a value of this column into text for a person: rounded, on one line, "-" where it is unknown."""
    turn = HUMANE.get(column.unit) or HUMANE_KIND[column.kind]
    if column.kind == "list" and column.unit:
        return lambda value: "-" if value is None else ", ".join(map(turn, value))
    if column.kind in ("text", "list", "object"):
        return lambda value: "-" if value is None else visible_line(turn(value))
    return lambda value: "-" if value is None else turn(value)


def exact(column: Column) -> Callable[[Any], str]:
    """What turns a value of this column into text that a machine reads back: "" where it is unknown."""
    if column.kind in ("list", "object"):
        import json

        return lambda value: "" if value is None else json.dumps(value)
    if column.kind == "boolean":
        return lambda value: "" if value is None else ("true" if value else "false")
    if column.kind == "time":
        from ..times import iso8601

        return lambda value: "" if value is None else iso8601(value)
    return lambda value: "" if value is None else str(value)
