"""Option types, shared by the subcommands."""

from __future__ import annotations

import math
import re
from typing import Any

import click

MULTIPLES = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


class Seconds(click.ParamType):  # type: ignore[type-arg]
    """A time: a number of seconds, or one with a unit: 500ms, 1.5, 2m, 1h."""

    name = "seconds"
    factors = {"": 1.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "m": 60.0, "h": 3600.0, "d": 86400.0}
    most = 100 * 366 * 86400.0

    def __init__(self, positive: bool = False) -> None:
        self.positive = positive

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The value in seconds; a usage error for what is no time."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:e-?[0-9]+)?)\s*([a-z]*)\s*", str(value), re.ASCII)
        if not match or match[2] not in self.factors:
            self.fail(f"{value!r} is no time; give seconds, or a number with ms, s, m, h or d", param, ctx)
        seconds = float(match[1]) * self.factors[match[2]]
        if seconds == 0 and self.positive:
            self.fail(f"{value!r} is too short; give more than 0", param, ctx)
        if not math.isfinite(seconds) or seconds > self.most:
            self.fail(f"{value!r} is too long; the most is 100 years", param, ctx)
        return seconds


class Size(click.ParamType):  # type: ignore[type-arg]
    """A number of bytes, with a binary multiple: 4096, 64K, 1.5MiB, 2G."""

    name = "size"
    most = 1 << 50

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The value in bytes; a usage error for what is no size."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([kmgtp]?)(?:i?b)?\s*", str(value).lower(), re.ASCII)
        if not match:
            self.fail(f"{value!r} is no size; give bytes, or a number with K, M or G", param, ctx)
        number: float = float(match[1]) * 1024.0 ** MULTIPLES[match[2]]
        if number > self.most:
            self.fail(f"{value!r} is too large; the most is 1P", param, ctx)
        return round(number)


class Sizes(click.ParamType):  # type: ignore[type-arg]
    """Sizes with commas between them."""

    name = "size,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """The values in bytes; a usage error for one that is no size."""
        if isinstance(value, list):
            return value
        return [Size().convert(each, param, ctx) for each in str(value).split(",")]
