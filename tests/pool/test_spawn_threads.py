"""Threads that start jobs: answers, ends that come before them, and whose signals they take."""

from __future__ import annotations

import os
import resource
import signal
import threading
from pathlib import Path

import pytest
from support import wait_until

from ipcctl.pool.job import Job, JobResult
from ipcctl.pool.slots import Slot
from ipcctl.pool.spawn_threads import SpawnThreads

EXIT_USAGE = resource.getrusage(resource.RUSAGE_SELF)


def job_of(argv: list[str], number: int = 1) -> Job:
    """A job as the pool sends it."""
    job = Job(argv[1:], number)
    job.slot, job.record = Slot(number), JobResult(argv, number, number, "", 1)
    return job


@pytest.fixture
def woken() -> list[int]:
    return []


@pytest.fixture
def starter(woken: list[int]) -> SpawnThreads:
    made = SpawnThreads(signal.pthread_sigmask(signal.SIG_BLOCK, []), dict(os.environb), lambda: woken.append(1))
    yield made
    made.close()
    assert threading.active_count() == 1


def test_each_start_is_answered_once(starter: SpawnThreads, woken: list[int]) -> None:
    jobs = [job_of(["true"], number) for number in range(1, 30)] + [job_of(["no-such-command"], 30)]
    for job in jobs:
        starter.send(job)
    assert set(starter.pending) == set(jobs)
    answers = dict(starter.answers(all_of_them=True))
    assert (answers.keys(), len(starter.pending), len(woken)) == (set(jobs), 0, 1)  # woken for the one that failed
    assert [job.seq for job, pid in answers.items() if pid is None] == [30]
    pids = {pid for pid in answers.values() if pid is not None}
    assert {os.waitpid(pid, 0) for pid in pids} == {(pid, 0) for pid in pids}
    assert all(job.begun > 0 for job in jobs)


def test_an_end_that_comes_first_is_kept_for_its_start_alone(starter: SpawnThreads) -> None:
    ended = (0, EXIT_USAGE, 1.0)
    first, second = job_of(["true"]), job_of(["true"])
    starter._pending = {first: 1, second: 2}
    starter._sent = 2
    starter.keep(1000, ended)
    starter.keep(1001, ended)
    del starter._pending[first]
    assert (starter.kept(1002), starter.kept(1000), starter.kept(1000)) == (None, ended, None)
    assert 1001 in starter._early
    del starter._pending[second]
    assert (starter.kept(1003), starter._early) == (None, {})  # nobody is left whose it could be


def test_whoever_is_told_late_is_woken(starter: SpawnThreads, woken: list[int]) -> None:
    starter.keep(1000, (0, EXIT_USAGE, 1.0))
    starter.send(job_of(["true"]))
    wait_until(lambda: woken)
    ((_, pid),) = starter.answers()
    assert pid is not None and os.waitpid(pid, 0) == (pid, 0)


def test_signals_are_not_for_the_threads(starter: SpawnThreads) -> None:
    for each in (thread.native_id for thread in starter._threads):
        text = Path(f"/proc/self/task/{each}/status").read_text()
        blocked = int(text.split("SigBlk:")[1].split()[0], 16)
        assert all(blocked >> number - 1 & 1 for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGALRM))
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
