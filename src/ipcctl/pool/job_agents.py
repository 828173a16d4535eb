"""Jobs run by agents (process/agent.py), one a slot, so that a job's whole tree is known by itself.

    the loop ──job──► its slot's agent ─► started ─► ended ─┬─► no child is left: the agent takes the slot's next job
                                                            ├─► some are: they fall to the loop, the agent is let go
                                                            └─► some are, time was up: the loop ends them ─► emptied
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from ..errors import CannotStart
from ..process.agent import ENDED, NOT_STARTED, STARTED, Agents, Report
from ..process.spawn import cannot_start

if TYPE_CHECKING:
    from .job import Job
    from .slots import Slot


class JobAgents:
    """The agents of a pool. `reading` can be read when one of them has something to tell. Raises OSError."""

    def __init__(self, mask: Iterable[int], environment: Mapping[bytes, bytes]) -> None:
        self._agents = Agents(mask, environment)
        self.reading = self._agents.reading
        self._slots: dict[int, Slot] = {}  # by the agent's PID
        self._starting: set[Job] = set()

    @property
    def pending(self) -> Collection[Job]:
        """Those whose starts are not answered yet."""
        return self._starting

    def send(self, job: Job) -> None:
        """Have a job started by its slot's agent, which is made where there is none. Raises CannotStart at a limit."""
        slot, record = job.slot, job.record
        assert slot is not None and record is not None
        if slot.agent is None:
            try:
                slot.agent = self._agents.make(slot.actions)
            except OSError as error:
                raise cannot_start(record.argv[0], error) from None
            self._slots[slot.agent.pid] = slot
        slot.job = job
        self._starting.add(job)
        job.begins()
        slot.agent.run(record.argv)

    def reports(self) -> Iterator[tuple[Job, Report]]:
        """What the agents have told, each of its job."""
        for report in self._agents.reports():
            slot = self._slots.get(report.agent)
            if slot is None or slot.job is None:  # it was let go
                continue
            job = slot.job
            if report.kind in (STARTED, NOT_STARTED):
                self._starting.discard(job)
            job.left = report.kind == ENDED and report.left
            if report.kind != STARTED and not job.left:
                slot.job = None
            yield job, report

    def release(self, slot: Slot) -> None:
        """Part with a slot's agent, which then ends: what its job left running falls to this process."""
        if slot.agent is not None:
            del self._slots[slot.agent.pid]
            slot.agent.release()
            slot.agent = slot.job = None

    def lost(self, pid: int) -> Job | None:
        """A child was waited for: the job that it was to run where it was an agent, which nothing but a kill ends."""
        slot = self._slots.get(pid)
        if slot is None:
            return None
        job = slot.job
        self.release(slot)
        if job is not None:
            self._starting.discard(job)
            job.left = False  # whatever was, fell to this process
        return job

    def kill(self) -> None:
        """Kill the agents: all that they run falls to this process. What they have told is still to be heard."""
        for pid in self._slots:
            os.kill(pid, signal.SIGKILL)  # a child of ours that was not waited for: the PID can be nobody else's
            os.waitpid(pid, 0)

    def forget(self) -> None:
        """Expect nothing of them any more."""
        for slot in tuple(self._slots.values()):
            self.release(slot)
        self._starting.clear()

    def close(self) -> None:
        """End the agents, and hear no more of them."""
        self.kill()
        self.forget()
        self._agents.close()


def why_not_started(name: str, report: Report) -> CannotStart:
    """The error of a job that its agent could not start."""
    if report.code:
        return cannot_start(name, OSError(report.code, os.strerror(report.code)))
    return cannot_start(name, ValueError("embedded null byte"))
