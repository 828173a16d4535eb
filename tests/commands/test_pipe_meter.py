"""`ipcctl pipe meter`: in the middle of a pipeline of the shell's, changing nothing of what passes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pty
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from support import IPCCTL, clean_environment, ipcctl, one_line, report_of, started, wait_until

METER = f"{shlex.quote(IPCCTL)} pipe meter"
ALL_BYTES = bytes(range(256)) * 5000


def shell(script: str, **how: Any) -> Any:
    """A pipeline of bash's."""
    return subprocess.run(["bash", "-c", script], env=clean_environment(), capture_output=True, check=False, **how)


def row(done: Any) -> dict[str, Any]:
    """The row of the report."""
    found: dict[str, Any] = report_of(done, "stderr")["rows"][0]
    return found


@pytest.mark.parametrize("data", [b"", b"\xff", ALL_BYTES], ids=["empty", "one byte", "all bytes"])
def test_bytes_pass_unchanged(data: bytes, tmp_path: Path) -> None:
    """From a pipe to a pipe, from a file to a pipe, from a pipe to a file, from a file to a file opened for append."""
    given, taken = tmp_path / "in", tmp_path / "out"
    given.write_bytes(data)
    script = f"cat {given} | {METER} -q | {METER} -q > {taken}; {METER} -q < {given} | cat >> {taken}; "
    script += f"{METER} -q < {given} >> {taken}; {METER} -f json < {given} > {taken}.2"
    done = shell(script)
    assert taken.read_bytes() == data * 3
    assert Path(f"{taken}.2").read_bytes() == data
    assert row(done)["passed_bytes"] == row(done)["size_bytes"] == len(data)
    assert row(done)["ended"] == "input ended"


def test_through_sockets(tmp_path: Path) -> None:
    """What inetd or ssh hand to a command."""
    ours, its = socket.socketpair()
    back, out = socket.socketpair()
    with ours, back, started("pipe", "meter", "-q", stdin=its, stdout=out) as process:
        its.close()
        out.close()
        ours.sendall(b"x" * 100_000)
        ours.shutdown(socket.SHUT_WR)
        found = b""
        while more := back.recv(1 << 16):
            found += more
        assert process.wait() == 0
    assert found == b"x" * 100_000


def test_to_and_from_a_terminal() -> None:
    """A terminal cannot be spliced; more than it takes at once passes all the same."""
    lines = "".join(f"{i}\n" for i in range(5000))
    ours, terminal = pty.openpty()
    with started("pipe", "meter", "-q", stdin=subprocess.PIPE, stdout=terminal) as process:
        os.close(terminal)
        assert process.stdin is not None
        process.stdin.write(lines)
        process.stdin.close()
        found = b""
        with contextlib.suppress(OSError):  # EIO at its end
            while more := os.read(ours, 1 << 16):
                found += more
        assert process.wait() == 0
    os.close(ours)
    assert found.replace(b"\r", b"").decode() == lines
    ours, terminal = pty.openpty()
    with started("pipe", "meter", "-q", stdin=terminal) as process:
        os.write(ours, b"typed\n\x04")
        assert process.communicate()[0] == "typed\n"
    os.close(terminal)
    os.close(ours)


def test_three_gibibytes() -> None:
    done = shell(f"head -c 3G /dev/zero | {METER} -f json 2>&1 >/dev/null")
    assert f'"passed_bytes": {3 << 30}' in done.stdout.decode()


def test_a_limit_holds_the_rate() -> None:
    """The rate that is reached is that of the limit, or less on a machine that has no time for us, and never more."""
    data = hashlib.sha256(bytes(4 << 20)).hexdigest()
    done = shell(f"head -c 4M /dev/zero | {METER} --limit 6M -f json | sha256sum")
    assert done.stdout.decode().split()[0] == data
    assert row(done)["average_bytes_per_s"] <= (6 << 20) * 1.02 + 6 * (1 << 20) * 0.1
    slow = shell(f"head -c 30 /dev/zero | {METER} --limit 100 -f json >/dev/null")
    assert (row(slow)["passed_bytes"], row(slow)["wall_s"] > 0.2) == (30, True)


def test_a_pause_is_not_made_up_for() -> None:
    """After a pause the rate is the limit, not the limit and what was not used of it."""
    with started("pipe", "meter", "-q", "--limit", "4M", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("x\n")
        process.stdin.flush()
        assert process.stdout.readline() == "x\n"
        signal.sigtimedwait([], 0.5)
        began = time.monotonic()
        process.communicate("x" * (1 << 20))
        assert time.monotonic() - began > 0.25 - 0.1 - 0.02


def test_the_line_shows_a_bar_where_the_size_is_known(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x" * 400_000)
    given = ["meter", "-q", "--progress", "--interval", "100ms", "--limit", "1M"]
    with open(tmp_path / "in") as file:
        done = ipcctl("pipe", *given, "--name", "copy", stdin=file, stdout=subprocess.DEVNULL)
    lines = done.stderr.splitlines()
    assert len(lines) >= 2
    assert all(line.startswith("copy: ") and "[" in line and "left" in line for line in lines)
    assert "[" not in ipcctl("pipe", *given, stdin=None, input="x" * 400_000).stderr
    sized = ipcctl("pipe", *given, "--size", "800K", stdin=None, input="x" * 400_000).stderr.splitlines()
    percent = [int(line.split("]")[1].split()[0]) for line in sized]
    assert percent == sorted(percent) and max(percent) <= 50


def test_no_line_where_stderr_is_no_terminal() -> None:
    assert ipcctl("pipe", "meter", "-q", "--limit", "10", "--interval", "10ms", stdin=None, input="xxx").stderr == ""


def test_the_size_of_a_file_is_what_is_left_of_it(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("line\n" * 10)
    done = shell(f"(read first; {METER} -f json) < {tmp_path}/in")
    assert row(done)["size_bytes"] == row(done)["passed_bytes"] == 45


def test_a_reader_that_goes() -> None:
    """The meter learns of it while it waits for input, so that its writer does; and says so."""
    writer = "(trap '' PIPE; until ! printf x; do :; done) 2>/dev/null"
    done = shell(f"{writer} | {METER} -f json | true; echo ${{PIPESTATUS[@]}}")
    assert done.stdout.split()[1:] == [b"141", b"0"]
    assert row(done)["ended"] == "reader gone"
    with started("pipe", "meter", "-f", "json", stdin=subprocess.PIPE) as process:  # its writer never writes
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert '"ended": "reader gone"' in process.stderr.read()
        assert process.wait() == 141


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_it_with_a_report(name: str) -> None:
    with started("pipe", "meter", "-f", "json", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("x\n")
        process.stdin.flush()
        assert process.stdout.readline() == "x\n"
        process.send_signal(signal.Signals[name])
        _, err = process.communicate()
    assert process.returncode == 128 + signal.Signals[name]
    assert '"passed_bytes": 2' in err and name in err


def test_stopped_and_interrupted_it_loses_nothing() -> None:
    data = hashlib.sha256(bytes(1 << 26)).hexdigest()
    with (
        subprocess.Popen(["head", "-c", "64M", "/dev/zero"], stdout=subprocess.PIPE) as writer,
        started("pipe", "meter", "-q", stdin=writer.stdout) as process,
        subprocess.Popen(["sha256sum"], stdin=process.stdout, stdout=subprocess.PIPE) as reader,
    ):
        for i in range(200):
            for number in (signal.SIGWINCH, signal.SIGSTOP if i % 10 == 0 else signal.SIGCONT, signal.SIGCONT):
                process.send_signal(number)
        assert process.stdout is not None
        process.stdout.close()
        assert reader.communicate()[0].split()[0].decode() == data
        assert process.wait() == 0


def test_what_cannot_be_written_or_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x" * 100_000)
    with open(tmp_path / "in") as given, open("/dev/full", "w") as full:
        done = ipcctl("pipe", "meter", "-q", stdin=given, stdout=full)
    assert done.returncode == 125
    assert "cannot write standard output: No space left" in one_line(done.stderr)
    for closed, what in (("<&-", "cannot read standard input"), (">&-", "cannot write standard output")):
        done = shell(f"{METER} -q {'< /dev/zero' if closed == '>&-' else ''} {closed}")
        assert done.returncode == 125
        assert what in one_line(done.stderr.decode())


def test_it_waits_without_using_the_processor() -> None:
    """A full output and an empty input are waited for, not polled."""
    with started("pipe", "meter", "-q", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write("x" * (1 << 21))
        clock = ~process.pid << 3 | 2  # clock_getcpuclockid(3)
        wait_until(lambda: Path(f"/proc/{process.pid}/syscall").read_text() != "running\n")
        before = time.clock_gettime(clock)
        signal.sigtimedwait([], 0.3)
        assert time.clock_gettime(clock) - before < 0.1
        process.communicate()
