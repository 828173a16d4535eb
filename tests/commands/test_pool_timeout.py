"""`ipcctl pool --timeout`: a job's whole tree ends, whatever that does not to be found; and nothing of others does."""

from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import (
    IPCCTL,
    children,
    end_children,
    ipcctl,
    limited,
    one_line,
    report_of,
    runs,
    started,
    state_of,
    wait_until,
    without_processes,
)

SOON = ["--timeout", "500ms", "--grace", "100ms"]
LATE = ["--timeout", "1000", "--grace", "100ms"]
# It has left the session, its parents are gone, and it ignores TERM.
ESCAPED = "(trap '' TERM; setsid sh -c 'sleep 1000 & wait; sleep 1000' > /dev/null 2>&1 &); "


def sh(script: str) -> list[str]:
    """A job that runs the script; its argument is $1."""
    return ["bash", "-c", script, "x"]


def has_real_time_limit() -> None:
    """As under a systemd service with LimitRTTIME=."""
    resource.setrlimit(resource.RLIMIT_RTTIME, (1_000_000, resource.RLIM_INFINITY))  # type: ignore[attr-defined,unused-ignore]


INNER = [IPCCTL, "pool", "-q", "--timeout", "1h", "--", *sh("trap '' TERM; " + ESCAPED + "sleep 1000; sleep 1000")]
STUBBORN = {
    "a nested pool with a time-out of its own": ["sh", "-c", f"{shlex.join(INNER)} ::: 1; true"],
    "every limit": sh("ulimit -S -R 1000000; ulimit -S -c 0; ulimit -S -n 100; " + ESCAPED + "sleep 1000"),
    "its environment": ["env", "-i", *sh("PATH=/usr/bin:/bin; " + ESCAPED + "exec sleep 1000")],
    "its session": ["setsid", "-w", *sh(ESCAPED + "sleep 1000")],
    "it ended by itself meanwhile": sh("trap 'exit 0' TERM; " + ESCAPED + "sleep 1000 & wait"),
}


@pytest.mark.parametrize("before", [None, has_real_time_limit], ids=["", "a limit was set before"])
@pytest.mark.parametrize("job", STUBBORN.values(), ids=list(STUBBORN))
def test_whatever_a_job_changes_of_itself_its_tree_ends(job: list[str], before: Callable[[], None] | None) -> None:
    done = ipcctl("pool", "-j2", "-f", "json", *SOON, "--", *job, ":::", "1", "2", preexec_fn=before)
    assert done.returncode == 124, done.stderr
    assert [row["timed_out"] for row in report_of(done, "stderr")["rows"]] == [True, True]
    assert children() == []  # what escaped would have fallen to this process, a subreaper


def pids_in(*paths: Path) -> set[int]:
    """The PIDs that files hold, once they do."""
    wait_until(lambda: all(path.exists() and path.read_text() for path in paths), f"{paths}")
    return {int(path.read_text()) for path in paths}


def test_what_other_jobs_left_running_stays(tmp_path: Path) -> None:
    script = f"[ $1 = late ] && {{ {ESCAPED} exec sleep 1000; }}; setsid -f sh -c 'echo $$ > $0; exec sleep 1000' $0/$1"
    done = ipcctl("pool", "-j2", "-q", *SOON, "--", "sh", "-c", script, str(tmp_path), ":::", "1", "late", "2", "3")
    assert done.returncode == 124, done.stderr
    left = pids_in(*(tmp_path / name for name in "123"))
    assert set(filter(runs, children())) == left
    end_children()


def test_an_attempt_that_timed_out_is_gone_before_the_next_begins(tmp_path: Path) -> None:
    script = "[ ! -s $0 ] || ! kill -0 $(cat $0) 2> /dev/null || echo together; "
    script += "(setsid sh -c 'trap \"\" TERM; echo $$ > $0; sleep 1000; sleep 1000' $0 &); sleep 1000"
    job = ["sh", "-c", script, str(tmp_path / "pid"), ":::", "1"]
    done = ipcctl("pool", "-f", "json", *SOON, "--retries", "2", "--", *job)
    (row,) = report_of(done, "stderr")["rows"]
    assert (done.returncode, done.stdout, row["attempts"], row["timed_out"]) == (124, "", 3, True)
    assert children() == []


SEES = """
import json, os, signal, sys
status = dict(line.split(":\t") for line in open("/proc/self/status").read().splitlines())
masks = {name: status[name] for name in ("SigBlk", "SigIgn", "SigCgt")}
limits = open("/proc/self/limits").read()
paths = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
files = {path: os.readlink(path).split(":")[0] for path in paths if os.path.exists(path)}
print(json.dumps([dict(os.environ), masks, limits, files, os.getpgrp(), os.getsid(0), os.getcwd()]))
"""


def test_a_job_sees_the_same_with_and_without_a_time_out(tmp_path: Path) -> None:
    """Environment, signals, limits, descriptors, process group and session, the directory."""

    def as_in_a_script() -> None:
        signal.signal(signal.SIGQUIT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])

    with open(tmp_path / "inherited", "w") as file:
        how: dict[str, Any] = {"preexec_fn": as_in_a_script, "pass_fds": [file.fileno()], "cwd": tmp_path}
        seen = []
        for options in ([], LATE):
            with started("pool", "-q", *options, "--", sys.executable, "-c", SEES, ":::", "x", **how) as process:
                seen.append(json.loads(process.communicate()[0]))
    assert seen[0] == seen[1]
    assert seen[0][4] == os.getpgrp()


def agents_of(pool: int) -> list[int]:
    """The processes that a pool has for its slots."""
    return [pid for pid in children(pool) if Path(f"/proc/{pid}/comm").read_text() == "ipcctl-agent\n"]


def test_a_slot_keeps_its_agent_from_job_to_job() -> None:
    script = "cut -d' ' -f4 /proc/$$/stat"  # its parent's PID
    done = ipcctl("pool", "-j3", "-k", *LATE, "--", "bash", "-c", script, stdin=None, input="x\n" * 100)
    assert (done.returncode, len(done.stdout.split()), len(set(done.stdout.split())) <= 3) == (0, 100, True)


def test_an_agent_that_is_killed_fails_its_job_and_no_other(tmp_path: Path) -> None:
    script = "[ $1 = ok ] && exit; [ $1 = victim ] || until [ -e $0/go ]; do sleep 0.01; done; "
    script += "[ $1 = victim ] || exit 0; (setsid sleep 1000 &); touch $0/up; sleep 1000; sleep 1000"
    job = ["sh", "-c", script, str(tmp_path), ":::", "victim", "beside", "ok", "ok"]
    with started("pool", "-j2", "-f", "json", *LATE, "--", *job) as process:
        wait_until(lambda: (tmp_path / "up").exists())
        (victim,) = [pid for pid in agents_of(process.pid) if len(children(pid)) > 1]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in children(process.pid))
        (tmp_path / "go").touch()
        _, err = process.communicate()
    found = json.loads(err)
    assert process.returncode == 1
    assert [row["exit_code"] for row in found["rows"] if row["input"] != "victim"] == [0, 0, 0]
    (row,) = [row for row in found["rows"] if row["input"] == "victim"]
    assert (row["exit_code"], row["signal"], row["timed_out"]) == (None, "SIGTERM", False)
    end_children()  # who had lost its parent is nobody's


def test_a_pool_that_is_killed_takes_its_agents_along_and_no_job(tmp_path: Path) -> None:
    script = "echo $$ > $0/$1; exec sleep 1000"
    with started("pool", "-j2", "-q", *LATE, "--", "sh", "-c", script, str(tmp_path), ":::", "1", "2") as process:
        paths = [tmp_path / "1", tmp_path / "2"]
        assert all(map(runs, pids_in(*paths)))
        agents = agents_of(process.pid)
        process.kill()
    jobs = pids_in(*paths)
    wait_until(lambda: not any(map(runs, agents)))
    assert len(agents) == 2
    assert all(map(runs, jobs)), "they go on"
    end_children()


def test_signals_of_the_terminal_are_not_for_the_agents() -> None:
    job = ["sh", "-c", "echo up; exec sleep 1000", ":::", "1"]
    with started("pool", "--line-buffer", "-q", *LATE, "--", *job) as pool:
        assert pool.stdout is not None and pool.stdout.readline() == "up\n"
        (agent,) = agents_of(pool.pid)
        for each in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTOU, signal.SIGHUP, signal.SIGUSR1):
            os.kill(agent, each)
        assert state_of(agent) == "S"
        pool.terminate()
        pool.communicate()
    assert pool.returncode == 143
    assert children() == []


def test_a_signal_that_asks_nobody_to_end_reaches_the_jobs() -> None:
    script = "trap 'echo changed; exit 0' WINCH; echo up; while :; do sleep 0.01; done"
    with started("pool", "-j2", "--line-buffer", "-q", *LATE, "--", "sh", "-c", script, ":::", "1", "2") as pool:
        assert pool.stdout is not None
        assert [pool.stdout.readline() for _ in "12"] == ["up\n"] * 2
        pool.send_signal(signal.SIGWINCH)
        assert pool.communicate()[0] == "changed\n" * 2
    assert pool.returncode == 0


SIGNALLED_AT_THE_START = """
import os, signal, sys
from ipcctl.pool import scheduler
wait = scheduler.Pool._wait
def signalled(pool):
    if pool._pending() and not pool.running - len(pool._pending()):
        scheduler.Pool._wait = wait
        os.kill(os.getpid(), signal.SIGUSR1)
        pool.wakeup._check()  # it is taken here, before the pool has heard of the start
        assert not signal.sigpending()
    wait(pool)
scheduler.Pool._wait = signalled
scheduler.FEW = 1  # threads start the others
from ipcctl.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("options", [[], LATE], ids=["started by threads", "started by agents"])
def test_a_signal_reaches_a_job_whose_start_is_not_told_of_yet(options: list[str]) -> None:
    words = [sys.executable, "-c", SIGNALLED_AT_THE_START, "pool", "-j2", "-f", "json", *options]
    done = subprocess.run([*words, "--", "sleep", ":::", "1000"], capture_output=True, text=True)
    (row,) = json.loads(done.stderr)["rows"]
    assert (done.returncode, row["signal"]) == (1, "SIGUSR1")


def test_where_descriptors_are_scarce_fewer_run_at_once() -> None:
    limit = limited(resource.RLIMIT_NOFILE, 60)
    how: dict[str, Any] = {"stdin": None, "input": "x\n" * 40}
    done = ipcctl("pool", "-j500", "-f", "json", *LATE, "--", "true", preexec_fn=limit, **how)
    rows = report_of(done, "stderr")["rows"]
    assert (done.returncode, len(rows)) == (0, 40), done.stderr
    assert 1 < max(row["slot"] for row in rows) <= 15
    done = ipcctl("pool", "-j500", *LATE, "--", "true", preexec_fn=limited(resource.RLIMIT_NOFILE, 20), **how)
    assert (done.returncode, "limit on open files" in one_line(done.stderr)) == (125, True)


def test_a_limit_on_processes_is_named() -> None:
    done = without_processes("pool", *LATE, "--", "true", ":::", "a")
    assert (done.returncode, "limit on processes" in one_line(done.stderr)) == (125, True)


def test_what_cannot_be_started_is_told_as_without_a_time_out() -> None:
    for job, given in [
        (["no-such-command"], "a\n"),
        (["/"], "a\n"),
        (["{}"], "no-such-command\ntrue\n"),
        (["echo"], "a\n" + "x" * 140_000 + "\nb\n"),
        (["echo"], "a\0b\nc\n"),
    ]:
        said = ["-k", "-f", "jsonl", "-c", "seq,exit_code,start_error"]
        one, other = (ipcctl("pool", *said, *more, "--", *job, stdin=None, input=given) for more in ([], LATE))
        assert (one.returncode, one.stdout) == (other.returncode, other.stdout)
        assert sorted(one.stderr.splitlines()) == sorted(other.stderr.splitlines())


def test_memory_is_the_jobs_own() -> None:
    script = "import sys; x = b'x' * (int(sys.argv[1]) << 20)"
    done = ipcctl("pool", "-f", "json", *LATE, "--", sys.executable, "-c", script, ":::", "100", "200", "1")
    rows = report_of(done, "stderr")["rows"]
    peaks = {row["input"]: row["max_rss_kib"] or row["max_rss_below_kib"] for row in rows}
    assert 100 << 10 < peaks["100"] < 150 << 10
    assert 200 << 10 < peaks["200"] < 250 << 10
    assert peaks["1"] < 60 << 10
