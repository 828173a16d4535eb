"""`ipcctl ps`: what it lists is what ps and the kernel say of the same processes."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from typing import Any

import pytest
from processes import (
    LOCKED,
    NAMED,
    NICE,
    NOBODY,
    SESSION,
    THREADED,
    ZOMBIE,
    end,
    listed_children,
    process,
    unprivileged,
)
from support import clean_environment, ipcctl, one_line, report_of, wait_until

COLUMNS = [
    "pid", "ppid", "user", "stat", "state", "nice", "threads", "rss_kib", "cpu_percent", "memory_percent", "tty",
    "started", "elapsed_s", "time_s", "pgid", "sid", "name", "command",
]  # fmt: skip
PS = ("pid", "ppid", "euser:40", "stat", "ni", "nlwp", "pgid", "sid", "tname", "args")


def listed(*args: str) -> list[dict[str, Any]]:
    """The rows of a listing."""
    done = ipcctl("ps", "-f", "json", *args)
    assert done.stderr == ""
    return report_of(done)["rows"]  # type: ignore[no-any-return]


def row_of(pid: int, *args: str) -> dict[str, Any]:
    """The one row of a process."""
    (row,) = listed(*args, str(pid))
    return row


def by_ps() -> dict[int, list[str]]:
    """What ps says of every process, by PID."""
    argv = ["ps", "-ww", "-e", "-o", ",".join(f"{each}=" for each in PS)]
    out = subprocess.run(argv, capture_output=True, check=True, env=clean_environment(LC_ALL="C")).stdout
    fields = [line.decode("latin-1").split(None, len(PS) - 1) for line in out.splitlines()]
    found = {int(each[0]): each for each in fields if len(each) == len(PS) and each[0].isdigit()}
    for each in found.values():
        each[4] = "0" if each[4] == "-" else each[4]  # real-time ones: their niceness says nothing
    return found


def as_ps(row: dict[str, Any]) -> list[str]:
    """A row as ps would print it."""
    names = ("pid", "ppid", "user", "stat", "nice", "threads", "pgid", "sid")
    return [*(str(row[name]) for name in names), row["tty"] or "?", row["command"]]


@pytest.mark.skipif(not shutil.which("ps"), reason="there is no ps to compare with")
def test_it_says_what_ps_says() -> None:
    """For every process of which ps says the same before and after."""
    with process(NICE) as one, process(SESSION) as two, process(THREADED) as three, process(LOCKED) as four, \
         process(ZOMBIE) as five:  # fmt: skip
        os.kill(five.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, five.pid, os.WSTOPPED | os.WNOWAIT)
        ours = {each.pid for each in (one, two, three, four, five)}
        ours |= set(listed_children(five.pid))
        before, rows, after = by_ps(), {row["pid"]: as_ps(row) for row in listed()}, by_ps()
    for found in (before, rows, after):
        for pid, fields in found.items():
            if pid not in ours:
                fields[3] = fields[3][1:]  # the marks stay, the state is another in a moment
    steady = [pid for pid in before if before[pid] == after.get(pid) and plain(before[pid][-1]) and pid in rows]
    differing = [(rows[pid], before[pid]) for pid in steady if plain(rows[pid][-1]) and rows[pid] != before[pid]]
    assert [each for each in differing if int(each[0][0]) in ours] == []
    assert len(differing) <= len(steady) / 20, differing  # others may change, and back, between two looks
    assert ours <= set(steady)
    assert {before[pid][3] for pid in ours} >= {"SN", "Ss", "Sl", "SL", "T", "Z"}


def plain(text: str) -> bool:
    """Whether ps prints it as it is."""
    return text.isprintable() and text.isascii()


def test_the_rows_have_these_columns_in_this_order() -> None:
    assert list(row_of(os.getpid())) == COLUMNS


def test_a_process_listed_by_what_it_knows_of_itself() -> None:
    with process(NICE, "two words") as started:
        row = row_of(started.pid)
    assert row["ppid"] == os.getpid()
    assert row["nice"] == min(os.getpriority(os.PRIO_PROCESS, 0) + 7, 19)
    assert row["stat"].startswith("SN")
    assert row["state"] == "waiting for an event (interruptible sleep)"
    assert (row["pgid"], row["sid"]) == (os.getpgrp(), os.getsid(0))
    assert row["command"].endswith("two words")
    assert row["rss_kib"] > 1000
    assert 0 < row["memory_percent"] < 100


def test_times() -> None:
    before = time.time()
    with process() as started:
        row = row_of(started.pid)
        usage = row["time_s"]
    started_at = datetime.fromisoformat(row["started"])
    assert started_at.tzinfo is not None
    assert before - 1 <= started_at.timestamp() <= time.time()
    assert 0 <= row["elapsed_s"] <= time.time() - before + 1
    assert 0 <= usage <= time.time() - before


def test_the_share_of_a_processor_is_time_over_life() -> None:
    for row in listed():
        if row["elapsed_s"] > 1:
            assert row["cpu_percent"] == pytest.approx(100 * row["time_s"] / row["elapsed_s"], abs=0.011)


def test_a_kernel_thread_and_a_zombie_have_names_for_commands() -> None:
    threads = [row for row in listed() if row["ppid"] == 2]
    assert all(row["command"] == f"[{row['name']}]" for row in threads)
    with process(ZOMBIE) as parent:
        (pid,) = listed_children(parent.pid)
        row = row_of(pid)
    assert (row["stat"], row["state"]) == ("Z", "zombie: exited, not waited for")
    assert row["command"] == f"[{row['name']}] <defunct>"
    assert row["rss_kib"] == 0


HOSTILE = [
    b"two words", b"a) S 1 (b", b"((", b"))", b"new\nline", b"\xff\xfe", b"\x1b[31mred", b"tab\there", b" ", b"'\"",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_and_arguments_come_out_whole(name: bytes) -> None:
    with process(NAMED, name) as started:
        row = row_of(started.pid)
        lines = ipcctl("ps", "-f", "csv", "-c", "name,command", "--no-header", str(started.pid)).stdout
        shown = ipcctl("ps", "-c", "name,command,pid", "--no-header", str(started.pid)).stdout
    assert os.fsencode(row["name"]) == name
    assert os.fsencode(row["command"]).endswith(b" " + name)
    ((in_csv, _),) = csv.reader(io.StringIO(lines, newline=""))
    assert os.fsencode(in_csv) == name
    assert shown.count("\n") == 1
    assert "\x1b" not in shown


def test_a_long_argument_vector_comes_out_whole() -> None:
    long = "x" * 100_000
    with process("", long, long) as started:
        assert row_of(started.pid)["command"].endswith(f" {long} {long}")


def test_on_request_what_psutil_knows() -> None:
    names = "uss_kib,pss_kib,fds,io_read_bytes,io_written_bytes,cwd,exe"
    with process("", cwd="/") as started:
        row = row_of(started.pid, "-c", names)
        fds = len(os.listdir(f"/proc/{started.pid}/fd"))
        exe = os.readlink(f"/proc/{started.pid}/exe")
    assert list(row) == names.split(",")
    assert (row["fds"], row["cwd"], row["exe"]) == (fds, "/", exe)
    assert 0 < row["uss_kib"] <= row["pss_kib"]


def test_a_column_is_found_without_its_unit() -> None:
    assert list(row_of(os.getpid(), "-c", "rss,elapsed")) == ["rss_kib", "elapsed_s"]


def test_psutil_is_imported_only_when_asked_for() -> None:
    code = "import sys; from ipcctl.cli import main; status = main(['ps', '-q']); assert 'psutil' not in sys.modules; "
    code += "assert 'tabulate' not in sys.modules and 'json' not in sys.modules; sys.exit(status)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_may_not_be_read_is_null() -> None:
    how = unprivileged()
    with process() as started:
        columns = "pid,fds,cwd,exe,uss,io_read,user,command"
        done = ipcctl("ps", "-f", "json", "-c", columns, str(started.pid), **how)
    (row,) = report_of(done)["rows"]
    assert done.returncode == 0
    assert (row["pid"], row["user"]) == (started.pid, "root")
    assert row["command"]
    assert [row[name] for name in ("fds", "cwd", "exe", "uss_kib", "io_read_bytes")] == [None] * 5


def test_an_unprivileged_user_sees_the_same_processes() -> None:
    how = unprivileged()
    with process(LOCKED) as started:
        done = ipcctl("ps", "-f", "json", **how)
        rows = {row["pid"]: row for row in report_of(done)["rows"]}
    assert done.returncode == 0
    assert done.stderr == ""
    assert {1, started.pid} <= set(rows)
    assert "L" in rows[started.pid]["stat"]


def test_another_user_is_told_by_name_or_number() -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to become another")
    with process(NOBODY) as known, process("os.setuid(54321)") as unknown:
        assert row_of(known.pid)["user"] == "nobody"
        assert row_of(unknown.pid)["user"] == "54321"
        assert [row["pid"] for row in listed("--user", "54321")] == [unknown.pid]


def test_the_controlling_terminal() -> None:
    pid, terminal = os.forkpty()
    if pid == 0:
        try:
            os.write(1, (os.ttyname(0) + "\n").encode())
            signal.pause()
        finally:
            os._exit(0)
    try:
        name = os.read(terminal, 100).decode().strip().removeprefix("/dev/")
        row = row_of(pid)
        assert row["tty"] == name
        assert row["stat"].endswith("+")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def test_the_summary_counts_what_is_listed() -> None:
    with process(ZOMBIE) as parent, process(THREADED) as threaded:
        (zombie,) = listed_children(parent.pid)
        report = report_of(ipcctl("ps", "-f", "json", *map(str, (parent.pid, zombie, threaded.pid))))
        shell = ipcctl("ps", "-f", "shell", *map(str, (parent.pid, zombie, threaded.pid))).stdout
    assert report["summary"] == {"processes": 3, "threads": 4, "running": 0, "sleeping": 2, "uninterruptible": 0,
                                 "stopped": 0, "zombies": 1, "idle": 0}  # fmt: skip
    assert "PS_PROCESSES='3'\n" in shell
    assert "PS_ZOMBIES='1'\n" in shell


def test_every_process_is_listed_once_by_pid_also_where_a_helper_lists_half() -> None:
    sleepers = [os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}) for _ in range(600)]
    try:
        done = ipcctl("ps", "-f", "jsonl", "-c", "pid,ppid,stat,command")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        counted = report_of(ipcctl("ps", "-f", "json"))
    finally:
        for pid in sleepers:
            os.kill(pid, signal.SIGKILL)
        for pid in sleepers:
            os.waitpid(pid, 0)
    numbers = [row["pid"] for row in rows]
    assert numbers == sorted(set(numbers))
    ours = [row for row in rows if row["pid"] in set(sleepers)]
    assert [(row["ppid"], row["command"]) for row in ours] == [(os.getpid(), "sleep 1000")] * 600
    assert counted["summary"]["processes"] == len(counted["rows"])


def test_processes_that_come_and_go_do_not_disturb() -> None:
    """A shell that starts and ends processes as fast as it can, while everything is listed."""
    churn = subprocess.Popen(["sh", "-c", "while :; do /bin/true; done"])
    try:
        wait_until(lambda: os.path.exists(f"/proc/{churn.pid}/exe"))
        for _ in range(5):
            done = ipcctl("ps", "-f", "json", "-c", "pid,stat,user,command,fds,cwd,uss")
            assert (done.returncode, done.stderr) == (0, "")
            rows = report_of(done)["rows"]
            assert churn.pid in {row["pid"] for row in rows}
            assert all(row["user"] and row["command"] and row["stat"] for row in rows)
    finally:
        churn.send_signal(signal.SIGSTOP)  # it starts no more
        os.waitid(os.P_PID, churn.pid, os.WSTOPPED | os.WNOWAIT)
        below = listed_children(churn.pid)
        churn.kill()
        churn.wait()
        for pid in below:
            end(pid)


def test_the_table_is_one_line_a_process_with_the_command_last() -> None:
    lines = ipcctl("ps", "--section", "rows").stdout.splitlines()
    assert lines[0].split() == "pid ppid user stat rss cpu_percent tty elapsed time command".split()  # noqa: SIM905
    numbers = [int(line.split()[0]) for line in lines[2:]]
    assert numbers == sorted(numbers)
    assert 1 in numbers


def test_the_columns_have_help() -> None:
    done = ipcctl("ps", "--columns", "help", "-f", "jsonl")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["name"] for row in rows} > set(COLUMNS)
    assert all(row["help"] for row in rows)
    assert {row["name"]: row["unit"] for row in rows}["rss_kib"] == "KiB"


def test_unknown_column() -> None:
    done = ipcctl("ps", "-c", "pid,colour")
    assert done.returncode == 2
    assert "no column 'colour'" in one_line(done.stderr)
    assert "rss_kib" in done.stderr
