"""An agent: what it tells of its command, what it keeps of others', and when it ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import DEADLINE_S, children, end_children, runs, wait_until

from ipcctl.process.agent import EMPTIED, ENDED, NOT_STARTED, STARTED, Agent, Agents, Report
from ipcctl.process.terminate import alive, kill, signal_all


@pytest.fixture
def agents() -> Iterator[Agents]:
    made = Agents(signal.pthread_sigmask(signal.SIG_BLOCK, []), dict(os.environb))
    yield made
    made.close()


@pytest.fixture
def agent(agents: Agents) -> Iterator[Agent]:
    null = os.open(os.devnull, os.O_RDWR)
    made = agents.make([(os.POSIX_SPAWN_DUP2, null, 0)])
    yield made
    os.close(null)
    made.release()
    end_children()


def told(agents: Agents, *kinds: int) -> Report:
    """The last of so many reports, which must be of these kinds."""
    found: list[Report] = []
    while len(found) < len(kinds):
        assert select.select([agents.reading], [], [], DEADLINE_S)[0], "nothing was told"
        found += agents.reports()
    assert tuple(each.kind for each in found) == kinds
    return found[-1]


def test_it_tells_of_the_start_and_the_end(agents: Agents, agent: Agent) -> None:
    agent.run(["sh", "-c", "read -r x; exit $CODE"], {b"CODE": b"7"})
    ended = told(agents, STARTED, ENDED)
    assert (ended.agent, ended.code, ended.left) == (agent.pid, 7 << 8, False)
    assert ended.pid not in (0, agent.pid)
    assert ended.usage.ru_maxrss > 0
    agent.run(["sh", "-c", "kill -9 $$; $CODE"])
    assert told(agents, STARTED, ENDED).code == 9


def test_what_cannot_be_started_is_told_and_the_next_is_started(agents: Agents, agent: Agent) -> None:
    for argv, code in [(["no-such-command"], 2), (["/"], 13), (["true", "\0"], 0), (["true", "x" * 200_000], 7)]:
        agent.run(argv)
        assert told(agents, NOT_STARTED).code == code
    agent.run(["true"])
    told(agents, STARTED, ENDED)


TREE = "(setsid sh -c 'sleep 1000 & exec sleep 1000' &); sleep 1000 & exit 0"


def test_what_is_left_is_known_and_its_end_is_told(agents: Agents, agent: Agent) -> None:
    agent.run(["sh", "-c", TREE])
    assert told(agents, STARTED, ENDED).left
    wait_until(lambda: [each.name for each in agent.found()] == ["sleep"] * 3)
    found = agent.found()
    assert all(agent.has(each, {other.pid for other in found}) for each in found)
    agent.tell_when_empty()
    for each in found:
        os.kill(each.pid, signal.SIGKILL)
    told(agents, EMPTIED)
    assert agent.found() == []


def test_let_go_it_ends_and_what_is_left_falls_to_its_supervisor(agents: Agents) -> None:
    agent = agents.make([])
    agent.run(["sh", "-c", "sleep 1000 & exit 0"])
    assert told(agents, STARTED, ENDED).left
    (left,) = children(agent.pid)
    agent.release()
    assert os.waitpid(agent.pid, 0) == (agent.pid, 0)
    assert left in children()
    os.kill(left, signal.SIGKILL)
    os.waitpid(left, 0)


def test_it_holds_on_to_nothing_of_others(agents: Agents, agent: Agent) -> None:
    """Not to the pipes of another agent, whose ends would then not come; only to what its commands inherit."""
    reading, writing = os.pipe()
    inherited = os.dup(writing)
    os.set_inheritable(inherited, True)
    other = agents.make([(os.POSIX_SPAWN_DUP2, writing, 1)])
    another = agents.make([])
    for each in (other, another):
        each.run(["true"])
        told(agents, STARTED, ENDED)
    held = {pid: set(map(int, os.listdir(f"/proc/{pid}/fd"))) for pid in (other.pid, another.pid)}
    assert writing in held[other.pid] and inherited in held[another.pid]
    assert reading not in held[other.pid] | held[another.pid]
    assert writing not in held[another.pid]
    for each in (other, another):
        each.release()
        os.waitpid(each.pid, 0)
    for descriptor in (reading, writing, inherited):
        os.close(descriptor)


def test_no_signal_that_can_be_blocked_ends_or_stops_it(agents: Agents, agent: Agent) -> None:
    agent.run(["true"])
    told(agents, STARTED, ENDED)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        os.kill(agent.pid, number)
    agent.run(["true"])
    told(agents, STARTED, ENDED)


def test_a_limit_on_descriptors_is_an_error_and_leaves_none(agents: Agents) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            agents.make([])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert len(os.listdir("/proc/self/fd")) == used


SUPERVISOR = """
import os, sys
from ipcctl.process.agent import Agents
agents = Agents([], dict(os.environb))
for number in "12":
    agent = agents.make([])
    agent.run(["sh", "-c", "echo $$ > $0; exec sleep 1000", sys.argv[1] + number])
idle = agents.make([])
print(agent.pid, idle.pid, flush=True)
sys.stdin.read()
"""


def test_it_ends_with_its_supervisor_and_its_command_goes_on(tmp_path: Path) -> None:
    words = [sys.executable, "-c", SUPERVISOR, f"{tmp_path}/"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        pids = [int(each) for each in supervisor.stdout.readline().split()]
        files = [tmp_path / "1", tmp_path / "2"]
        wait_until(lambda: all(each.exists() and each.read_text() for each in files))
        supervisor.kill()
    wait_until(lambda: not any(map(runs, pids)))
    assert all(runs(int(each.read_text())) for each in files)
    end_children()


STUBBORN = """trap '' TERM; (setsid env -i sh -c 'sleep 1000 & sleep 1000' &)
setsid sleep 1000 & (sleep 1000 & sleep 1000) &
while :; do wait; done"""


def test_a_commands_tree_is_told_from_anothers_and_ended_whole(agents: Agents) -> None:
    one, other = both = [agents.make([]) for _ in "12"]
    for each in both:
        each.run(["sh", "-c", STUBBORN])
    wait_until(lambda: all(sleeping(each) == 5 for each in both))
    signal_all(one, signal.SIGTERM, wake=True)
    kill(one)
    wait_until(lambda: alive(one) == [])
    assert sleeping(other) == 5
    kill(other)
    wait_until(lambda: alive(other) == [])
    for each in both:
        each.release()
    end_children()


def sleeping(tree: Agent) -> int:
    """How many sleeps are in a tree."""
    return [each.name for each in alive(tree)].count("sleep")
