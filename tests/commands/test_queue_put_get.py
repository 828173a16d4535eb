"""`ipcctl queue put`, `get`, `peek` and what looks at queues: with the real binary, between processes."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from queues import Queue, own_environment, runner, stat, wait_until_asleep
from support import IPCCTL, one_line, report_of, started, wait_until


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return own_environment(tmp_path)


@pytest.fixture
def queue(env: dict[str, str]) -> Queue:
    return runner(env, text=False)


def test_in_and_out_as_they_are(queue: Queue) -> None:
    assert queue("put", "q", "one", "", b"\xff two\n").returncode == 0
    assert queue("put", "q", data=b"a\n\nb\r\nlast").returncode == 0
    assert queue("put", "q", "-0", data=b"x\ny\0z\0").returncode == 0
    assert queue("put", "q", "--whole", data=b"1\n2\n\0").returncode == 0
    assert queue("put", "q", "--whole", data=b"").returncode == 0
    assert queue("put", "q", data=b"").returncode == 0
    assert queue("peek", "q").stdout == b"one\n"
    assert queue("get", "q").stdout == b"one\n"
    assert queue("get", "q", "-0", "-n", "2").stdout == b"\0\xff two\n\0"
    assert queue("peek", "-n", "9", "q", "-0").stdout == b"a\0\0b\r\0last\0x\ny\0z\x001\n2\n\0\0\0"
    assert queue("get", "q", "--all").stdout == b"a\n\nb\r\nlast\nx\ny\nz\n1\n2\n\0\n\n"
    empty = [queue(*args).returncode for args in (("get", "--try", "q"), ("peek", "q"), ("get", "q", "--all"))]
    assert empty == [1, 1, 0]


def test_json_has_id_time_attempts(queue: Queue) -> None:
    queue("put", "q", b"\xff", "two")
    first, second = map(json.loads, queue("get", "q", "--json", "--all").stdout.splitlines())
    assert (first["id"], first["attempts"], first["message"]) == (1, 0, "\udcff")
    assert (second["id"], second["message"]) == (2, "two")
    assert first["time"] == second["time"]
    queue("put", "q", "three")
    assert json.loads(queue("peek", "q", "--json").stdout)["id"] == 3, "an id is never given again"


def test_a_bound_and_its_ways_to_wait(queue: Queue) -> None:
    done = queue("put", "q", "--max", "3", "--try", "1", "2", "3", "4", "5", text=True)
    assert (done.returncode, one_line(done.stderr)) == (1, "ipcctl queue: queue 'q' is full; 3 of 5 messages are in")
    done = queue("put", "q", "--timeout", "50ms", data=b"x\n")
    assert (done.returncode, done.stderr) == (124, b"ipcctl queue: queue 'q' was full for 0.05 s; 0 messages are in\n")
    done = queue("put", "q", "--max", "4", "x", text=True)
    assert done.returncode == 2
    assert "at most 3 messages" in one_line(done.stderr)
    assert "--max 4" in done.stderr
    figures = stat(queue)
    assert (figures["waiting"], figures["max"], figures["full"], figures["empty"]) == (3, 3, True, False)


def test_a_put_waits_for_room_and_a_get_for_a_message(queue: Queue, env: dict[str, str]) -> None:
    queue("put", "q", "--max", "1", "1")
    with started("queue", "put", "q", "2", "3", env=env) as putter:
        wait_until_asleep(putter)
        with started("queue", "get", "q", "-n", "4", env=env) as getter:
            assert putter.wait() == 0
            wait_until_asleep(getter)
            queue("put", "q", "4")
            assert (getter.communicate()[0], getter.returncode) == ("1\n2\n3\n4\n", 0)


def test_who_waits_takes_no_processor_time_and_is_woken(queue: Queue, env: dict[str, str]) -> None:
    """It is there before the queue is; each put that another process makes comes through."""
    with started("queue", "get", "q", "--follow", env=env) as getter:
        assert getter.stdout is not None
        wait_until_asleep(getter)
        for each in ("a", "b"):
            queue("put", "q", each)
            assert getter.stdout.readline() == f"{each}\n"
        wait_until_asleep(getter)
        before = Path(f"/proc/{getter.pid}/schedstat").read_text().split()[0]
        os.sched_yield()
        assert Path(f"/proc/{getter.pid}/schedstat").read_text().split()[0] == before
        queue("close", "q")
        assert (getter.communicate(), getter.returncode) == (("", ""), 0)


def test_closed(queue: Queue, env: dict[str, str]) -> None:
    queue("put", "q", "1", "2")
    with started("queue", "get", "q", "-n", "3", env=env) as getter:
        wait_until_asleep(getter)
        assert queue("close", "q").returncode == 0
        assert (getter.communicate(), getter.returncode) == (("1\n2\n", ""), 1)
    done = queue("put", "q", data=b"3\n4\n", text=False)
    assert (done.returncode, b"is closed" in done.stderr, b"; 0 messages are in" in done.stderr) == (1, True, True)
    for args in ((), ("--all",), ("--try",), ("--timeout", "1h")):
        assert queue("get", "q", *args).returncode == 1, args
    assert queue("get", "q", "--follow").returncode == 0
    assert stat(queue)["closed"] is True


def test_timeout_of_get(queue: Queue) -> None:
    queue("put", "q", "1")
    done = queue("get", "q", "-n", "2", "--timeout", "50ms", text=True)
    assert (done.returncode, done.stdout) == (124, "1\n")
    assert "for 0.05 s" in one_line(done.stderr)
    assert queue("get", "q", "-n", "2", "--try").returncode == 1


def test_removing_ends_those_who_wait(queue: Queue, env: dict[str, str]) -> None:
    queue("put", "full", "--max", "1", "1")
    waiting = (["get", "q"], ["get", "q", "--follow"], ["put", "full", "2"], ["work", "q", "--", "true", "{}"])
    for args in waiting:
        with started("queue", *args, env=env) as process:
            wait_until_asleep(process)
            assert queue("remove", "--all").returncode == 0
            assert "was removed while it was in use" in one_line(process.communicate()[1])
            assert process.returncode == 1
        queue("put", "full", "--max", "1", "1")
    assert os.listdir(env["IPCCTL_DIR"]) != []
    queue("remove", "full")
    assert os.listdir(env["IPCCTL_DIR"]) == []


def test_list_and_remove(queue: Queue) -> None:
    assert report_of(queue("list", "-f", "json"))["rows"] == []
    queue("put", "b", "1")
    queue("put", "a", "--durable", "--max", "7", "1", "22")
    first, second = report_of(queue("list", "-f", "json"))["rows"]
    figures = [first[name] for name in ("name", "waiting", "max", "durable", "held_bytes")]
    assert figures == ["a", 2, 7, True, 3]
    assert (second["name"], second["durable"], second["problem"]) == ("b", False, None)
    assert first["created"] <= first["last_used"]
    queue("put", "a", "3")
    assert report_of(queue("list", "-f", "json"))["rows"][0]["last_used"] > first["last_used"]
    assert queue("remove", "a", "b").returncode == 0
    done = queue("remove", "b", text=True)
    assert (done.returncode, "no queue 'b'" in one_line(done.stderr)) == (1, True)


def test_a_durable_queue_is_elsewhere_and_found_by_its_name(queue: Queue, env: dict[str, str]) -> None:
    queue("put", "--durable", "q", "1")
    assert sorted(os.listdir(env["XDG_STATE_HOME"] + "/ipcctl")) == ["q.queue", "q.queue-lock"]
    queue("put", "q", "2")
    queue("put", "--durable", "q", "3")
    assert queue("get", "q", "--all").stdout == b"1\n2\n3\n"
    queue("put", "passing", "1")
    done = queue("put", "passing", "--durable", "2", text=True)
    assert (done.returncode, "not a durable one" in one_line(done.stderr)) == (2, True)


def test_a_durable_put_is_on_the_disk_when_it_is_acknowledged(queue: Queue, env: dict[str, str]) -> None:
    """Between the write to the log and the end comes an fsync(2), as strace sees it."""
    import shutil

    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    queue("put", "--durable", "q", "1")
    command = ["strace", "-f", "-e", "trace=fdatasync,fsync,pwrite64", "-y", IPCCTL, "queue", "put", "q", "2"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    calls = [line for line in done.stderr.splitlines() if "-wal>" in line]
    written = max(at for at, line in enumerate(calls) if line.startswith("pwrite64"))
    assert any("sync(" in line for line in calls[written:]), done.stderr


def test_four_producers_and_four_consumers_nothing_lost_nothing_twice(
    queue: Queue, env: dict[str, str], tmp_path: Path
) -> None:
    parts = [[f"{part}.{number}" for number in range(3000)] for part in range(4)]
    outs = [tmp_path / f"out{number}" for number in range(4)]
    getters = []
    for out in outs:
        with out.open("w") as file:
            getters.append(subprocess.Popen([IPCCTL, "queue", "get", "q", "--follow"], env=env, stdout=file))
    put = [IPCCTL, "queue", "put", "q", "--max", "1000"]
    putters = [subprocess.Popen(put, env=env, stdin=subprocess.PIPE, text=True) for _ in range(4)]
    for putter, part in zip(putters, parts, strict=True):
        assert putter.stdin is not None
        for at in range(0, 3000, 100):
            putter.stdin.write("\n".join(part[at : at + 100]) + "\n")
            putter.stdin.flush()
        putter.stdin.close()
    assert [each.wait() for each in putters] == [0] * 4
    queue("close", "q")
    assert [each.wait() for each in getters] == [0] * 4
    found = [out.read_text().split() for out in outs]
    for consumer in found:
        for number in range(4):
            of_one = [int(each[2:]) for each in consumer if each[0] == str(number)]
            assert of_one == sorted(of_one), "one producer's messages come to one consumer in their order"
    assert sorted(itertools.chain(*found)) == sorted(itertools.chain(*parts))
    figures = stat(queue)
    assert (figures["put"], figures["got"], figures["empty"]) == (12_000, 12_000, True)


def test_two_that_make_it_at_the_same_instant_make_one(env: dict[str, str], queue: Queue) -> None:
    putters = [subprocess.Popen([IPCCTL, "queue", "put", "q", str(number)], env=env) for number in range(8)]
    assert [each.wait() for each in putters] == [0] * 8
    assert sorted(queue("get", "q", "--all").stdout.split()) == [b"%d" % number for number in range(8)]


def test_what_could_not_be_printed_stays(queue: Queue, env: dict[str, str]) -> None:
    queue("put", "q", data=b"".join(b"%07d\n" % number for number in range(60_000)))
    with open("/dev/full", "w") as full:
        done = queue("get", "q", "--all", stdout=full, text=False)
    assert (done.returncode, b"No space left" in done.stderr) == (125, True)
    assert stat(queue)["waiting"] == 60_000
    with started("queue", "get", "q", "--all", env=env) as getter:
        assert getter.stdout is not None
        assert getter.stdout.read(16) == "0000000\n0000001\n"
        getter.stdout.close()
        assert (getter.wait(), getter.stderr and getter.stderr.read()) == (141, "")
    assert stat(queue)["waiting"] == 60_000, "of those that the pipe took it is not known who read them"


def test_a_getter_killed_while_it_prints_gives_back_at_once(queue: Queue, env: dict[str, str]) -> None:
    queue("put", "q", data=b"".join(b"%07d\n" % number for number in range(20_000)))
    with started("queue", "get", "q", "--all", env=env) as slow:
        wait_until(lambda: stat(queue)["leased"] == 10_000)
        with started("queue", "get", "q", "-n", "20000", env=env) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "0010000\n"
            slow.send_signal(signal.SIGKILL)
            rest = other.stdout.read().split()
    assert [int(each) for each in rest] == [*range(10_001, 20_000), *range(10_000)]


def test_the_longest_message(queue: Queue) -> None:
    data = b"x" * (64 << 20)
    assert queue("put", "q", data=data).returncode == 0
    assert stat(queue)["held_bytes"] == len(data)
    assert queue("get", "q").stdout == data + b"\n"
    done = queue("put", "q", data=b"before\n" + data + b"!")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"67108865 bytes is too long; the most is 67108864" in done.stderr
    assert b"; 1 messages are in" in done.stderr


def test_put_asked_to_end_says_how_many_are_in(queue: Queue, env: dict[str, str]) -> None:
    with started("queue", "put", "q", stdin=subprocess.PIPE, env=env) as putter:
        assert putter.stdin is not None
        putter.stdin.write("1\n2\n3")
        putter.stdin.flush()
        wait_until(lambda: b"\n" in queue("peek", "q", "-n", "2").stdout[2:])
        putter.send_signal(signal.SIGTERM)
        assert putter.stderr is not None
        assert one_line(putter.stderr.read()) == "ipcctl queue: interrupted; 2 messages are in"
    assert putter.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("args", "status", "told"),
    [
        (["put", "", "x"], 2, "'' is no name"),
        (["put", "..", "x"], 2, "'..' is no name"),
        (["get", "a/b"], 2, "'a/b' is no name"),
        (["stat", "x" * 65], 2, "at most 64"),
        (["put", "q", "--max", "0", "x"], 2, "0 is not in the range"),
        (["put", "q", "-0", "x"], 2, "MESSAGE and --null exclude each other"),
        (["put", "q", "-0", "--whole"], 2, "--null and --whole exclude each other"),
        (["put", "q", "--try", "--timeout", "1", "x"], 2, "--try and --timeout exclude each other"),
        (["put", "q", "--timeout", "soon", "x"], 2, "'soon' is no time"),
        (["put", "q"], 2, "cannot read standard input"),
        (["get", "q", "-n", "2", "--all"], 2, "--count and --all exclude each other"),
        (["get", "q", "--try", "--timeout", "1"], 2, "--try and --timeout exclude each other"),
        (["get", "nosuch", "--try"], 1, "no queue 'nosuch'"),
        (["peek", "nosuch"], 1, "no queue 'nosuch'"),
        (["stat", "nosuch"], 1, "no queue 'nosuch'"),
        (["close", "nosuch"], 1, "no queue 'nosuch'"),
        (["revive", "nosuch"], 1, "no queue 'nosuch'"),
        (["work", "q", "--", "echo"], 2, "COMMAND has no {}"),
        (["work", "q", "echo", "{}"], 2, "after --"),
        (["work", "q", "-j", "0", "--", "echo", "{}"], 2, "0 is not in the range"),
        (["gut", "q"], 2, "no subcommand 'gut'"),
        (["--maxsize", "3", "get", "q"], 2, "--maxsize stands before the verb 'get'; put it after"),
    ],
)
def test_bad_input_is_one_clear_line(queue: Queue, args: list[str], status: int, told: str) -> None:
    where = {"preexec_fn": lambda: os.close(0)} if args == ["put", "q"] else {}
    done = queue(*args, text=True, **where)
    assert (done.returncode, done.stdout) == (status, "")
    assert told in one_line(done.stderr)
