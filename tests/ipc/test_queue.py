"""Queues from Python: order, leases, bounds, and what is left of them when processes are killed at any instant."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import clean_environment

from ipcctl.errors import BadInput
from ipcctl.ipc.queue.blocking import Consumer, NoRoom, Producer, WaitTimedOut
from ipcctl.ipc.queue.database import Removed
from ipcctl.ipc.queue.message import Taken
from ipcctl.ipc.queue.queue import Closed, Queue
from ipcctl.ipc.queue.queues import Queues
from ipcctl.ipc.queue.splitting import Splitter


@pytest.fixture
def queues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queues:
    """None there yet."""
    monkeypatch.setenv("IPCCTL_DIR", str(tmp_path / "ipcctl"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Queues()


@pytest.fixture
def queue(queues: Queues) -> Iterator[Queue]:
    """An empty one."""
    with queues.open_or_make("q") as found:
        yield found


def bodies(taken: Taken) -> list[bytes]:
    """The messages themselves."""
    return [each.body for each in taken.messages]


def figures(queue: Queue) -> tuple[int, ...]:
    """waiting, leased, dead, put, got."""
    stat = queue.stat()
    return tuple(stat[name] for name in ("waiting", "leased", "dead", "put", "got"))


def test_first_in_first_out_and_gone_when_done(queue: Queue) -> None:
    queue.put([b"1", b"2"])
    queue.put([b"", b"\0\xff\n"])
    first = queue.take(3)
    assert (bodies(first), figures(queue)) == ([b"1", b"2", b""], (1, 3, 0, 4, 0))
    assert queue.acknowledge(first)
    assert (bodies(queue.take(9)), figures(queue)) == ([b"\0\xff\n"], (0, 1, 0, 4, 3))


def test_two_never_take_the_same_and_what_is_given_back_comes_first(queue: Queue, queues: Queues) -> None:
    queue.put([b"%d" % number for number in range(9)])
    with queues.open("q") as other:
        mine, theirs = queue.take(2), other.take(2)
        mine_too = queue.take(2, attempt=True)
        assert [bodies(each) for each in (mine, theirs, mine_too)] == [[b"0", b"1"], [b"2", b"3"], [b"4", b"5"]]
        other.requeue(theirs)
        queue.acknowledge(mine)
        assert bodies(other.take(9)) == [b"2", b"3"], "a range ends where another lease begins"
        assert bodies(other.take(9)) == [b"6", b"7", b"8"]
        assert figures(queue) == (0, 7, 0, 9, 2)
    assert figures(queue) == (5, 2, 0, 9, 2), "who lets go of it gives back what it took"
    assert bodies(queue.take(9)) == [b"2", b"3"]


def test_a_lease_that_is_over_is_anothers(queue: Queue, queues: Queues) -> None:
    queue.put([b"1"])
    late = queue.take(1, lease_s=0.0, attempt=True)
    with queues.open("q") as other:
        again = other.take(1, attempt=True)
        assert (bodies(again), again.messages[0].attempts) == ([b"1"], 2)
        assert not queue.acknowledge(late)
        assert not queue.failed(late, 0, "late")
        assert other.acknowledge(again)
    assert figures(queue) == (0, 0, 0, 1, 1)


def test_failures_are_counted_then_dead_letters_then_revived_at_the_end(queue: Queue) -> None:
    queue.put([b"bad", b"good"])
    assert not queue.failed(queue.take(1, attempt=True), 1, "status 1")
    killed = queue.take(1, attempt=True)
    queue.requeue(killed)
    assert queue.failed(again := queue.take(1, attempt=True), 1, "status 2")
    assert (again.messages[0].attempts, figures(queue)) == (3, (1, 0, 1, 2, 0))
    ((dead, why),) = queue.dead(9)
    assert (dead.body, dead.attempts, why) == (b"bad", 3, "status 2")
    with pytest.raises(BadInput, match=r"no dead message 7 .* there are: 1"):
        queue.requeue_dead([7])
    assert queue.requeue_dead() == 1
    assert [each.body for each in queue.peek(9)] == [b"good", b"bad"]
    assert queue.take(2, attempt=True).messages[1].attempts == 1
    assert queue.stat()["held_bytes"] == 7


def test_a_bound_holds_what_is_leased_too_and_is_the_first_puts(queue: Queue) -> None:
    assert queue.put([b"1", b"2", b"3"], bound=2) == 2
    taken = queue.take(1)
    assert (queue.put([b"3"]), queue.stat()["full"]) == (0, True)
    with pytest.raises(BadInput, match=r"at most 2 messages.*`bound` 5"):
        queue.put([b"3"], bound=5)
    with pytest.raises(NoRoom):
        Producer(queue, 2, 0).put([b"3"])
    with pytest.raises(WaitTimedOut):
        Producer(queue, 2, 0.01).put([b"3"])
    queue.acknowledge(taken)
    assert queue.put([b"3", b"4"], bound=2) == 1


def test_without_a_bound_at_the_first_put_there_is_none(queue: Queue) -> None:
    queue.put([b"1"])
    with pytest.raises(BadInput, match="any number"):
        queue.put([b"2"], bound=1)


def test_closed(queue: Queue) -> None:
    queue.put([b"1", b"2"])
    queue.close_to_puts()
    with pytest.raises(Closed):
        queue.put([b"3"])
    getter = Consumer(queue, None, None)
    for taken in getter.batches():
        assert bodies(taken) == [b"1", b"2"]
        assert not queue.is_over()
        queue.acknowledge(taken)
    assert (getter.count, queue.is_over()) == (2, True)


def test_a_getter_that_waits_hears_of_each_kind_of_change(queue: Queue, queues: Queues) -> None:
    """Its ear is readable after a put, a give-back, the end of one who had taken something, and a removal."""
    queue.watch()

    def is_heard() -> bool:
        clear_wakeups = bool(select.select([queue.wakeup_fd], [], [], 0)[0])
        if clear_wakeups:
            queue.clear_wakeups()
        return clear_wakeups

    assert not is_heard()
    with queues.open("q") as other:
        other.put([b"1"])
        assert is_heard()
        taken = other.take(1)
        assert not is_heard(), "what concerns nobody wakes nobody"
        other.requeue(taken)
        assert is_heard()
        other.take(1)
    assert is_heard(), "its descriptor was closed, as the kernel does when it is killed"
    queues.remove("q")
    with pytest.raises(Removed):
        is_heard()
    with pytest.raises(Removed):
        queue.put([b"2"])


def test_timeouts(queue: Queue) -> None:
    with pytest.raises(WaitTimedOut):
        next(Consumer(queue, 1, 0.01).batches())
    assert list(Consumer(queue, 1, 0).batches()) == []


def test_a_bounded_queue_passes_all_between_threads(queue: Queue, queues: Queues) -> None:
    wanted = [b"%d" % number for number in range(60)]

    def put() -> None:
        with queues.open("q") as other:
            Producer(other, 4, 20.0).put(wanted)
            other.close_to_puts()

    thread = threading.Thread(target=put)
    thread.start()
    found = []
    for taken in Consumer(queue, None, 20.0).batches():
        found += bodies(taken)
        queue.acknowledge(taken)
    thread.join()
    assert found == wanted


def test_an_emptied_queue_gives_its_room_back(queue: Queue) -> None:
    path = Path(queue.store.path)
    queue.put([bytes(1 << 20)] * 9)
    taken = queue.take(9)
    assert len(taken.messages) == 8, "not more is taken into memory at once than is good"
    queue.acknowledge(taken)
    queue.acknowledge(queue.take(9))
    assert path.stat().st_size < 1 << 20
    assert not path.with_name("q.queue-wal").stat().st_size


def test_the_longest_message_and_one_that_is_too_long(queue: Queue) -> None:
    with pytest.raises(BadInput, match=r"67108865 bytes.*67108864"):
        queue.put([b"1", bytes((64 << 20) + 1)])
    assert queue.stat()["put"] == 0, "none of what was put together"


def test_a_stream_is_cut_wherever_it_was_read() -> None:
    splitter = Splitter(b"\n")
    assert [splitter.feed(part) for part in (b"a\nb", b"", b"c\n\nd", b"e")] == [[b"a"], [], [b"bc", b""], []]
    assert splitter.end() == [b"de"]
    assert Splitter(b"\n").end() == []


# A process forks putters and getters, and kills each at a random moment. What was acknowledged, and what was printed,
# comes through pipes; at the end it gets what is left.
KILLING = """
import json, os, random, select, signal, sys
from collections import Counter
from ipcctl.ipc.queue.queues import Queues

queues, kills, size = Queues(), int(sys.argv[1]), 5
puts, gets = os.pipe(), os.pipe()

def put(number):
    with queues.open_or_make("q") as queue:
        for each in range(10 ** 9):
            message = b"%d.%d" % (number, each)
            queue.put([message])
            os.write(puts[1], message + b"\\n")

def get(number):
    with queues.open_or_make("q") as queue:
        while True:
            taken = queue.take(size)
            if taken.messages:
                os.write(gets[1], b"".join(each.body + b"\\n" for each in taken.messages))
                queue.acknowledge(taken)

def child(function, number):
    pid = os.fork()
    if pid == 0:
        try:
            function(number)
        finally:
            os._exit(1)
    return pid

seen = {puts: b"", gets: b""}
def read(until):
    while select.select([puts[0], gets[0]], [], [], until)[0]:
        for pipe in seen:
            if select.select([pipe[0]], [], [], 0)[0]:
                seen[pipe] += os.read(pipe[0], 1 << 16)

for number in range(kills // 2):
    pids = [child(put, number), child(get, number)]
    select.select([], [], [], random.uniform(0, 0.02))  # any moment
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    assert statuses == [9, 9], statuses
    read(0)
acknowledged, printed = (Counter(seen[pipe].split()) for pipe in seen)
with queues.open_or_make("q") as queue:
    while (taken := queue.take(1000)).messages:
        printed.update(each.body for each in taken.messages)
        queue.acknowledge(taken)
    print(json.dumps({
        "lost": len(acknowledged.keys() - printed.keys()), "acknowledged": len(acknowledged),
        "not acknowledged": len(printed.keys() - acknowledged.keys()),
        "twice": sum(count - 1 for count in printed.values()), "unique": len(printed), "stat": queue.stat()}))
"""


def test_killed_at_hundreds_of_moments_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    kills = 300
    env = clean_environment(IPCCTL_DIR=str(tmp_path / "ipcctl"))
    command = [sys.executable, "-c", KILLING, str(kills)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["lost"] == 0
    assert found["acknowledged"] > kills, "the kills came before anything happened"
    assert found["not acknowledged"] <= kills / 2, "at most the one of each that was killed in between"
    assert found["twice"] <= kills / 2 * 5, "at most what each killed getter had printed and was not done with"
    stat = found["stat"]
    assert (stat["waiting"], stat["leased"], stat["held_bytes"]) == (0, 0, 0)
    assert stat["put"] == stat["got"] == found["unique"]
