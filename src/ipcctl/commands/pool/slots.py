"""How many jobs or workers at once: the text of -j, understood."""

from __future__ import annotations

import re

from ...errors import BadInput
from ...pool.processors import MOST_SLOTS, most_by_descriptors, usable_processors


def slots_of(asked: str | None) -> int:
    """The slots that -j asks for: N, N% of the processors, 0 for as many as the limits let. Raises BadInput."""
    if asked is None:
        return usable_processors()
    match = re.fullmatch(r"\s*([0-9]{1,9})\s*(%?)\s*", asked, re.ASCII)
    if not match or (match[2] and not int(match[1])) or (not match[2] and int(match[1]) > MOST_SLOTS):
        raise BadInput(f"-j {asked!r} is no number of jobs; give 1 to {MOST_SLOTS}, 0 for as many as can be, or N%")
    if match[2]:
        return min(max(1, usable_processors() * int(match[1]) // 100), MOST_SLOTS)
    return int(match[1]) or most_by_descriptors()
