"""Keep what a check has made for a while, so that another shell can look at it."""

from __future__ import annotations

import signal
import time

from ..process.signals import ENDING, Signals
from .stage import Stage


def hold(stage: Stage, what: str) -> None:
    """For --hold: say at once what there is to see, and wait until the time is over or a signal asks to end."""
    seconds = stage.options.get("hold_s")
    if not seconds:
        return
    stage.options["say"](f"{what}; held for {seconds:g} s, Ctrl-C ends it")
    signal.setitimer(signal.ITIMER_REAL, 0)  # no check of its own takes so long
    asked = None
    with Signals(ENDING) as signals:
        end = time.monotonic() + seconds
        while asked is None and (info := signals.wait(end)):  # a child that ends is no reason to end
            asked = info.si_signo if info.si_signo in ENDING else None
    if asked is not None:
        signal.raise_signal(asked)  # now by the stage's handler, which ends what was started
    stage.more_time()
