"""Run a command as the init of its own descendants: adopt those that lose their parent, wait for them, end them.

    Run ── spawn, hand signals on, wait4(-1) ──► command ended ─► left running? ─► report: leave them
      └─ Watch ── orphans, zombies ──► rows                                       wait: until they end, or time is up
                                                                                  kill: TERM, grace, KILL
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import EXIT_FALSE, EXIT_OK, EXIT_SIGNALLED, EXIT_TIMED_OUT
from .descendant import Descendant
from .event import Event
from .procfs import stat_of
from .run import Run
from .signals import SIG, Arrived, Signals
from .terminate import Descendants, signal_all
from .watcher import Watcher

if TYPE_CHECKING:
    from resource import struct_rusage


class Subreaper(Run):
    """One command, with its descendants watched.

    left: what becomes of those still running when it has ended: "report" leaves them, "wait" waits for them, for at
    most `wait_s`, and "kill" ends them. longer_than_s: a descendant that was a zombie for longer is kept in `zombies`.
    """

    def __init__(
        self,
        argv: Sequence[str],
        left: str = "report",
        wait_s: float | None = None,
        grace_s: float = 5.0,
        longer_than_s: float = float("inf"),
    ) -> None:
        super().__init__(argv, grace_s=grace_s)
        self.left = left
        self.wait_s = wait_s
        self.longer_than_s = longer_than_s
        self.orphans: list[Descendant] = []
        self.zombies: list[tuple[Descendant, float]] = []  # and until when they were
        self.still_running = 0  # how many were left when the command had ended
        self.time_was_up = False
        self._stock_taken = False
        self._ending = False
        self._interrupted: int | None = None

    @property
    def status(self) -> int:
        """The command's; 124 when those left had their time, 128 + N when signal N came while they were waited for."""
        if self.time_was_up:
            return EXIT_TIMED_OUT
        return super().status if self._interrupted is None else EXIT_SIGNALLED + self._interrupted

    @property
    def descendants(self) -> int:
        """How many were met, the command not counted."""
        return max(self.watch.met - 1, 0)

    @property
    def unseen(self) -> int:
        """How many fell to this process, and were waited for, that had lived too briefly to be met."""
        return self.watch.unseen

    def status_with(self, fail_on_leak: bool, leaks: int) -> int:
        """The status, and 1 in place of 0 where leaks are to fail it and there are any."""
        return EXIT_FALSE if fail_on_leak and leaks and self.status == EXIT_OK else self.status

    def since_begin_ms(self, moment: float) -> float:
        """Milliseconds from the start of the run to a moment by time.monotonic."""
        return round((moment - self._begun) * 1000, 3)

    def note(self, of: Descendant, moment: float, event: str, detail: str = "") -> None:
        """Add an event."""
        self.events.append(Event(self.since_begin_ms(moment), of.pid, of.name, event, detail))

    # --- what Run does otherwise

    def _signals(self) -> Signals:
        self.watch = Watcher(self._on_orphan, self._on_gone)
        return self.watch

    def _spawned(self, pid: int) -> None:
        self.watch.began(pid)

    def _reaped(self, pid: int, wait_status: int, usage: struct_rusage) -> None:
        self.watch.reaped(pid, wait_status, usage)

    def _pass_on(self, pid: int, info: Arrived) -> bool:
        """Send a signal to the command's process group, as `tini -g` does.

        The command stays in ours, so that the terminal's Ctrl-C, Ctrl-Z and foreground are as without ipcctl; but ours
        may hold whoever started us: of it, only the command's descendants are meant.
        """
        group = os.getpgid(pid)
        if group != os.getpgrp() and not info.queued:
            return self._signal_group(pid, group, info.si_signo)
        self._is_out_of_reach(*signal_all(Descendants(), info.si_signo, group, queued=info))
        return True

    def _signal_group(self, pid: int, group: int, number: int) -> bool:
        try:
            os.killpg(group, number)
        except PermissionError:  # to none of them
            self._is_out_of_reach(stat_of(pid))
            return False
        return True

    def _see_through(self, signals: Signals) -> None:
        super()._see_through(signals)
        if self.records[0].pid is None:
            return
        self._command_ended()
        if self.left == "wait":
            self._wait_for_left(signals)
        elif self.left == "kill" and self._reap():
            self._end_all(signals)

    def _end_all(self, signals: Signals, had_grace: bool = False) -> None:
        self._take_stock()
        self._ending = True  # who loses its parent from now on loses it by us
        if self.left == "wait" and not self._running:
            self._interrupted = self.asked_to_end
        super()._end_all(signals, had_grace)

    # ---

    def _command_ended(self) -> None:
        self._take_stock()
        self.still_running = len(self.watch.alive())

    def _take_stock(self) -> None:
        """Nothing is left where there is no child, and then there is nothing to look for."""
        if self._stock_taken:
            return
        if self._reap():
            self.watch.look(everywhere=True)
            self._reap()
        now = time.monotonic()
        for each in self.watch.zombies():
            self._keep_zombie(each, now)
        self._stock_taken = True

    def _wait_for_left(self, signals: Signals) -> None:
        deadline = None if self.wait_s is None else time.monotonic() + self.wait_s
        while self._reap():
            info = signals.wait(deadline)
            if info is None:
                self.time_was_up = True
                return self._end_all(signals)
            if signals.asks(info) or info.si_signo == SIG.SIGQUIT:
                self.asked_to_end = info.si_signo
                return self._end_all(signals)
            if info.si_signo != SIG.SIGCHLD:
                self._hand_to_left(info, signals)
        return None

    def _hand_to_left(self, info: Arrived, signals: Signals) -> None:
        """Hand a signal to those that the command left, unless it is the terminal's: whoever is to have it has it."""
        if not info.is_the_groups:
            signal_all(Descendants(), info.si_signo, queued=info)
        signals.stop_as_well(info)

    def _on_orphan(self, found: Descendant) -> None:
        if not self._ending:
            self.orphans.append(found)

    def _on_gone(self, found: Descendant) -> None:
        if found is not self.watch.root and found.orphaned is None and found.gone is not None:
            self._keep_zombie(found, found.gone)

    def _keep_zombie(self, found: Descendant, until: float) -> None:
        if self._stock_taken or found.exited is None or until - found.exited <= self.longer_than_s:
            return
        if found.holder is not None and found.holder.exited is None:
            found.holder.look()
        self.zombies.append((found, until))
