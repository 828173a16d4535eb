"""Run the comparisons, all or those named: python tests/bench [NAME]..."""

from __future__ import annotations

import importlib
import signal
import sys
from pathlib import Path
from types import FrameType

HERE = Path(__file__).parent
NOT_COMPARISONS = {"__main__", "harness"}


def interrupt(number: int, frame: FrameType | None) -> None:
    """Leave by way of every finally."""
    sys.exit(128 + number)


def main(names: list[str]) -> int:
    """Print each comparison as it is made; 1 when a target was missed."""
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: what a comparison started is ended
        signal.signal(number, interrupt)
    there = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in NOT_COMPARISONS)
    unknown = set(names) - set(there)
    if unknown:
        print(f"no comparison {unknown.pop()!r}; there are: {', '.join(there)}", file=sys.stderr)
        return 2
    missed = 0
    for name in names or there:
        print(f"\n{name}", flush=True)
        for comparison in importlib.import_module(name).comparisons():
            print(f"  {comparison}", flush=True)
            missed += not comparison.reached
    print(f"\n{missed} missed" if missed else "\nevery target reached")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
