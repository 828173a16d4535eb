"""What watching for zombies costs: as for orphans."""

from __future__ import annotations

from collections.abc import Iterator

import orphan
from harness import Comparison


def comparisons() -> Iterator[Comparison]:
    """The comparisons of orphan, with zombie."""
    yield from orphan.comparisons("zombie")
