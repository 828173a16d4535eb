"""`ipcctl pool -- COMMAND`: what runs, with which arguments, how its output is passed on, and what is reported."""

from __future__ import annotations

import json
import os
import pty
import resource
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support import IPCCTL, clean_environment, ipcctl, limited, one_line, report_of, started, wait_until

AWKWARD = ["a b", "'", '"', "$(touch no)", "`id`", "a\\nb", "*", "-n", "", "é", "\udcff\udcfe", "{}"]
AWKWARD += ["a\tb", " x ", "\r"]


def pool(*args: str, given: str | None = None, **how: Any) -> Any:
    """Run jobs; `given` is what stdin has."""
    if given is not None:
        how |= {"stdin": None, "input": given}
    return ipcctl("pool", *args, **how)


def rows_of(*args: str, given: str | None = None, **how: Any) -> list[dict[str, Any]]:
    """The rows of a run, in the order of the input."""
    report = report_of(pool("-f", "json", *args, given=given, **how), "stderr")
    return sorted(report["rows"], key=lambda row: row["seq"])


def xargs(*args: str, given: bytes, cwd: Path) -> bytes:
    """What xargs prints for the same input."""
    return subprocess.run(["xargs", *args], input=given, capture_output=True, cwd=cwd, check=True).stdout


@pytest.mark.parametrize(
    ("ours", "theirs", "end"),
    [
        (["-k"], ["-d", "\\n", "-n1"], "\n"),
        (["-k", "-0"], ["-0", "-n1"], "\0"),
        (["-k", "-n3"], ["-d", "\\n", "-n3"], "\n"),
    ],
)
def test_arguments_arrive_as_from_xargs(ours: list[str], theirs: list[str], end: str, tmp_path: Path) -> None:
    given = end.join([*AWKWARD, *(["two\nlines"] if end == "\0" else [])]) + end
    command = ["printf", "<%s>", "x"]
    raw = given.encode("utf-8", "surrogateescape")
    done = pool("-q", *ours, "--", *command, cwd=tmp_path, text=False, stdin=None, input=raw)
    assert done.returncode == 0
    assert done.stdout == xargs(*theirs, *command, given=raw, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_record_a_job_that_agrees_with_the_job_itself() -> None:
    script = "echo $$; exit $1"
    report = report_of(pool("--capture", "-f", "json", "-j2", "--", "sh", "-c", script, "x", given="0\n3\n0\n"))
    rows = sorted(report["rows"], key=lambda row: row["seq"])
    assert [(row["seq"], row["input"], row["exit_code"], row["attempts"]) for row in rows] == [
        (1, "0", 0, 1), (2, "3", 3, 1), (3, "0", 0, 1)]  # fmt: skip
    assert [int(row["stdout"]) for row in rows] == [row["pid"] for row in rows]
    assert rows[1]["argv"] == ["sh", "-c", script, "x", "3"]
    assert {row["slot"] for row in rows} <= {1, 2}
    summary = report["summary"]
    assert [summary[name] for name in ("jobs", "succeeded", "failed", "timed_out", "signalled")] == [3, 2, 1, 0, 0]
    assert summary["busy_s"] == pytest.approx(sum(row["wall_s"] for row in rows), abs=1e-4)
    assert summary["slowest_s"] == max(row["wall_s"] for row in rows)
    assert report["ok"] is False
    assert {event["event"] for event in report["events"]} == {"start", "end"}


def test_placeholders_shell_and_lines(tmp_path: Path) -> None:
    assert pool("-q", "-j1", "--", "echo", "{#}", "{%}", "{/.}", "x{}y", ":::", "d/a.b", "c").stdout == (
        "1 1 a xd/a.by\n2 1 c xcy\n"
    )
    done = pool("-q", "--shell", "--", "echo {} | tr a b; echo", ":::", "a $HOME")
    assert done.stdout == "b $HOME\n\n"
    lines = "echo $((1 + 2))\nexit 4\n"
    done = pool("-k", "--lines", "-f", "jsonl", "-c", "input,exit_code", given=lines)
    assert done.stdout == "3\n"
    assert sorted(json.loads(line)["exit_code"] for line in done.stderr.splitlines()) == [0, 4]
    (tmp_path / "args").write_text("a\nb\n")
    assert pool("-q", "-k", "-a", str(tmp_path / "args"), "echo", "x").stdout == "x a\nx b\n"


def test_no_input_is_no_job_and_no_error() -> None:
    done = pool("-f", "json", "--", "nosuchcommand", given="")
    assert (done.returncode, report_of(done, "stderr")["summary"]["jobs"], done.stdout) == (0, 0, "")
    assert pool("-q", "--", "false", ":::").returncode == 0


def test_jobs_run_at_once_and_never_more(tmp_path: Path) -> None:
    """Each of the first three waits until it has seen three, and says how many there are; as do the others."""
    script = "cd $0; touch $$; until [ -e ../go ] || [ $(ls | wc -l) = 3 ]; do :; done; touch ../go; ls | wc -l; rm $$"
    (tmp_path / "running").mkdir()
    done = pool("-q", "-j3", "--", "sh", "-c", script, str(tmp_path / "running"), given="1\n2\n3\n4\n5\n6\n")
    assert done.returncode == 0
    assert max(map(int, done.stdout.split())) == 3
    assert len(done.stdout.split()) == 6


def test_output_is_apart_whole_and_in_order_when_asked() -> None:
    script = "for i in 1 2 3; do echo $1 $i; echo $1 err $i >&2; done; [ $1 != 1 ] || while [ ! -e $0 ]; do :; done; "
    script += "[ $1 != 4 ] || touch $0"
    name = f"/tmp/ipcctl-test-{os.getpid()}"
    try:
        done = pool("-k", "-q", "-j2", "--", "sh", "-c", script, name, given="1\n2\n3\n4\n")
    finally:
        Path(name).unlink()
    assert done.stdout.split("\n")[:-1] == [f"{job} {i}" for job in (1, 2, 3, 4) for i in (1, 2, 3)]
    assert done.stderr.split("\n")[:-1] == [f"{job} err {i}" for job in (1, 2, 3, 4) for i in (1, 2, 3)]


def test_as_jobs_end_without_an_order() -> None:
    """The first job waits for the fourth: its output comes after that of those between."""
    script = "[ $1 != 1 ] || while [ ! -e $0 ]; do :; done; [ $1 != 4 ] || touch $0; echo $1"
    name = f"/tmp/ipcctl-test-{os.getpid()}-order"
    try:
        done = pool("-q", "-j2", "--", "sh", "-c", script, name, given="1\n2\n3\n4\n")
    finally:
        Path(name).unlink()
    assert done.stdout.split()[:2] == ["2", "3"]
    assert sorted(done.stdout.split()) == ["1", "2", "3", "4"]


def test_tags_lines_and_straight_through() -> None:
    assert pool("-q", "-k", "--tag", "--", "printf", "%s\\nx\\n", given="a\nb\n").stdout == "a\ta\na\tx\nb\tb\nb\tx\n"
    with started("pool", "-q", "--line-buffer", "--tag", "--", "sh", "-c", "echo up; read x </dev/tcp 2>/dev/null; "
                 "while [ ! -e $0 ]; do :; done; printf end", f"/tmp/ipcctl-test-{os.getpid()}-line",
                 ":::", "a") as process:  # fmt: skip
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "a\tup\n"  # while the job runs
        finally:
            Path(f"/tmp/ipcctl-test-{os.getpid()}-line").touch()
        assert process.communicate()[0] == "a\tend"
    Path(f"/tmp/ipcctl-test-{os.getpid()}-line").unlink()
    assert pool("-q", "--ungroup", "--", "sh", "-c", "ls -l /proc/$$/fd/1", ":::", "a").stdout.count("pipe:") == 1


def test_more_output_than_is_held_in_memory_passes_whole(tmp_path: Path) -> None:
    (tmp_path / "much").write_bytes(os.urandom(3 << 20) + b"no end")
    done = pool("-q", "-k", "--", "sh", "-c", "cat $1; cat $1 >&2", "x", str(tmp_path / "much"), text=False,
                stdin=None, input=b"1\n")  # fmt: skip
    assert done.returncode == 0
    assert done.stdout == done.stderr == (tmp_path / "much").read_bytes()
    with open("/dev/full", "w") as stdout:
        full = pool("-q", "--", "cat", str(tmp_path / "much"), given="/dev/null\n", stdout=stdout)
    assert full.returncode == 125
    assert "cannot write the output of the jobs to standard output: No space left" in one_line(full.stderr)


def test_rows_come_as_jobs_end_and_before_the_input_ends() -> None:
    with started("pool", "-j2", "-f", "jsonl", "-c", "input", "--", "true", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stderr is not None
        for word in ("one", "two"):
            process.stdin.write(word + "\n")
            process.stdin.flush()
            assert json.loads(process.stderr.readline()) == {"input": word}
        process.communicate()
    assert process.returncode == 0


def test_the_table_has_the_failed_jobs_and_the_summary() -> None:
    done = pool("-j2", "--", "sh", "-c", "exit $1", "x", given="0\n5\n0\n")
    told, title, header, _, row, *rest = done.stderr.splitlines()
    assert told == "ipcctl pool: job 2 ('5') failed: exit status 5"
    assert (title, header.split()[:2], row.split()[:2]) == ("failed jobs", ["seq", "input"], ["2", "5"])
    assert rest[1] == "summary"
    assert done.returncode == 1
    every = pool("--section", "rows", "--no-header", "--", "true", given="0\n5\n0\n").stderr.splitlines()
    assert sorted(line.split()[:2] for line in every) == [["1", "0"], ["2", "5"], ["3", "0"]]


@pytest.mark.parametrize("format", ["shell", "csv", "markdown", "html", "timeline", "trace", "tsv"])
def test_the_other_formats(format: str, tmp_path: Path) -> None:
    done = pool("-f", format, "-o", str(tmp_path / "report"), "--", "false", ":::", "the input")
    text = (tmp_path / "report").read_text()
    assert "the input" in text or format == "shell"
    assert done.returncode == 1
    assert one_line(done.stderr) == "ipcctl pool: job 1 ('the input') failed: exit status 1"


def test_a_summary_that_a_shell_evaluates_is_safe_beside_the_failures() -> None:
    command = f"{shlex.quote(IPCCTL)} pool -f shell -- false ::: '$(touch no); \ntouch no'"
    script = f'eval "$({command} 2>&1)"; echo "$POOL_FAILED,$POOL_JOBS,$POOL_STATUS"'
    done = subprocess.run(["sh", "-c", script], env=clean_environment(), capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("1,1,1\n", "")


def test_a_dry_run_prints_and_runs_nothing() -> None:
    done = pool("--dry-run", "--", "touch", "{}", given="a b\n")
    assert (done.returncode, done.stdout) == (0, "touch 'a b'\n")


def test_each_argument_once() -> None:
    report = report_of(pool("-f", "json", "--unique", "--", "true", given="a\nb\na\n"), "stderr")
    assert sorted(row["input"] for row in report["rows"]) == ["a", "b"]
    assert report["summary"]["repeated"] == 1


def test_failed_jobs_are_tried_again_with_longer_delays(tmp_path: Path) -> None:
    script = "date +%s.%N >> $0; [ $(wc -l < $0) = 3 ]"
    args = ["--retries", "5", "--delay", "40ms", "--", "sh", "-c", script, str(tmp_path / "times")]
    report = report_of(pool("-f", "json", *args, ":::", "a"), "stderr")
    (row,) = report["rows"]
    assert (row["attempts"], row["exit_code"], report["summary"]["retried"]) == (3, 0, 2)
    first, second, third = map(float, (tmp_path / "times").read_text().split())
    assert second - first >= 0.04
    assert third - second >= 0.08
    (row,) = rows_of("--retries", "1", "--", "false", ":::", "a")
    assert (row["attempts"], row["exit_code"]) == (2, 1)


def test_what_is_left_out_and_what_goes_together() -> None:
    for args, words in [
        (["-j", "x", "--", "true"], "is no number of jobs"),
        (["-k", "--line-buffer", "--", "true"], "--line-buffer and --keep-order exclude each other; leave one out"),
        (["--resume", "--", "true"], "--resume goes with --joblog"),
        (["--lines", "true"], "--lines takes whole commands"),
        (["-a", "/no/such", "--", "true"], "cannot read arguments from '/no/such'"),
        (["-a", "/", "--", "true"], "Is a directory"),
        (["--tasks", "3", "--", "true"], "--tasks goes with `ipcctl pool` alone"),
        (["-k"], "no COMMAND; name one, or use --lines"),
        (["--", "true", ":::", "a", ":::", "b"], "is there twice"),
        ([":::", "a"], "no COMMAND"),
        (["--"], "no command after --"),
    ]:
        done = pool(*args)
        assert (done.returncode, done.stdout) == (2, ""), args
        assert words in one_line(done.stderr)


def test_nothing_starts_while_the_gate_is_shut() -> None:
    with started("pool", "--memfree", "1P", "--", "echo", ":::", "a") as process:
        wait_until(lambda: "S" in Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2][:3])
        assert process.poll() is None
        process.terminate()
        out, _ = process.communicate()
    assert (process.returncode, out) == (143, "")
    assert pool("-q", "--memfree", "1", "--max-load", "1e9", "--", "echo", ":::", "a").stdout == "a\n"


def test_waiting_takes_no_processor_time() -> None:
    """Idle with a job that sleeps and with no line to read: no clock tick is used, nor any switch made."""
    args = ["pool", "-q", "--line-buffer", "--", "sh", "-c", "echo up; exec sleep 1000"]
    with started(*args, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("a\n")
        process.stdin.flush()
        assert process.stdout.readline() == "up\n"
        usage = Path(f"/proc/{process.pid}/status")

        def switches() -> int:
            return int(next(line for line in usage.read_text().splitlines() if line.startswith("voluntary")).split()[1])

        wait_until(lambda: usage.read_text().split("State:\t")[1][0] == "S")
        before, end = switches(), time.monotonic() + 0.4
        wait_until(lambda: time.monotonic() > end)
        assert switches() - before <= 2  # it may only just have been falling asleep
        process.terminate()
        process.communicate()


def test_the_bar_on_a_terminal() -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(IPCCTL, [IPCCTL, "pool", "-j1", "--", "sh", "-c", "echo out", ":::", "a", "b"], clean_environment())
    text = b""
    with os.fdopen(terminal, "rb", buffering=0) as screen:
        try:
            while data := screen.read(4096):
                text += data
        except OSError:  # the terminal's last holder has ended
            pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"0/2  0 done, 0 failed, 1 running" in text
    assert b"\r\x1b[K" + b"out\r\n" in text


def test_memory_does_not_grow_with_the_lines(tmp_path: Path) -> None:
    """Bounded by a limit on the address space of some megabytes more than it has for a few lines."""
    (tmp_path / "lines").write_bytes(b"".join(b"%d\n" % number for number in range(400_000)))

    limit = limited(resource.RLIMIT_DATA, 48 << 20)
    done = pool("-n", "20000", "-f", "shell", "-a", str(tmp_path / "lines"), "--", "true", preexec_fn=limit)
    assert done.returncode == 0, done.stderr
    assert "POOL_JOBS='20'" in done.stderr


def test_a_job_has_no_descriptor_of_ours_and_the_signals_of_a_shell() -> None:
    code = "import os, signal; print(sorted(os.listdir('/proc/self/fd'))[:3], signal.getsignal(2), "
    code += "signal.pthread_sigmask(0, []), os.readlink('/proc/self/fd/0'), signal.getsignal(13))"
    done = pool("-q", "--", sys.executable, "-c", code, ":::", "a")
    assert done.stdout.startswith("['0', '1', '2'] <built-in function default_int_handler> set() /dev/null")
