"""`ipcctl ps`: which processes are listed, in which order, and as what: a tree, zombies, orphans, again and again."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from typing import Any

import pytest
from processes import (
    CHILD,
    NAMED,
    NOBODY,
    ORPHAN,
    SESSION,
    THREADED,
    ZOMBIE,
    end,
    listed_children,
    listed_descendants,
    process,
)
from support import clean_environment, ipcctl, report_of, started, state_of, wait_until


def numbers(*args: str) -> list[int]:
    """The PIDs that are listed."""
    done = ipcctl("ps", "-f", "json", "-c", "pid", *args)
    assert done.stderr == ""
    return [row["pid"] for row in report_of(done)["rows"]]


def test_those_named_in_the_order_named() -> None:
    with process() as one, process() as two:
        assert numbers(str(two.pid), str(one.pid), str(two.pid)) == [two.pid, one.pid]


def test_by_state() -> None:
    with process(ZOMBIE) as parent, process() as stopped:
        os.kill(stopped.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, stopped.pid, os.WSTOPPED | os.WNOWAIT)
        (zombie,) = listed_children(parent.pid)
        both = [str(each) for each in (parent.pid, zombie, stopped.pid)]
        assert numbers("--state", "Z", *both) == [zombie]
        assert numbers("--state", "Z,T", *both) == [zombie, stopped.pid]
        assert numbers("--state", "ZT", *both) == [zombie, stopped.pid]
        assert numbers("--state", "D", *both) == []


def test_by_name_as_a_regular_expression() -> None:
    name = f"ps{os.getpid()}x"
    with process(NAMED, name) as one, process(NAMED, name + "y") as two:
        assert numbers("--name", f"^{name}$") == [one.pid]
        assert numbers("--name", name) == [one.pid, two.pid]
        assert numbers("--name", name + "z") == []


def test_by_user() -> None:
    me = os.getuid()
    with process() as one:
        assert one.pid in numbers("--user", str(me))
        assert one.pid not in numbers("--user", str(me + 1))


def test_by_user_name() -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to become another")
    with process(NOBODY) as one:
        assert one.pid in numbers("--user", "nobody")
        assert one.pid not in numbers("--user", "root")


def test_by_the_number_of_threads() -> None:
    with process() as one, process(THREADED) as two:
        both = (str(one.pid), str(two.pid))
        assert numbers("--threads-over", "0", *both) == [one.pid, two.pid]
        assert numbers("--threads-over", "1", *both) == [two.pid]
        assert numbers("--threads-over", "2", *both) == []


def test_a_thread_is_no_process() -> None:
    with process(THREADED) as one:
        (thread,) = {int(each) for each in os.listdir(f"/proc/{one.pid}/task")} - {one.pid}
        done = ipcctl("ps", "-f", "json", str(thread))
    assert done.returncode == 1
    assert report_of(done)["rows"] == []


def test_those_below_and_those_above() -> None:
    with process(CHILD) as parent:
        (child,) = listed_children(parent.pid)
        assert numbers("--children-of", str(parent.pid)) == [child]
        below = numbers("--children-of", str(os.getpid()))
        assert {parent.pid, child} <= set(below)
        assert os.getpid() not in below
        above = numbers("--parents-of", str(child))
        assert {parent.pid, os.getpid(), 1} <= set(above)
        assert child not in above
        assert numbers("--parents-of", str(child), "--children-of", str(os.getpid())) == [parent.pid]


def test_orphans_by_session() -> None:
    """Its session's leader is gone, and it was adopted by this process (a subreaper), which is in another session."""
    with process(ORPHAN, bufsize=0) as parent:
        assert parent.stdout is not None
        orphan = int(parent.stdout.readline())
        with process(SESSION) as leader, process(CHILD) as other:
            (child,) = listed_children(other.pid)
            found = numbers("--orphans")
            assert orphan in found
            assert not {parent.pid, leader.pid, other.pid, child, os.getpid(), 1, 2} & set(found)
            (row,) = report_of(ipcctl("ps", "--orphans", "-f", "json", str(orphan)))["rows"]
            assert row["ppid"] != parent.pid
            assert row["sid"] not in (row["pid"], os.getsid(0))
        end(orphan)


LEAVES = """
reading, writing = os.pipe()
if os.fork() == 0:                      # it leaves its session, after it has forked
    if os.fork() == 0: signal.pause()
    os.setsid()
    os.write(writing, b"!")
    signal.pause()
os.read(reading, 1)
"""


def test_a_child_from_before_its_parents_setsid_is_no_orphan() -> None:
    with process(SESSION + LEAVES) as leader:
        (middle,) = listed_children(leader.pid)
        (child,) = listed_children(middle)
        assert os.getsid(middle) == middle
        assert os.getsid(child) == leader.pid
        assert child not in numbers("--orphans")


def test_zombies_by_the_parent_that_does_not_wait() -> None:
    two = ZOMBIE + "\n" + ZOMBIE
    with process(two) as careless, process(ZOMBIE) as other:
        done = ipcctl("ps", "--zombies", "-f", "json")
        zombies = sorted(listed_children(careless.pid))
        table = ipcctl("ps", "--zombies", "--section", "rows").stdout
    assert done.returncode == 1
    report = report_of(done)
    assert report["ok"] is False
    rows = {row["ppid"]: row for row in report["rows"]}
    row = rows[careless.pid]
    assert (row["zombies"], sorted(row["pids"])) == (2, zombies)
    assert row["oldest_s"] == max(row["ages_s"]) >= row["newest_s"] == min(row["ages_s"]) >= 0
    assert len(row["names"]) == len(row["ages_s"]) == 2
    assert row["sigchld"] == "default"
    assert row["stat"][0] == "S"
    assert row["command"].startswith(("/", "python"))
    assert rows[other.pid]["zombies"] == 1
    assert report["summary"]["zombies"] == sum(each["zombies"] for each in rows.values())
    assert any(line.split()[0] == str(careless.pid) for line in table.splitlines())


@pytest.mark.parametrize(
    ("treatment", "word"),
    [
        ("signal.signal(signal.SIGCHLD, lambda *_: None)\n", "caught"),
        ("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])\n", "blocked"),
    ],
)
def test_what_the_parent_does_about_sigchld(treatment: str, word: str) -> None:
    with process(treatment + ZOMBIE) as parent:
        rows = report_of(ipcctl("ps", "--zombies", "-f", "json"))["rows"]
    assert [row["sigchld"] for row in rows if row["ppid"] == parent.pid] == [word]


def test_no_zombies_no_fault() -> None:
    with process() as one:
        done = ipcctl("ps", "--zombies", "-f", "json", str(one.pid))
    assert done.returncode == 0
    assert report_of(done)["rows"] == []


def test_sorted() -> None:
    rows = report_of(ipcctl("ps", "-f", "json", "--sort", "-rss,pid"))["rows"]
    keys = [(-row["rss_kib"], row["pid"]) for row in rows]
    assert keys == sorted(keys)
    names = [row["name"] for row in report_of(ipcctl("ps", "-f", "json", "--sort", "name"))["rows"]]
    assert names == sorted(names)


def test_sorted_by_what_some_have_not() -> None:
    ttys = [row["tty"] for row in report_of(ipcctl("ps", "-f", "json", "--sort", "-tty"))["rows"]]
    known = [each for each in ttys if each is not None]
    assert ttys == sorted(known, reverse=True) + [None] * (len(ttys) - len(known))


def test_sorted_by_a_column_that_is_not_shown() -> None:
    with process() as one, process("page = bytes(range(256)) * (1 << 17)") as two:
        assert numbers("--sort", "-uss", str(one.pid), str(two.pid)) == [two.pid, one.pid]


def test_the_first_few() -> None:
    assert len(numbers("--limit", "3")) == 3
    rows = report_of(ipcctl("ps", "-f", "json", "--sort", "-pid", "--limit", "1"))["rows"]
    assert len(rows) == 1
    assert rows[0]["pid"] > os.getpid()


def test_stat_in_words() -> None:
    with process(SESSION) as one:
        done = ipcctl("ps", "--explain", "-f", "json", str(one.pid))
        table = ipcctl("ps", "--explain", str(one.pid)).stdout
    (row,) = report_of(done)["rows"]
    niced = "; N low priority (nice above 0)" if os.getpriority(os.PRIO_PROCESS, 0) > 0 else ""
    assert row["meaning"] == f"S waiting for an event (interruptible sleep){niced}; s session leader"
    assert row["meaning"] in table


FAMILY = "for _ in range(2):\n  if os.fork() == 0:\n    os.fork()\n    signal.pause()"


def wait_for_family(pid: int) -> list[int]:
    """The children of FAMILY, once they have all been born."""
    wait_until(lambda: len(listed_descendants(pid)) == 4, "the family")
    return listed_children(pid)


@pytest.mark.skipif(not shutil.which("pstree"), reason="there is no pstree to compare with")
def test_the_tree_is_drawn_as_pstree_draws_it() -> None:
    with process(FAMILY) as root:
        wait_for_family(root.pid)
        ours = ipcctl("ps", "--tree", "--no-header", "--section", "rows", str(root.pid)).stdout
        argv = ["pstree", "-p", "-T", "-n", "-l", "-U", str(root.pid)]
        theirs = subprocess.run(argv, capture_output=True, encoding="utf-8", check=True, env=clean_environment()).stdout
    assert [line.rstrip() for line in ours.splitlines()] == [line.rstrip() for line in theirs.splitlines()]
    assert len(ours.splitlines()) == 2


def test_the_tree_nests_in_json() -> None:
    with process(FAMILY) as root:
        family = wait_for_family(root.pid)
        report = report_of(ipcctl("ps", "--tree", "-f", "json", str(root.pid)))
        rows = [json.loads(line) for line in ipcctl("ps", "--tree", "-f", "jsonl", str(root.pid)).stdout.splitlines()]
        flat = ipcctl("ps", "--tree", "-f", "csv", "-c", "depth,pid,ppid", str(root.pid)).stdout.splitlines()
    (top,) = report["rows"]
    assert top["pid"] == root.pid
    assert [each["pid"] for each in top["children"]] == sorted(family)
    assert [len(each["children"]) for each in top["children"]] == [1, 1]
    assert top["children"][0]["children"][0]["children"] == []
    assert top["children"][0]["started"][10] == "T"
    assert [row["pid"] for row in rows] == [root.pid]
    assert [line.split(",")[0] for line in flat] == ["depth", "0", "1", "2", "1", "2"]
    assert report["summary"]["processes"] == 5


def test_the_whole_tree_has_everyone_once() -> None:
    def all_of(rows: list[dict[str, Any]]) -> list[int]:
        return [pid for row in rows for pid in (row["pid"], *all_of(row["children"]))]

    with process() as one:
        done = ipcctl("ps", "--tree", "-f", "json", "-c", "pid,children")
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)  # there may be a long chain of processes, by the test below
    try:
        report = report_of(done)
        everyone = all_of(report["rows"])
    finally:
        sys.setrecursionlimit(before)
    assert len(everyone) == len(set(everyone)) == report["summary"]["processes"]
    assert {1, os.getpid(), one.pid} <= set(everyone)
    assert 1 in {row["pid"] for row in report["rows"]}


def test_a_tree_deeper_than_recursion_goes() -> None:
    depth = 600
    # Each executes a program of its own: the kernel is slow to fork what was forked without one so often.
    chain = '[ "$1" -gt 0 ] || { echo !; exec sleep 1000; }; sh -c "$0" "$0" $(($1 - 1)); :'
    with subprocess.Popen(["sh", "-c", chain, chain, str(depth)], stdout=subprocess.PIPE) as root:
        try:
            assert root.stdout is not None
            assert root.stdout.read(1) == b"!"
            done = ipcctl("ps", "--tree", "-f", "json", "-c", "pid,children", str(root.pid))
            drawn = ipcctl("ps", "--tree", str(root.pid))
        finally:
            below = listed_descendants(root.pid)
            root.kill()
            root.wait()
            end(*below)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"pid"') == depth + 1
    assert drawn.returncode == 0
    assert drawn.stdout.count("───") >= depth


# ---- again and again


def watching_ps(*args: str, **how: Any) -> AbstractContextManager[subprocess.Popen[str]]:
    """`ipcctl ps`, running, with SIGINT as it is in the foreground: below a background job's shell it is ignored."""
    return started("ps", *args, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **how)


def test_watching_streams_rounds_until_interrupted() -> None:
    with process() as one, watching_ps("--watch", "50ms", "-f", "jsonl", str(one.pid)) as watching:
        assert watching.stdout is not None
        rows = [json.loads(watching.stdout.readline()) for _ in range(3)]
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate()
    assert [row["pid"] for row in rows] == [one.pid] * 3
    assert len({row["at"] for row in rows}) == 3
    assert rows[0]["started"][:19] == rows[2]["started"][:19]
    assert (watching.returncode, err) == (130, "")


def test_watching_ends_by_sigterm_too() -> None:
    with watching_ps("--watch", "100s", "-f", "jsonl", "-c", "pid") as watching:
        assert watching.stdout is not None
        watching.stdout.readline()
        wait_until(lambda: state_of(watching.pid) == "S")
        watching.terminate()
        watching.communicate()
    assert watching.returncode in (143, -signal.SIGTERM)


def test_watching_as_csv_has_one_header() -> None:
    with process() as one, watching_ps("--watch", "20ms", "-f", "csv", "-c", "pid,name", str(one.pid)) as watching:
        assert watching.stdout is not None
        lines = [watching.stdout.readline().split(",")[0] for _ in range(4)]
        watching.send_signal(signal.SIGINT)
        watching.communicate()
    assert lines == ["pid", *[str(one.pid)] * 3]


def test_watching_on_a_terminal_redraws() -> None:
    ours, its = pty.openpty()
    try:
        with watching_ps("--watch", "50ms", stdout=its, env=clean_environment(TERM="xterm")) as watching:
            seen = b""
            while seen.count(b"\x1b[H\x1b[2J") < 3:
                seen += os.read(ours, 1 << 16)
            watching.send_signal(signal.SIGINT)
            drain(ours, watching)
        assert watching.returncode == 130
    finally:
        os.close(its)
        os.close(ours)
    first = seen.split(b"\x1b[H\x1b[2J")[1]
    assert first.count(b"\n") <= 24
    assert b"command" in first


def drain(terminal: int, running: subprocess.Popen[str]) -> None:
    """Read what it still writes, so that it need not wait for us, until it has ended."""
    while running.poll() is None:
        if select.select([terminal], [], [], 0.05)[0]:
            os.read(terminal, 1 << 16)
