"""`ipcctl ps`: each bad value is told in one line, with a status; outputs that are full, closed or gone."""

from __future__ import annotations

import os
import resource
import subprocess
from typing import Any

import pytest
from processes import process, unprivileged
from support import IPCCTL, clean_environment, ipcctl, one_line, report_of

MOST = 1 << 22


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["0"], ["'0' is no PID", "from 1 to 4194304"]),
        (["-1"], ["-1"]),
        (["--", "-1"], ["'-1' is no PID"]),
        (["99999999999999999999"], ["'99999999999999999999' is no PID"]),
        ([str(MOST + 1)], [f"'{MOST + 1}' is no PID"]),
        (["1.5"], ["'1.5' is no PID"]),
        (["init"], ["'init' is no PID"]),
        ([""], ["'' is no PID"]),
        (["１"], ["is no PID"]),
        (["1\n"], ["is no PID"]),
        (["--children-of", "x"], ["'x' is no PID"]),
        (["--parents-of", "-5"], ["'-5' is no PID"]),
        (["--user", "no-such-user"], ["no user 'no-such-user'", "number"]),
        (["--user", ""], ["no user ''"]),
        (["--user", "4294967296"], ["no user '4294967296'"]),
        (["--user", "-1"], ["no user '-1'"]),
        (["--state", "Q"], ["no state 'Q'", "Z zombie"]),
        (["--state", "Z,,D"], ["no state ''"]),
        (["--state", ""], ["no state ''"]),
        (["--state", "z"], ["no state 'z'"]),
        (["--name", "("], ["'(' is no regular expression"]),
        (["--name", "x{99999999999}"], ["is no regular expression"]),
        (["--threads-over", "-1"], ["-1", "0<=x<="]),
        (["--threads-over", "many"], ["'many'"]),
        (["--limit", "0"], ["0", "x>=1"]),
        (["--limit", "-3"], ["-3"]),
        (["--watch", "0"], ["'0' is too short"]),
        (["--watch", "-1"], ["'-1' is no time"]),
        (["--watch", "soon"], ["'soon' is no time"]),
        (["--watch", "1e9h"], ["too long"]),
        (["--sort", "size"], ["no column 'size' to sort by", "rss_kib"]),
        (["--sort", ""], ["no column ''"]),
        (["--sort", "-pid,-x"], ["no column 'x'"]),
        (["--zombies", "--sort", "rss"], ["no column 'rss'", "oldest_s"]),
        (["-c", "pid,size"], ["no column 'size'", "rss_kib"]),
        (["--zombies", "-c", "rss"], ["no column 'rss'", "oldest_s"]),
        (["--section", "processes"], ["'processes'", "rows"]),
        (["states", "1"], ["unexpected extra argument"]),
        (["states", "--user", "0"], ["No such option", "--user"]),
        (["--user", "0", "states"], ["--user stands before the verb 'states'; put it after"]),
        (["--tree", "--zombies"], ["--tree and --zombies exclude each other"]),
        (["--tree", "--limit", "3"], ["--tree and --limit exclude each other"]),
        (["--zombies", "--state", "Z"], ["--zombies and --state exclude each other"]),
        (["--watch", "1", "-f", "html"], ["--watch does not go with format html", "jsonl"]),
        (["--colour"], ["--colour"]),
    ],
)
def test_bad_values(args: list[str], told: list[str]) -> None:
    done = ipcctl("ps", *args)
    line = one_line(done.stderr)
    assert line.startswith("ipcctl ps: ")
    assert all(each in line for each in told), line
    assert (done.returncode, done.stdout) == (2, "")


def test_one_that_is_not_there_is_told_and_the_others_are_listed() -> None:
    with process() as gone:
        pass
    done = ipcctl("ps", "-f", "json", str(os.getpid()), str(gone.pid), str(MOST))
    assert [row["pid"] for row in report_of(done)["rows"]] == [os.getpid()]
    assert report_of(done)["ok"] is False
    assert f"no process {gone.pid}, {MOST}" in one_line(done.stderr)
    assert done.returncode == 1


@pytest.mark.parametrize("option", ["--children-of", "--parents-of"])
def test_relatives_of_nobody(option: str) -> None:
    done = ipcctl("ps", "-f", "json", option, str(MOST))
    assert report_of(done)["rows"] == []
    assert f"no process {MOST}" in one_line(done.stderr)
    assert done.returncode == 1


@pytest.mark.parametrize("how", ["", "-f jsonl", "-f csv", "--tree -c pid,command"])
def test_a_reader_that_has_enough(how: str) -> None:
    """With more output than a pipe holds, from before the helper has ended."""
    sleepers = [os.posix_spawn("/bin/sleep", ["sleep", "1000", "0" * 200], {}) for _ in range(550)]
    script = f'"$0" ps {how} | head -n 1; echo "${{PIPESTATUS[0]}}"'
    try:
        done = subprocess.run(["bash", "-c", script, IPCCTL], capture_output=True, text=True, check=False,
                              env=clean_environment())  # fmt: skip
    finally:
        for pid in sleepers:
            os.kill(pid, 9)
        for pid in sleepers:
            os.waitpid(pid, 0)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "141"


@pytest.mark.parametrize("how", [[], ["-f", "jsonl"], ["-f", "json"], ["--zombies", "-f", "csv"], ["states"]])
def test_a_full_disk(how: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = ipcctl("ps", *how, stdout=full)
    assert "No space left" in one_line(done.stderr)
    assert done.returncode == 125


def test_no_output_at_all() -> None:
    done = subprocess.run(["sh", "-c", '"$0" ps >&-', IPCCTL], capture_output=True, text=True, check=False)
    assert done.returncode == 125
    assert "standard output" in one_line(done.stderr)


def test_no_input_no_terminal_no_home() -> None:
    env = clean_environment(HOME=None, TERM=None, LANG=None, LC_ALL=None)
    script = '"$0" ps -f json -c pid <&-'
    argv = ["setsid", "-w", "sh", "-c", script, IPCCTL]
    done = subprocess.run(argv, capture_output=True, text=True, env=env, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert {"pid": 1} in report_of(done)["rows"]


def limited(limit: int, value: int) -> Any:
    """What sets a limit in the process that is started."""
    return lambda: resource.setrlimit(limit, (value, value))


def test_few_descriptors() -> None:
    done = ipcctl("ps", "-f", "json", preexec_fn=limited(resource.RLIMIT_NOFILE, 12))
    assert done.returncode == 0, done.stderr
    assert os.getpid() in {row["pid"] for row in report_of(done)["rows"]}


def test_a_limit_of_no_processes() -> None:
    """Everything is listed without a helper; the demonstration says that it cannot be made."""
    how = unprivileged() | {"preexec_fn": limited(resource.RLIMIT_NPROC, 0)}
    done = ipcctl("ps", "-f", "json", **how)
    assert (done.returncode, done.stderr) == (0, "")
    assert 1 in {row["pid"] for row in report_of(done)["rows"]}
    shown = ipcctl("ps", "states", "-f", "json", **how)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert {check["status"] for check in report_of(shown)["checks"]} == {"skipped"}
    assert all("the limit on processes" in check["reason"] for check in report_of(shown)["checks"])


def test_several_things_that_are_wrong_are_one_line() -> None:
    done = ipcctl("ps", "0", "--limit", "0", "--state", "q", "-c", "x")
    one_line(done.stderr)
    assert done.returncode == 2
