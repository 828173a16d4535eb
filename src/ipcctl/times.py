"""Moments as text, for every machine format and every file that ipcctl writes: ISO 8601, with milliseconds and zone."""

from __future__ import annotations

import datetime
import functools


def iso8601(moment: float) -> str:
    """Return seconds since the epoch as ISO 8601 with milliseconds and the local zone's offset."""
    seconds, milliseconds = divmod(int(moment * 1000 + 0.5) if moment >= 0 else round(moment * 1000), 1000)
    clock, offset = whole_second(seconds)
    return f"{clock}.{milliseconds:03}{offset}"


@functools.lru_cache(maxsize=4096)
def whole_second(seconds: int) -> tuple[str, str]:
    """Return a second's local date and clock, and the offset of the zone then.

    Kept, as many processes start in the same second.
    """
    text = datetime.datetime.fromtimestamp(seconds).astimezone().isoformat()
    return text[:19], text[19:]
