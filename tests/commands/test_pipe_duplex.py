"""`ipcctl pipe duplex 'A' 'B'`: two commands talk to each other, and it ends as it would without ipcctl."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import IPCCTL, children, ipcctl, one_line, report_of, runs, see_orphans_end, started, state_of, wait_until

TAIL = "seq 20000; exec >&-; tail -n 1 > last"


def duplex(a: str, b: str, *args: str, **how: Any) -> Any:
    """A run with a report in JSON."""
    return ipcctl("pipe", "duplex", a, b, "-f", "json", *args, **how)


def lines(path: Path) -> list[dict[str, Any]]:
    """A transcript."""
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def test_each_hears_the_other_and_the_end_of_file_of_one_leaves_the_other_way_open(tmp_path: Path) -> None:
    """A closes its output, B's sort ends only then, and what it writes still reaches A."""
    done = duplex(TAIL, "sort -rn", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "last").read_text() == "1\n"
    a, b = report_of(done, "stderr")["rows"]
    size = len("".join(f"{i}\n" for i in range(1, 20001)))
    for row in (a, b):
        assert (row["status"], row["sent_bytes"], row["received_bytes"]) == (0, size, size)
    assert (a["side"], a["command"], b["side"], b["command"], done.stdout) == ("A", TAIL, "B", "sort -rn", "")


CONTENTS = {
    "nothing": b"",
    "one byte": b"\0",
    "all byte values": bytes(range(256)) * 16,
    "more than all pipes hold": random.Random(1).randbytes(3_000_001),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_every_byte_arrives_both_ways_and_is_in_the_transcript(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "content").write_bytes(content)
    done = ipcctl("pipe", "duplex", "cat content; exec >&-; cat > a", "cat > b; cat content", "-q",
                  "--transcript", "said", cwd=tmp_path)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == content
    for direction in ("A>B", "B>A"):
        said = [each for each in lines(tmp_path / "said") if each["direction"] == direction]
        assert [each["closed"] for each in said] == [False] * (len(said) - 1) + [True]
        pieces = [(each["text"] or "").encode() or base64.b64decode(each["base64"] or "") for each in said]
        assert b"".join(pieces) == content
        assert [len(piece) for piece in pieces] == [each["said_bytes"] for each in said]


def test_the_transcript_is_in_the_order_of_the_conversation(tmp_path: Path) -> None:
    a = "echo 'who is there?'; read -r answer; printf '%s\\303' \"$answer\"; read -r _; printf '\\251'"
    b = "read -r question; printf 'me\\n'; head -c 3 > /dev/null; echo go on; cat > /dev/null"
    done = duplex(a, b, "--transcript", "-")
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    texts = [(each["direction"], each["text"]) for each in said if not each["closed"]]
    assert texts == [
        ("A>B", "who is there?\n"), ("B>A", "me\n"), ("A>B", "me"), ("B>A", "go on\n"), ("A>B", "é"),
    ]  # fmt: skip
    assert [each["t_ms"] for each in said] == sorted(each["t_ms"] for each in said)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", said[0]["time"])


def test_what_was_said_to_one_who_has_gone_is_in_the_transcript(tmp_path: Path) -> None:
    """More than both pipes hold, of which B reads a byte."""
    a = "trap '' PIPE; head -c 1000000 /dev/zero 2> /dev/null; true"
    done = duplex(a, "head -c 1 > /dev/null", "--transcript", "said", cwd=tmp_path)
    said = sum(each["said_bytes"] for each in lines(tmp_path / "said"))
    sent, answered = (row["sent_bytes"] for row in report_of(done, "stderr")["rows"])
    assert (done.returncode, answered) == (0, 0)
    assert 0 < said == sent < 1_000_000


def test_a_transcript_that_cannot_be_opened_is_told_before_anything_runs(tmp_path: Path) -> None:
    done = duplex("touch ran", "true", "--transcript", "no/such", cwd=tmp_path)
    assert done.returncode == 2
    assert "cannot write the transcript to 'no/such': No such file or directory; give" in one_line(done.stderr)
    assert not (tmp_path / "ran").exists()


def test_a_transcript_that_ends_early_ends_nothing_else(tmp_path: Path) -> None:
    talk = ("echo ping; exec >&-; cat > heard", "cat > /dev/null; echo pong")
    done = ipcctl("pipe", "duplex", *talk, "-q", "--transcript", "/dev/full", cwd=tmp_path)
    assert (done.returncode, (tmp_path / "heard").read_text()) == (125, "pong\n")
    assert "cannot write the transcript to '/dev/full': No space left on device; it ends here" in one_line(done.stderr)
    reading, writing = os.pipe()
    os.close(reading)
    done = ipcctl("pipe", "duplex", *talk, "-q", "--transcript", "-", cwd=tmp_path, stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_whoever_does_not_read_the_transcript_holds_up_no_signal() -> None:
    with started("pipe", "duplex", "yes", "cat > /dev/null", "--transcript", "-", "-q", "--grace", "0") as process:
        pids = wait_until(lambda: both_of(process.pid), "both to be started")
        wait_until(lambda: state_of(process.pid) == "S" and all(state_of(pid) == "S" for pid in pids), "all asleep")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143


def test_a_transcript_still_to_be_read_when_both_have_ended_is_waited_for() -> None:
    commands = ("yes | head -c 200000; exec >&-", "cat > /dev/null")
    with started("pipe", "duplex", *commands, "--transcript", "-", "-q") as process:
        wait_until(lambda: select.select([process.stdout], [], [], 0)[0] and not children(process.pid), "both")
        out, err = process.communicate()
        assert (process.returncode, err) == (0, "")
        assert sum(json.loads(line)["said_bytes"] for line in out.splitlines()) == 200000
    with started("pipe", "duplex", *commands, "--transcript", "-", "-q") as process:
        wait_until(lambda: select.select([process.stdout], [], [], 0)[0] and not children(process.pid), "both")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143


def test_a_signal_as_both_end_gives_up_a_transcript_that_nobody_reads(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    commands = ("yes | head -c 200000; exec >&-; read -r _ < go", "cat > /dev/null; touch heard; read -r _ < go")
    how = ("--transcript", "-", "-q", "--grace", "0.01")
    with started("pipe", "duplex", *commands, *how, cwd=tmp_path) as process:
        go = os.open(tmp_path / "go", os.O_RDWR)
        wait_until((tmp_path / "heard").exists, "all to be said")
        pids = both_of(process.pid)
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: state_of(process.pid) == "T", "it to stop")
        os.write(go, b"A\nB\n")
        wait_until(lambda: all(state_of(pid) == "Z" for pid in pids), "both to end")
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        os.close(go)
        assert process.wait() == 143


def both_of(pid: int) -> list[int]:
    """The two sides of a conversation, once both are there."""
    found = children(pid)
    return found if len(found) == 2 else []


STALLS = [
    ("cat", "cat", "for B to write", "for A to write"),
    ("sh -c 'cat; :' | cat", "cat", "for B to write", "for A to write"),
    ("yes", "yes", "for B to read", "for A to read"),
    ("cat", f"exec {sys.executable} -c 'import select; select.select([0], [], [])'",
     "for B to write", "for an event, perhaps for A to write"),
]  # fmt: skip


STALLED = r"ipcctl pipe: stalled for 0.05 s: A \(\w+, PID (\d+)\) waits (.*); B \(\w+, PID (\d+)\) waits (.*)\n"


@pytest.mark.parametrize(("a", "b", "a_waits", "b_waits"), STALLS, ids=[" and ".join(each[:2]) for each in STALLS])
def test_a_stall_is_told_and_ends_nothing(a: str, b: str, a_waits: str, b_waits: str, tmp_path: Path) -> None:
    report = tmp_path / "report"
    with started("pipe", "duplex", a, b, "--stall", "50ms", "-f", "json", "-o", str(report)) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        match = re.fullmatch(STALLED, line)
        assert match, line
        assert (match[2], match[4]) == (a_waits, b_waits)
        assert [state_of(int(match[1])), state_of(int(match[3]))] == ["S", "S"]
        process.send_signal(signal.SIGTERM)
        assert process.communicate()[1] == ""
    assert process.returncode == 143
    found = json.loads(report.read_text())
    assert [row["waited"] for row in found["rows"]] == [a_waits, b_waits]
    assert found["summary"]["stalls"] == 1
    assert [each["role"] for each in found["events"] if each["event"] == "stall"] == ["A", "B"]


@pytest.mark.parametrize("b", ["sleep 0.3", "timeout 0.3 cat /dev/zero > /dev/null", "sleep 0.3; echo late; cat"])
def test_one_that_goes_on_by_itself_is_no_stall(b: str) -> None:
    done = duplex("head -n 1", b, "--stall", "20ms")
    assert "stalled" not in done.stderr
    assert report_of(done, "stderr")["summary"]["stalls"] == 0


def test_a_side_that_is_killed_leaves_the_other_its_end_of_file(tmp_path: Path) -> None:
    done = duplex("cat > heard; echo done >> heard", "echo last words; kill -9 $$", cwd=tmp_path)
    a, b = report_of(done, "stderr")["rows"]
    assert (done.returncode, a["status"], b["status"], b["signal"]) == (137, 0, 137, "SIGKILL")
    assert (tmp_path / "heard").read_text() == "last words\ndone\n"


def test_what_they_leave_running_goes_on_talking(tmp_path: Path) -> None:
    """As under a shell; the status does not wait for it."""
    os.mkfifo(tmp_path / "gate")
    speak, hear = "(read -r _ < gate; echo late) 2> /dev/null &", "exec 3<&0; cat <&3 > heard 2> /dev/null &"
    done = duplex(speak, hear, cwd=tmp_path)
    assert (done.returncode, report_of(done, "stderr")["ok"]) == (0, True)
    (tmp_path / "gate").write_text("go\n")
    wait_until(lambda: (tmp_path / "heard").read_text() == "late\n", "what was said late")
    see_orphans_end()


def test_who_writes_to_one_that_is_done_is_told_so_and_that_is_no_failure() -> None:
    done = duplex("exec yes", "head -n 3 > /dev/null")
    rows = report_of(done, "stderr")["rows"]
    assert (done.returncode, rows[0]["signal"], rows[0]["status"], rows[1]["status"]) == (0, "SIGPIPE", 141, 0)
    assert ipcctl("pipe", "duplex", "--strict", "exec yes", "head -n 3 > /dev/null", "-q").returncode == 141
    assert ipcctl("pipe", "duplex", "exec yes", "head -n 3 > /dev/null; exit 4", "-q").returncode == 4


@pytest.mark.parametrize(
    ("a", "b", "status"),
    [("exit 3", "true", 3), ("true", "exit 4", 4), ("exit 3", "exit 4", 4), ("no-such-program", "cat", 127),
     ("/dev/null", "cat", 126)],
)  # fmt: skip
def test_the_status_is_that_of_the_last_that_failed(a: str, b: str, status: int) -> None:
    done = duplex(a, b, "-o", "-")
    assert done.returncode == status
    found = report_of(done)
    assert (found["ok"], found["summary"]["status"]) == (False, status)
    assert status in [row["status"] for row in found["rows"]]


def test_time_is_up_for_both() -> None:
    commands = ("trap '' TERM; sleep 1000 & cat", "trap '' TERM; cat; sleep 1000")
    done = duplex(*commands, "--timeout", "200ms", "--grace", "0")
    found = report_of(done, "stderr")
    assert (done.returncode, found["summary"]["timed_out"]) == (124, True)
    assert [(row["timed_out"], row["status"]) for row in found["rows"]] == [(True, 124)] * 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_both_and_nothing_is_left(number: signal.Signals) -> None:
    commands = ("sleep 1000 & cat", "sh -c 'cat; :' | cat")
    with started("pipe", "duplex", *commands, "-q", start_new_session=True) as process:
        wait_until(lambda: both_of(process.pid), "both to be started")
        os.killpg(process.pid, number)
        assert process.communicate() == ("", "")
    assert process.returncode == 128 + number
    assert not any(map(runs, children()))


def test_stopped_and_disturbed_it_loses_no_byte(tmp_path: Path) -> None:
    content = random.Random(2).randbytes(8 << 20)
    (tmp_path / "content").write_bytes(content)
    with started("pipe", "duplex", "cat content & exec cat > back", "cat", "-q", cwd=tmp_path) as process:
        wait_until(lambda: both_of(process.pid) or process.poll() is not None, "both to be started")
        for _ in range(300):
            for number in (signal.SIGWINCH, signal.SIGSTOP, signal.SIGCONT):
                process.send_signal(number)
            os.sched_yield()
        assert process.wait() == 0
    assert (tmp_path / "back").read_bytes() == content
    see_orphans_end()  # what wrote the content has no parent since the other cat ended, and may be ending still


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["duplex"], "a conversation needs two commands, 'A' and 'B', and 0 were given"),
        (["duplex", "cat"], "and 1 were given"),
        (["duplex", "cat", "cat", "cat"], "and 3 were given"),
        (["duplex", "cat", " "], "one of the commands is empty"),
        (["--stall", "1"], "No such option"),
        (["--transcript", "x"], "No such option"),
        (["--timeout", "1"], "--timeout goes with 'COMMAND'; name one"),
        (["duplex", "--stall", "0", "cat", "cat"], "too short"),
        (["duplex", "--progress", "cat", "cat"], "No such option"),
        (["duplex", "cat", "cat", "--transcript", "-", "-o", "-"], "cannot both go to standard output"),
        (["--strict", "duplex", "cat", "cat"], "--strict stands before the verb 'duplex'; put it after, or -- before"),
        (["duplex", "cat", "cat", "-c", "nope"], "no column 'nope' in rows; there are: side, command,"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_line(args: list[str], told: str) -> None:
    done = ipcctl("pipe", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in one_line(done.stderr)


@pytest.mark.parametrize("count", [6, 8, 10, 13])
def test_where_descriptors_run_out_it_is_told_in_one_line(count: int) -> None:
    script = f'ulimit -n {count}; exec "$0" "$@"'
    command = ["sh", "-c", script, IPCCTL, "pipe", "duplex", "-q", "echo hello", "cat > /dev/null"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=30)
    if done.returncode:
        assert done.returncode == 125
        assert "open files" in one_line(done.stderr)
