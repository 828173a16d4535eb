"""`ipcctl pool -- COMMAND` ending what it started: time-outs, --halt, Ctrl-C, a kill -9; and the job log after it."""

from __future__ import annotations

import json
import os
import pty
import resource
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support import (
    IPCCTL,
    children,
    clean_environment,
    end_children,
    ipcctl,
    limited,
    one_line,
    report_of,
    runs,
    see_orphans_end,
    started,
    wait_until,
    without_processes,
)

# A tree that ignores TERM: in the job's session, in one of its own, and twice forked with its environment cleared.
TREE = "trap '' TERM; (sleep 1000 & sleep 1000) & setsid sleep 1000 & "
TREE += "(setsid env -i sh -c 'sleep 1000 & sleep 1000' &); "


def rows_of(done: Any, stream: str = "stderr") -> dict[str, dict[str, Any]]:
    """The rows of a report by their input."""
    return {row["input"]: row for row in report_of(done, stream)["rows"]}


def entries_of(log: Path) -> list[dict[str, Any]]:
    """The jobs in a log."""
    return [json.loads(line) for line in log.read_text().splitlines()[1:]]


def test_the_trees_of_several_time_outs_leave_nothing() -> None:
    script = TREE + "case $1 in polite) trap 'exit 0' TERM;; stopped) kill -STOP $$;; esac; "
    script += "while :; do wait; sleep 1000; done"
    args = ["--timeout", "300ms", "--grace", "100ms", "-j4", "-f", "json", "--", "sh", "-c", script, "x"]
    done = ipcctl("pool", *args, ":::", "rude", "polite", "stopped")
    rows = rows_of(done)
    assert done.returncode == 124
    assert [row["timed_out"] for row in rows.values()] == [True] * 3
    assert rows["rude"]["signal"] == "SIGKILL"
    assert children() == []  # what escaped would have fallen to this process, a subreaper


def test_124_only_if_all_that_failed_timed_out() -> None:
    script = "[ $1 = ok ] || { [ $1 = bad ] && exit 3; exec sleep 1000; }"
    done = ipcctl("pool", "-f", "json", "--timeout", "300ms", "--", "sh", "-c", script, "x", ":::", "slow", "bad", "ok")
    summary = report_of(done, "stderr")["summary"]
    assert (done.returncode, summary["timed_out"], summary["failed"], summary["succeeded"]) == (1, 1, 2, 1)


def test_halt_soon_lets_the_others_end_and_starts_none() -> None:
    script = "[ $1 != 1 ] || exit 1; until [ -e $0 ]; do :; done"
    flag = Path(f"/tmp/ipcctl-test-{os.getpid()}-halt")
    args = ["-j2", "--halt", "soon", "-f", "jsonl", "-c", "input,exit_code", "--", "sh", "-c", script, str(flag)]
    with started("pool", *args, ":::", "2", "1", "3", "4") as process:
        assert process.stderr is not None
        try:
            assert json.loads(process.stderr.readline()) == {"input": "1", "exit_code": 1}
        finally:
            flag.touch()
        assert [json.loads(line) for line in process.communicate()[1].splitlines()] == [{"input": "2", "exit_code": 0}]
    flag.unlink()
    assert process.returncode == 1


def test_halt_now_ends_every_tree() -> None:
    script = "[ $1 = 1 ] || { " + TREE + "echo up > $0; exec sleep 1000; }; until [ -e $0 ]; do :; done; exit 1"
    flag = Path(f"/tmp/ipcctl-test-{os.getpid()}-now")
    try:
        args = ["-j2", "--halt", "now", "--grace", "100ms", "-f", "json", "--", "sh", "-c", script, str(flag)]
        done = ipcctl("pool", *args, ":::", "2", "1", "3")
    finally:
        flag.unlink()
    rows = rows_of(done)
    assert (done.returncode, rows.keys()) == (1, {"1", "2"})
    assert rows["2"]["signal"] in ("SIGKILL", "SIGTERM")
    assert children() == []


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_asked_to_end_it_leaves_nothing_and_a_record_each(name: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "[ $1 = daemon ] && { setsid -f sleep 1000; exit 0; }; " + TREE + "echo up; while :; do sleep 1000; done"
    args = ["-j2", "--line-buffer", "--grace", "100ms", "--joblog", str(log), "-f", "json", "--"]
    with started("pool", *args, "sh", "-c", script, "x", ":::", "daemon", "1", "2", "3") as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["up\n"] * 2
        process.send_signal(signal.Signals[name])
        _, err = process.communicate()
    assert process.returncode == 128 + signal.Signals[name]
    assert children() == []
    rows = {row["input"]: row for row in json.loads(err)["rows"]}
    assert {name: row["signal"] for name, row in rows.items()} == {"daemon": None, "1": "SIGKILL", "2": "SIGKILL"}
    assert sorted(each["input"] for each in entries_of(log)) == ["1", "2", "daemon"]


def test_a_second_ctrl_c_kills_at_once() -> None:
    script = TREE + "echo up; sleep 1000; sleep 1000"
    with started("pool", "-q", "--line-buffer", "--grace", "1000", "--", "sh", "-c", script, ":::", "1") as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        wait_until(lambda: took_it(process.pid))
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130
    assert children() == []


def took_it(pid: int) -> bool:
    """Whether the process took its first signal: none is pending for it, and it waits again."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return int(status["ShdPnd"], 16) == int(status["SigPnd"], 16) == 0 and status["State"].startswith("S")


def test_ctrl_c_ends_it_though_nobody_reads_its_output() -> None:
    reading, writing = os.pipe()
    try:
        with started("pool", "-q", "--", "head", "-c", "300000", ":::", "/dev/zero", stdout=writing) as process:
            wait_until(lambda: "pipe_write" in Path(f"/proc/{process.pid}/wchan").read_text()
                       or blocked_writing(process.pid))  # fmt: skip
            process.send_signal(signal.SIGINT)
            process.wait()
    finally:
        os.close(reading)
        os.close(writing)
    assert process.returncode == 130
    assert children() == []


def blocked_writing(pid: int) -> bool:
    """Whether the process is in write(2); where that may not be known, whether it is asleep without children."""
    try:
        return Path(f"/proc/{pid}/syscall").read_text().split()[0] == "1"
    except OSError:
        return False


def test_a_reader_that_goes_ends_it_quietly() -> None:
    command = f"{IPCCTL} pool -q -j2 -- echo ::: $(seq 400) | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], env=clean_environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, len(done.stdout.split())) == (141, "", 1)


def test_ctrl_c_on_a_terminal_reaches_all() -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        job = ["sh", "-c", "echo up; exec sleep 1000", ":::", "1"]
        os.execve(IPCCTL, [IPCCTL, "pool", "-q", "--line-buffer", "--", *job], clean_environment())
    with os.fdopen(terminal, "r+b", buffering=0) as screen:
        wait_until(lambda: b"up" in screen.read(100))
        screen.write(b"\x03")
        _, wait_status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(wait_status) == 130


def test_killed_itself_its_log_is_whole_and_resumed(tmp_path: Path) -> None:
    log, given = tmp_path / "log", "".join(f"{number}\n" for number in range(60))
    job = ["sh", "-c", "echo $1 >> $0", str(tmp_path / "ran")]
    args = ["pool", "-q", "-j2", "--joblog", str(log), "--resume", "--", *job]
    with started(*args, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(given[:60])
        process.stdin.flush()
        wait_until(lambda: log.exists() and len(log.read_bytes().splitlines()) > 10)
        process.kill()
        process.wait()
    wait_until(lambda: not any(map(runs, children())))
    end_children()
    assert log.read_bytes().endswith(b"\n")
    before = {each["input"] for each in entries_of(log)}
    with open(log, "ab") as torn:
        torn.write(b'{"seq": 999, "argum')  # a machine that lost its power
    done = ipcctl(*args, stdin=None, input=given)
    assert done.returncode == 0
    entries = entries_of(log)
    assert sorted(int(each["input"]) for each in entries) == list(range(60))
    ran = Counter((tmp_path / "ran").read_text().split())
    assert all(ran[name] == 1 for name in before)


def test_resume_and_retry_failed(tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    script = "echo $1; [ $1 != b ] || [ -e $0 ]"
    command = ["--", "sh", "-c", script, str(tmp_path / "flag")]
    assert ipcctl("pool", "-q", "-k", "--joblog", log, *command, ":::", "a", "b").stdout == "a\nb\n"
    done = ipcctl("pool", "-k", "-f", "json", "--joblog", log, "--resume", *command, ":::", "a", "b", "a", "c")
    assert (done.stdout, done.returncode) == ("b\na\nc\n", 1)
    assert report_of(done, "stderr")["summary"]["skipped"] == 1
    (tmp_path / "flag").touch()
    done = ipcctl("pool", "-f", "jsonl", "-c", "seq,input", "--joblog", log, "--retry-failed", *command)
    assert (done.stdout, json.loads(done.stderr), done.returncode) == ("b\n", {"seq": 2, "input": "b"}, 0)
    assert ipcctl("pool", "-q", "--joblog", log, "--retry-failed", *command).stdout == ""
    assert ipcctl("pool", "-q", "-k", "--joblog", log, *command, ":::", "a").stdout == "a\n"  # begins anew
    assert len(entries_of(Path(log))) == 1


def test_logs_that_are_not_to_be_used(tmp_path: Path) -> None:
    log, data = tmp_path / "log", tmp_path / "data"
    data.write_text("mine\n")
    assert ipcctl("pool", "-q", "--joblog", str(log), "--", "true", ":::", "a").returncode == 0
    for path, args, words in [
        (log, ["--resume", "--", "echo"], "is of another command: words ['true'], and not ['echo']"),
        (log, ["--resume", "-n2", "--", "true"], "is of another command: max-args 1, and not 2"),
        (data, ["--", "true"], "is no job log (line 1)"),
        (tmp_path / "no/log", ["--", "true"], "cannot write the job log"),
        (Path("/dev/full"), ["--", "true"], "cannot write the job log '/dev/full': it is no regular file"),
    ]:
        done = ipcctl("pool", "--joblog", str(path), *args, ":::", "a")
        assert (done.returncode, done.stdout) == (2, "")
        assert words in one_line(done.stderr)
    assert data.read_text() == "mine\n"
    with started("pool", "-q", "--joblog", str(log), "--", "true", stdin=subprocess.PIPE) as process:
        wait_until(lambda: len(log.read_bytes().splitlines()) == 1)
        done = ipcctl("pool", "--joblog", str(log), "--", "true", ":::", "a")
        assert "is being written by another run" in one_line(done.stderr)
        process.communicate()


def test_jobs_that_are_killed_at_random_have_exactly_one_record_each(tmp_path: Path) -> None:
    """Five hundred jobs, each killed by -9 at a moment of its own; and some that end by themselves."""
    script = "[ $(($1 % 3)) = 0 ] && kill -9 $$; [ $(($1 % 3)) = 1 ] && { (kill -9 $$) & wait; }; sh -c 'kill -9 $PPID'"
    args = ["-j4", "-f", "jsonl", "-c", "seq,input,signal,exit_code", "--joblog", str(tmp_path / "log"), "--"]
    given = "".join(f"{n}\n" for n in range(500))
    done = ipcctl("pool", *args, "sh", "-c", script, "x", stdin=None, input=given)
    rows = [json.loads(line) for line in done.stderr.splitlines()]
    assert sorted(row["seq"] for row in rows) == list(range(1, 501))
    assert {(row["signal"], row["exit_code"]) for row in rows} == {("SIGKILL", None)}
    assert sorted(int(each["input"]) for each in entries_of(tmp_path / "log")) == list(range(500))
    assert done.returncode == 1
    see_orphans_end()  # the subshells that killed their parents


def test_a_job_that_a_signal_ended_is_told_with_input_signal_and_memory() -> None:
    done = ipcctl("pool", "-f", "jsonl", "-o", "/dev/null", "--", "sh", "-c", "kill -SEGV $$", ":::", "the input")
    told = one_line(done.stderr)
    assert told.startswith("ipcctl pool: job 1 ('the input') failed: ended by SIGSEGV, its memory at its peak")
    assert "KiB" in told
    assert done.returncode == 1


def test_jobs_that_close_their_output_read_their_input_or_leave_a_daemon() -> None:
    script = "case $1 in close) exec >&- 2>&-;; read) cat; echo read;; daemon) setsid -f sleep 1000; echo $1;; esac"
    args = ["-k", "-j1", "-f", "json", "--", "sh", "-c", script, "x", ":::", "close", "daemon", "read", "x"]
    done = ipcctl("pool", *args)
    assert (done.returncode, done.stdout) == (0, "daemon\nread\n")
    assert len(rows_of(done)) == 4
    (daemon,) = children()  # it is left running, as a shell would leave it
    assert runs(daemon)
    end_children()


def test_what_a_daemon_writes_later_is_not_taken_for_another_jobs() -> None:
    """It writes when the next job in its slot runs, which waits for that."""
    flag = f"/tmp/ipcctl-test-{os.getpid()}-late"
    script = "case $1 in 1) (setsid sh -c 'until [ -e $0 ]; do :; done; echo late; rm $0' $0 &);; 2) touch $0; "
    script += "while [ -e $0 ]; do :; done;; esac; echo job $1"
    done = ipcctl("pool", "-j1", "--tag", "-q", "--", "sh", "-c", script, flag, ":::", "1", "2")
    assert sorted(done.stdout.splitlines()) == ["1\tjob 1", "1\tlate", "2\tjob 2"]
    see_orphans_end()


def test_a_line_longer_than_the_kernel_takes_fails_and_the_others_run() -> None:
    given = "a\n" + "x" * 140_000 + "\nb\n"
    done = ipcctl("pool", "-k", "--", "echo", stdin=None, input=given)
    assert (done.returncode, done.stdout) == (1, "a\nb\n")
    assert "(E2BIG)" in done.stderr.splitlines()[0]
    assert max(map(len, done.stderr.splitlines())) < 1000
    done = ipcctl("pool", "-k", "-q", "--", "echo", stdin=None, input="a\0b\nc\n")
    assert (done.stdout, "embedded null byte" in one_line(done.stderr)) == ("c\n", True)


def test_a_command_that_is_not_there_is_told_once(tmp_path: Path) -> None:
    done = ipcctl("pool", "--", "nosuchcommand", stdin=None, input="a\n" * 1000)
    assert (done.returncode, "'nosuchcommand': not found on PATH" in one_line(done.stderr)) == (127, True)
    assert ipcctl("pool", "--", "/", ":::", "a").returncode == 126
    done = ipcctl("pool", "-f", "json", "-o", str(tmp_path / "report"), "--", "{}", ":::", "nosuchcommand", "true")
    rows = {row["input"]: row for row in json.loads((tmp_path / "report").read_text())["rows"]}
    assert (done.returncode, "not found" in one_line(done.stderr)) == (1, True)
    assert "not found" in rows["nosuchcommand"]["start_error"]
    assert rows["true"]["exit_code"] == 0


def test_where_descriptors_are_scarce_fewer_run_at_once() -> None:
    limit = limited(resource.RLIMIT_NOFILE, 60)
    done = ipcctl("pool", "-j500", "-f", "json", "--", "true", stdin=None, input="x\n" * 40, preexec_fn=limit)
    rows = report_of(done, "stderr")["rows"]
    assert (done.returncode, len(rows)) == (0, 40)
    assert max(row["slot"] for row in rows) <= 15

    hardly = limited(resource.RLIMIT_NOFILE, 20)
    done = ipcctl("pool", "-j500", "--", "true", stdin=None, input="x\n" * 40, preexec_fn=hardly)
    assert (done.returncode, "limit on open files" in one_line(done.stderr)) == (125, True)


def test_pipes_that_jobs_left_behind_hold_are_waited_for() -> None:
    limit = limited(resource.RLIMIT_NOFILE, 50)
    given = "".join(f"{number}\n" for number in range(60))
    script = "sleep 0.1 & echo $1"
    done = ipcctl("pool", "-j4", "-k", "-q", "--", "sh", "-c", script, "x", stdin=None, input=given, preexec_fn=limit)
    assert (done.returncode, done.stdout, done.stderr) == (0, given, "")
    see_orphans_end()


def test_a_log_that_cannot_be_written_ends_all_and_begins_no_line_that_another_would_be_glued_to(
    tmp_path: Path,
) -> None:
    """The second failure comes while jobs are being ended: one more has something to log, two do not end by TERM."""
    script = "[ -e go ] && exit; case $1 in 1|3) trap '' TERM;; 2) trap 'exit 3' TERM;; *) exit 0; esac; "
    script += "while :; do sleep 0.01; done"
    log = tmp_path / "log"
    args = ["-j4", "--grace", "0.1", "-q", "--joblog", str(log), "--resume", "--", "sh", "-c", script, "x"]
    given = "".join(f"{number}\n" for number in range(1, 101))

    limit = limited(resource.RLIMIT_FSIZE, 5000)
    done = ipcctl("pool", *args, stdin=None, input=given, cwd=tmp_path, preexec_fn=limit)
    assert done.returncode == 125
    assert f"cannot write the job log '{log}': File too large" in one_line(done.stderr)
    assert children() == []
    (tmp_path / "go").touch()
    assert ipcctl("pool", *args, stdin=None, input=given, cwd=tmp_path).returncode == 0
    succeeded = [entry["seq"] for entry in entries_of(log) if entry["status"] == 0]
    assert sorted(succeeded) == list(range(1, 101))


SCARCE = """
import errno, sys
from ipcctl import cli
from ipcctl.errors import CannotStart
from ipcctl.pool import scheduler
real, calls = scheduler.start, 0
def start(*args):
    global calls
    calls += 1
    if calls in map(int, sys.argv[1].split(",")):
        raise CannotStart("the limit on processes", 125, errno.EAGAIN)
    return real(*args)
scheduler.start = start
sys.exit(cli.main(sys.argv[2:]))
"""


@pytest.mark.parametrize(("fails", "status", "jobs"), [("2,4,6", 0, 6), ("1", 125, 0), ("2,3,4", 125, 1)])
def test_where_processes_are_scarce_it_waits_or_says_so(fails: str, status: int, jobs: int) -> None:
    """A double refuses some starts: no limit binds root. With a job running it waits for that to end."""
    command = [sys.executable, "-c", SCARCE, fails, "pool", "-j2", "-f", "json", "--", "true"]
    how = {"env": clean_environment(), "capture_output": True, "text": True}
    done = subprocess.run(command, input="x\n" * 6, check=False, **how)
    report, told = done.stderr.splitlines()[0], done.stderr.splitlines()[1:]
    assert (done.returncode, json.loads(report)["summary"]["jobs"]) == (status, jobs)
    assert told == ([] if status == 0 else ["ipcctl pool: the limit on processes"])


def test_a_limit_on_processes_is_named() -> None:
    done = without_processes("pool", "--", "true", ":::", "a")
    assert (done.returncode, "limit on processes" in one_line(done.stderr)) == (125, True)
