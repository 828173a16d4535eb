"""`ipcctl pool -- COMMAND` with so many jobs that threads start them: nothing else differs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support import children, clean_environment, ipcctl, see_orphans_end, started

MANY = 150  # more than the pool starts by itself


def test_what_cannot_be_started_is_told_as_before(tmp_path: Path) -> None:
    """Each kind twice: among the first, and among those that threads start."""
    script, closed = tmp_path / "script", tmp_path / "closed"
    script.write_text("echo by sh $0\n")
    script.chmod(0o755)
    closed.write_text("")
    kinds = [str(script), str(closed), "no-such-command", "/", "", "a" * 140_000, "echo"]
    given = [*kinds, *["true"] * MANY, *kinds]
    args = ["-j4", "-k", "-f", "json", "-o", str(tmp_path / "report"), "--", "{}"]
    done = ipcctl("pool", *args, stdin=None, input="\n".join(given) + "\n")
    rows = sorted(json.loads((tmp_path / "report").read_text())["rows"], key=lambda row: row["seq"])
    told = [(row["start_error"], row["exit_code"], row["started"] is None) for row in rows]
    assert told[: len(kinds)] == told[-len(kinds) :]
    assert [each[1] for each in told[: len(kinds)]] == [0, None, None, None, None, None, 0]
    assert done.stdout == f"by sh {script}\n\n" * 2
    assert len(rows) == len(given)
    assert len(done.stderr.splitlines()) == sum(each[0] is not None for each in told)


def test_a_program_that_moves_along_path_is_found_again(tmp_path: Path) -> None:
    """Where it was found is remembered; here its hundredth job removes it from there."""
    for place in ("first", "second"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "tool").symlink_to("/bin/sh")
    env = clean_environment() | {"PATH": f"first:second:{os.environ['PATH']}"}
    given = "".join(f"{number}\n" for number in range(1, MANY + 1))
    tool = ["tool", "-c", "[ $1 != 100 ] || rm first/tool; echo $1", "tool"]
    done = ipcctl("pool", "-j2", "-k", "--", *tool, stdin=None, input=given, cwd=tmp_path, env=env)
    assert (done.returncode, done.stdout) == (0, given), done.stderr
    assert not (tmp_path / "first" / "tool").is_symlink()


def test_output_is_apart_and_in_order_and_a_record_tells_the_truth() -> None:
    """A job in five leaves somebody behind who writes later: that is no other job's output."""
    script = "echo $1 $$; echo e$1 >&2; [ $(($1 % 5)) = 0 ] && { sleep 0.01; echo late; } & exit $(($1 % 3))"
    given = "".join(f"{number}\n" for number in range(MANY))
    args = ["-j4", "-f", "json", "--capture", "-o", "/dev/stdout", "--", "sh", "-c", script, "x"]
    done = ipcctl("pool", *args, stdin=None, input=given)
    report = json.loads(done.stdout)
    rows = {int(row["input"]): row for row in report["rows"]}
    assert rows.keys() == set(range(MANY))
    for number, row in rows.items():
        late = ["late\n"] if number % 5 == 0 else []  # its own, where that came before its end was seen
        assert row["stdout"].removeprefix(f"{number} {row['pid']}\n") in ["", *late]
        assert row["stderr"] == f"e{number}\n"
        assert (row["exit_code"], row["wall_s"] > 0) == (number % 3, True)
        assert row["max_rss_kib"] is None or row["max_rss_kib"] > row["minor_faults"]
    moments = [each["t_ms"] for each in report["events"]]
    assert (len(moments), moments) == (2 * MANY, sorted(moments))
    see_orphans_end()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_asked_to_end_in_the_midst_each_job_that_began_has_one_record(name: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    args = ["-j4", "-f", "jsonl", "-c", "seq", "--joblog", str(log), "--", "true"]
    with started("pool", *args, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stderr is not None
        process.stdin.write("x\n" * 4000)
        process.stdin.flush()
        for _ in range(MANY):
            process.stderr.readline()
        process.send_signal(signal.Signals[name])
        process.communicate()
    assert process.returncode == 128 + signal.Signals[name]
    assert children() == []
    seqs = Counter(json.loads(line)["seq"] for line in log.read_text().splitlines()[1:])
    assert set(seqs.values()) == {1}
    assert seqs.keys() == set(range(1, len(seqs) + 1))


REFUSING = """
import errno, sys
from ipcctl import cli
from ipcctl.errors import CannotStart
from ipcctl.pool import scheduler
from ipcctl.process.posix_spawn import Spawner
scheduler.FEW, real, calls, fails = 1, scheduler.start, 0, sys.argv.pop(1).split(",")
def spawn(*args):
    raise OSError(errno.EAGAIN, "")
def start(*args):
    global calls
    calls += 1
    if str(calls) in fails:
        raise CannotStart("the limit on processes", 125, errno.EAGAIN)
    return real(*args)
Spawner.spawn, scheduler.start = spawn, start
sys.exit(cli.main())
"""


@pytest.mark.parametrize(("fails", "status", "jobs"), [("2,3", 0, 8), ("1,2,3", 0, 8), ("1,2,3,4", 125, 0)])
def test_where_threads_can_start_none_the_pool_does_or_says_why(fails: str, status: int, jobs: int) -> None:
    """Several starts are refused at once: all of them are made again, in their order."""
    args = ["pool", "-j4", "-k", "-f", "json", "--", "echo"]
    given = "".join(f"{number}\n" for number in range(8))
    how: dict[str, Any] = {"env": clean_environment(), "capture_output": True, "text": True, "check": False}
    done = subprocess.run([sys.executable, "-c", REFUSING, fails, *args], input=given, timeout=20, **how)
    report = json.loads(done.stderr.splitlines()[0])
    assert (done.returncode, report["summary"]["jobs"]) == (status, jobs)
    assert done.stdout == (given if jobs else "")


def test_without_a_second_slot_or_with_a_time_out_there_is_no_thread() -> None:
    count = "ls /proc/$PPID/task | wc -l"
    for args, most in (["-j1"], 1), (["-j2", "--timeout", "60"], 1), (["-j2"], 3):
        done = ipcctl("pool", "-q", *args, "--", "sh", "-c", count, stdin=None, input="x\n" * 60)
        assert max(map(int, done.stdout.split())) == most, args
