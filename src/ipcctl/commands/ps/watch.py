"""`ipcctl ps --watch`: list again and again."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from ...errors import Interrupted
from ...process.signals import ENDING, Signals
from ...report.output import Output

if TYPE_CHECKING:
    from .list import Listing

CLEAR = "\x1b[H\x1b[2J"  # cursor home, erase the display (ECMA-48 CUP, ED)


def watched(output: Output, listing: Listing, seconds: float) -> int:
    """List again and again, until a signal ends it. On a terminal, each list in place of the one before."""
    redraws, asked = output.format == "table" and output.sink.is_terminal, listing.limit
    if redraws:
        output.section = output.section or "rows"
    due = time.monotonic()
    try:
        while True:
            if redraws:
                output.height = lines_of_terminal(output) - 1  # the cursor rests on the last
                listing.limit = asked or max(output.height - 2, 1)  # below a header of two lines, at the least
                output.sink.write(CLEAR)
            listing.write()
            output.header = output.header and output.format not in ("csv", "tsv")  # a second header would be a row
            due = max(due + seconds, time.monotonic())
            wait_until_due(due)
    except KeyboardInterrupt:  # a Ctrl-C while it listed
        raise Interrupted(signal.SIGINT) from None


def lines_of_terminal(output: Output) -> int:
    """Return how many lines the terminal has now; one that does not say has 24."""
    return os.get_terminal_size(output.sink.descriptor).lines or 24


def wait_until_due(due: float) -> None:
    """Wait until then (time.monotonic). Raises Interrupted for a signal that asks to end."""
    with Signals(ENDING) as signals:
        while info := signals.wait(due):
            if signals.asks(info):
                raise Interrupted(info.si_signo)
