"""`ipcctl pipe 'A' 'B' 'C'`: the pipeline runs as under the shell, and the report says truly what each stage did."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import (
    IPCCTL,
    children,
    clean_environment,
    ipcctl,
    limited,
    one_line,
    report_of,
    see_orphans_end,
    started,
    wait_until,
    without_processes,
)

ALL_BYTES = bytes(range(256)) * 5000


def piped(*stages: str, **how: Any) -> Any:
    """A pipeline, with its report as JSON on stderr."""
    return ipcctl("pipe", "-f", "json", *stages, **how)


def rows(done: Any) -> list[dict[str, Any]]:
    """The rows of its report, where the stages have said nothing on stderr."""
    found: list[dict[str, Any]] = report_of(done, "stderr")["rows"]
    return found


def everything(terminal: int) -> str:
    """What was written to a terminal that nobody has open any more."""
    found = b""
    with contextlib.suppress(OSError):  # EIO at its end
        while more := os.read(terminal, 10_000):
            found += more
    return found.decode()


def python(code: str) -> str:
    """A stage that runs Python code."""
    return f"exec {shlex.join([sys.executable, '-c', code])}"


@pytest.mark.parametrize("data", [b"", b"\0", ALL_BYTES], ids=["empty", "one byte", "all bytes"])
def test_bytes_arrive_as_they_were(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(data)
    with open(tmp_path / "in", "rb") as given, open(tmp_path / "out", "wb") as taken:
        done = ipcctl("pipe", "-f", "json", *["cat"] * 4, stdin=given, stdout=taken)
    assert (tmp_path / "out").read_bytes() == data
    seen = [(row["received_bytes"], row["sent_bytes"], row["status"]) for row in rows(done)]
    assert seen == [(len(data), len(data), 0)] * 4


def test_three_gibibytes_are_counted() -> None:
    """More than an int of 32 bits holds, and more than one splice moves."""
    done = piped("head -c 3G /dev/zero", python("import os\nwhile os.splice(0, 1, 1 << 20): pass") + " > /dev/null")
    assert [(row["sent_bytes"], row["received_bytes"]) for row in rows(done)] == [(3 << 30, None), (None, 3 << 30)]


def test_stdin_and_stdout_are_the_ends() -> None:
    done = piped("tr a-z A-Z", "rev", stdin=None, input="given\n")
    assert done.stdout == "NEVIG\n"
    assert [row["received_bytes"] for row in rows(done)] == [None, 6]  # of our own pipes it cannot be known


def test_the_row_is_a_run_record() -> None:
    first, last = rows(piped("echo $$", "read pid; echo $pid; exit 3"))
    assert (first["stage"], first["command"]) == (1, "echo $$")
    assert (first["exit_code"], last["exit_code"], last["signal"], last["timed_out"]) == (0, 3, None, False)
    assert first["started"] <= last["started"]
    for row in (first, last):
        waits = [row[name] for name in ("busy_s", "starved_s", "blocked_s")]
        assert min(waits) >= 0
        assert sum(waits) == pytest.approx(row["wall_s"], rel=0.2, abs=0.05)
    assert last["rate_bytes_per_s"] == pytest.approx(last["received_bytes"] / last["wall_s"], rel=0.01)


@pytest.mark.parametrize(
    "stages",
    [
        ["exit 3", "exit 4", "exit 0"],
        ["true", "kill -9 $$", "cat"],
        ["exec yes", "head -1"],
        ["exec yes", "exec cat", "exit 5"],
        ["nosuchcommand", "/", "kill -TERM $$"],
        ["exec 1>&-; exit 7", "cat", "true"],
        ["exit 255", "kill -SEGV $$"],
    ],
)
def test_statuses_are_those_of_bash(stages: list[str]) -> None:
    """PIPESTATUS, and the status with pipefail, but for SIGPIPE where the reader was done."""
    given = " | ".join(f"sh -c {shlex.quote(each)}" for each in stages)
    script = f"set -o pipefail; {given} >/dev/null; echo $? ${{PIPESTATUS[@]}}"
    bash = subprocess.run(["bash", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    pipefail, *statuses = map(int, bash.stdout.split())
    done = piped("--strict", *[f"exec 2>/dev/null; {each}" for each in stages], stdout=subprocess.DEVNULL)
    assert [row["status"] for row in rows(done)] == statuses
    assert done.returncode == pipefail


def test_sigpipe_is_no_failure_where_the_reader_was_done_and_succeeded() -> None:
    done = piped("exec yes", "exec cat", "head -1")
    assert (done.returncode, [row["status"] for row in rows(done)]) == (0, [141, 141, 0])
    assert not any(row["failed"] for row in rows(done))
    assert report_of(done, "stderr")["ok"] is True
    assert ipcctl("pipe", "-q", "--strict", "exec yes", "exec cat", "head -1").returncode == 141
    failed = piped("exec yes", "exec cat", "read line; exit 6")
    assert (failed.returncode, [row["failed"] for row in rows(failed)]) == (6, [True, True, True])
    assert ipcctl("pipe", "-q", "kill -PIPE $$", "cat").returncode == 141  # its reader was not done


def test_a_shell_that_says_141_for_its_command_is_the_same() -> None:
    done = piped("yes; exit $?", "head -1")
    assert (done.returncode, rows(done)[0]["exit_code"], rows(done)[0]["failed"]) == (0, 141, False)


def test_a_reader_that_goes_early_is_learnt_of_at_the_next_write() -> None:
    """The writer waits until the reader is gone, and its first write after that must fail: no byte is taken from it."""
    code = "import os, signal, select\nsignal.signal(signal.SIGPIPE, signal.SIG_IGN)\np = select.poll()\n"
    code += "p.register(1, 0)\np.poll()\ntry: os.write(1, b'x'); os._exit(1)\nexcept BrokenPipeError: os._exit(0)"
    done = piped(python(code), "exec true")
    assert (done.returncode, rows(done)[0]["sent_bytes"]) == (0, 0)


def test_what_a_reader_left_unread_is_not_counted_as_received() -> None:
    """Whether the writer goes first, or the reader."""
    first, last = rows(piped("printf 123456789", "read line < /dev/null; exec dd bs=1 count=4 2>/dev/null"))
    assert (first["sent_bytes"], last["received_bytes"]) == (9, 4)
    first, last = rows(piped("printf 123456789; exec sleep 0.2", "exec dd bs=1 count=4 2>/dev/null"))
    assert (first["sent_bytes"], last["received_bytes"]) == (9, 4)


def test_a_stage_that_closes_its_output_and_runs_on() -> None:
    """Its reader sees the end of file while it still runs, as the reader itself sees."""
    writer = "echo $$; exec >&-; read line < $0.fifo; exit 3"
    reader = "read pid; read more; test -d /proc/$pid && echo runs; echo > $0.fifo"
    name = f"/tmp/ipcctl-test-{os.getpid()}"
    os.mkfifo(name + ".fifo")
    try:
        done = piped(writer.replace("$0", name), reader.replace("$0", name))
    finally:
        os.unlink(name + ".fifo")
    assert (done.returncode, done.stdout) == (3, "runs\n")


def test_a_background_child_that_holds_the_output_is_waited_for_by_its_reader() -> None:
    done = piped("(read line < /dev/null; sleep 0.1; echo late) & echo early", "cat")
    see_orphans_end()  # it lets go of the output before it has ended
    assert (done.stdout, rows(done)[1]["received_bytes"]) == ("early\nlate\n", 11)


def test_what_the_stages_leave_running_goes_on(tmp_path: Path) -> None:
    """Both stages end, and leave a writer and a reader: what passes between them arrives, and then nothing is left."""
    os.mkfifo(tmp_path / "go")
    writer = f"(read line < {tmp_path}/go; echo late) 2>/dev/null & echo early"
    done = piped(writer, f"exec 3<&0; cat <&3 > {tmp_path}/out 2>/dev/null & exit 3")
    assert done.returncode == 3
    (tmp_path / "go").write_text("\n")
    wait_until(lambda: (tmp_path / "out").read_text() == "early\nlate\n")
    see_orphans_end()


def test_a_stage_that_is_killed() -> None:
    code = "import os, sys\nsys.stdout.write('up\\n' * 2); sys.stdout.flush(); os.kill(os.getpid(), 9)"
    done = piped("exec yes", python(code), "cat")
    assert done.stdout == "up\nup\n"
    assert [row["status"] for row in rows(done)] == [141, 137, 0]
    assert (done.returncode, [row["signal"] for row in rows(done)]) == (137, ["SIGPIPE", "SIGKILL", None])


def test_one_stage() -> None:
    done = piped("cat; exit 4", stdin=None, input="x")
    assert (done.returncode, done.stdout, len(rows(done))) == (4, "x", 1)
    assert rows(done)[0]["bottleneck"] is None


def test_fifty_stages() -> None:
    done = piped(*["cat"] * 50, stdin=None, input="x" * 200_000, timeout=60)
    assert (done.returncode, done.stdout) == (0, "x" * 200_000)
    assert [row["sent_bytes"] for row in rows(done)] == [200_000] * 49 + [None]


def test_where_descriptors_run_out_no_stage_runs(tmp_path: Path) -> None:
    stages = [f"touch {tmp_path}/ran"] * 10
    done = ipcctl("pipe", *stages, preexec_fn=limited(resource.RLIMIT_NOFILE, 24))
    assert (done.returncode, list(tmp_path.iterdir())) == (125, [])
    assert "limit on open files" in one_line(done.stderr)


def test_where_a_process_cannot_be_had_the_others_see_the_end() -> None:
    done = without_processes("pipe", "true", "cat")
    assert done.returncode == 125
    assert "limit on processes" in one_line(done.stderr)


def test_stdout_is_full_or_closed() -> None:
    with open("/dev/full", "wb") as full:
        done = piped("echo x", "exec cat 2>/dev/null", stdout=full)
    assert (done.returncode, [row["status"] for row in rows(done)]) == (1, [0, 1])
    script = f"{shlex.quote(IPCCTL)} pipe -f json 'echo x' 'exec cat 2>/dev/null' >&-"
    shell = subprocess.run(["sh", "-c", script], env=clean_environment(), capture_output=True, text=True, check=False)
    assert (shell.returncode, [row["status"] for row in report_of(shell, "stderr")["rows"]]) == (1, [0, 1])


def test_the_reader_of_our_own_stdout_goes() -> None:
    script = f"{shlex.quote(IPCCTL)} pipe -q 'exec yes' 'exec cat' | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], env=clean_environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "y\n141\n"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_asked_to_end_it_leaves_nothing(name: str) -> None:
    stubborn = "trap '' TERM INT HUP; echo up; (setsid sleep 1000 &); while :; do sleep 1000; done"
    with started("pipe", "-q", "--grace", "100ms", stubborn, "cat", "tee /dev/null") as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        process.send_signal(signal.Signals[name])
        process.communicate()
    assert process.returncode == 128 + signal.Signals[name]
    assert children() == []


def test_ctrl_c_ends_it_as_under_a_shell(tmp_path: Path) -> None:
    import pty

    report = str(tmp_path / "report")
    stages = ["echo up; exec sleep 1000", "exec cat"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(IPCCTL, [IPCCTL, "pipe", "-f", "json", "-o", report, *stages], clean_environment())
    try:
        wait_until(lambda: b"up" in os.read(terminal, 100))
        os.write(terminal, b"\x03")
        _, wait_status = os.waitpid(pid, 0)
    finally:
        os.close(terminal)
    assert os.waitstatus_to_exitcode(wait_status) == 130
    assert '"pipestatus": "130 130"' in Path(report).read_text()
    assert children() == []


def test_a_time_out_ends_it() -> None:
    done = piped("--timeout", "200ms", "--grace", "100ms", "trap '' TERM; sleep 1000", "cat")
    assert (done.returncode, rows(done)[0]["timed_out"]) == (124, True)
    assert children() == []


def test_a_relay_that_is_interrupted_loses_nothing() -> None:
    """Signals that change nothing, stops and continuations, hundreds of them, while 64 MiB pass."""
    data = hashlib.sha256(b"x" * (1 << 26)).hexdigest()
    with started("pipe", "-q", "head -c 64M /dev/zero | tr '\\0' x", "cat", "sha256sum") as process:
        for i in range(300):
            for number in (signal.SIGWINCH, signal.SIGSTOP if i % 10 == 0 else signal.SIGCONT, signal.SIGCONT):
                process.send_signal(number)
        assert process.communicate()[0].split()[0] == data
    assert process.returncode == 0


def test_ctrl_z_and_fg_change_nothing() -> None:
    with started("pipe", "-q", "cat", "cat", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("one\n")
        process.stdin.flush()
        assert process.stdout.readline() == "one\n"
        process.send_signal(signal.SIGSTOP)
        process.stdin.write("two\n")
        process.stdin.close()
        process.send_signal(signal.SIGCONT)
        assert process.stdout.read() == "two\n"
        assert process.wait() == 0


def test_a_reader_that_reads_nothing_for_a_while_keeps_its_writer_waiting() -> None:
    """The writer is held back by what two pipes hold; it is blocked meanwhile, and nothing is lost."""
    first, last = rows(piped("exec head -c 20M /dev/zero", "sleep 0.7; cat > /dev/null"))
    assert (first["sent_bytes"], last["received_bytes"]) == (20 << 20, 20 << 20)
    assert first["blocked_s"] > 0.2 * first["wall_s"]  # most of it, where processors are free


def test_progress_is_a_line_a_stage() -> None:
    done = ipcctl("pipe", "-q", "--progress", "sleep 0.6; echo x", "cat", env=clean_environment())
    lines = done.stderr.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["1", "2"]
    assert "busy" in lines[0] and lines[0].endswith("sleep 0.6; echo x")
    assert "starved" in lines[1]
    assert ipcctl("pipe", "-q", "sleep 0.6", "cat").stderr == ""  # no terminal


def test_progress_on_a_terminal_leaves_it_clean() -> None:
    import pty

    reading, terminal = pty.openpty()
    try:
        with started("pipe", "-q", "sleep 0.6; echo x", "cat", stderr=terminal) as process:
            process.communicate()
        os.close(terminal)
        seen = everything(reading)
    finally:
        os.close(reading)
    assert "sleep 0.6" in seen
    assert seen.endswith("\x1b[2A\x1b[J")


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--strict"], "--strict goes with"),
        (["--timeout", "1"], "--timeout goes with"),
        (["--progress"], "goes with"),
        (["a", "", "c"], "stage 2 of 3 is empty"),
        (["a", "--timeout", "0"], "too short"),
        (["meter", "cat"], "Got unexpected extra argument (cat)"),
        (["--size", "1"], "No such option"),
        (["meter", "--limit", "0"], "--limit"),
        (["meter", "--size", "x"], "no size"),
        (["meter", "-o", "-"], "standard output"),
    ],
)
def test_bad_input(args: list[str], why: str) -> None:
    done = ipcctl("pipe", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert why in one_line(done.stderr)


def test_the_report_in_other_formats(tmp_path: Path) -> None:
    where = str(tmp_path / "report")
    done = ipcctl("pipe", "-f", "shell", "-o", where, "exit 3", "cat")
    assert (done.returncode, done.stderr) == (3, "")
    assert "PIPE_PIPESTATUS='3 0'\n" in Path(where).read_text()
    ipcctl("pipe", "-f", "csv", "-c", "stage,status,start_error", "-o", where, "exit 3", "cat")
    assert Path(where).read_text() == "stage,status,start_error\n1,3,\n2,0,\n"
    assert "blocked" in ipcctl("pipe", "true", "cat").stderr
