"""`ipcctl double-fork --pidfile FILE`: one daemon at a time, found by its lock; status and stop."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from daemons import end, is_running, python, reap_all, start, stat_fields, stop
from support import (
    DEADLINE_S,
    IPCCTL,
    NOBODY,
    as_nobody,
    children,
    clean_environment,
    ipcctl,
    one_line,
    report_of,
    runs,
    wait_until,
)

SLEEP = ("--", "sleep", "1000")
DEPTHS = (((), SLEEP), (("status",), ()), (("stop",), ()))  # a verb, and what it is given after --pidfile
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do that")


@pytest.fixture
def pidfile(tmp_path: Path) -> Path:
    """Where a test's pidfile goes."""
    return tmp_path / "server.pid"


def told(pidfile: Path, *args: str) -> dict[str, Any]:
    """The row of `status`."""
    done = ipcctl("double-fork", "status", "-f", "json", "--pidfile", str(pidfile), *args)
    row: dict[str, Any] = report_of(done)["rows"][0]
    assert done.returncode == (0 if row["state"] == "running" else 1)
    return row


# --- what it holds, and how long


def test_it_holds_the_pid_and_nothing_else(pidfile: Path) -> None:
    row = start("--pidfile", str(pidfile), *SLEEP)
    assert pidfile.read_text() == f"{row['pid']}\n"
    assert row["pidfile"] == str(pidfile)
    assert os.listdir(pidfile.parent) == [pidfile.name]
    end(row["pid"])


def test_status_is_what_the_kernel_says(pidfile: Path) -> None:
    row = start("--pidfile", str(pidfile), *SLEEP)
    found = told(pidfile)
    assert [found["ppid"], found["pgid"], found["sid"]] == stat_fields(row["pid"])[:3]
    assert (found["pid"], found["argv"], found["state"]) == (row["pid"], ["sleep", "1000"], "running")
    assert 0 <= found["elapsed_s"] < DEADLINE_S
    end(row["pid"])
    gone = told(pidfile)
    assert (gone["state"], gone["pid"], gone["elapsed_s"]) == ("not running", None, None)


def test_a_second_start_says_who_runs(pidfile: Path) -> None:
    row = start("--pidfile", str(pidfile), *SLEEP)
    done = ipcctl("double-fork", "--pidfile", str(pidfile), *SLEEP)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"already running, PID {row['pid']}" in one_line(done.stderr)
    assert pidfile.read_text() == f"{row['pid']}\n"
    assert children() == [row["pid"]]
    end(row["pid"])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_however_it_ended_the_next_start_just_works(number: int, pidfile: Path) -> None:
    first = start("--pidfile", str(pidfile), *SLEEP)["pid"]
    os.kill(first, number)
    wait_until(lambda: not runs(first))  # a zombie still: nobody has its PID
    assert not is_running(pidfile)
    second = start("--pidfile", str(pidfile), *SLEEP)["pid"]
    assert pidfile.read_text() == f"{second}\n"
    assert is_running(pidfile)
    end(first)
    end(second)


def test_a_child_of_the_daemon_does_not_keep_it_running(pidfile: Path) -> None:
    """It inherits the descriptor of the pidfile, and no lock."""
    row = start("--pidfile", str(pidfile), "--", "sh", "-c", "sleep 1000 & exec sleep 1000")
    wait_until(lambda: len(of_session(row["sid"])) == 2)
    end(row["pid"])
    assert not is_running(pidfile)
    second = start("--pidfile", str(pidfile), *SLEEP)
    end(second["pid"])
    os.killpg(row["pgid"], signal.SIGKILL)
    wait_until(lambda: reap_all() or not children())


def of_session(sid: int) -> list[int]:
    """The processes of a session."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if stat_fields(int(pid))[2] == sid and runs(int(pid)):
                found.append(int(pid))
    return found


@pytest.mark.parametrize(
    "code",
    [
        "os.closerange(3, 5000)",
        "open(sys.argv[1]).close()",  # closing any descriptor of the file ends the process's locks on it
    ],
)
def test_a_daemon_that_loses_the_lock_is_known_all_the_same(code: str, pidfile: Path) -> None:
    said = "import os, signal, sys\n" + code + "\nprint('up', flush=True)\nsignal.pause()"
    log = pidfile.parent / "log"
    row = start("--pidfile", str(pidfile), "--log", str(log), "--", *python(said), str(pidfile))
    wait_until(lambda: log.read_text() == "up\n")
    with open(pidfile, "rb+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)  # nobody holds it
    assert told(pidfile)["pid"] == row["pid"]
    assert ipcctl("double-fork", "--pidfile", str(pidfile), *SLEEP).returncode == 1
    assert stop(pidfile)["state"] == "stopped"
    assert not pidfile.exists()


def test_a_shell_that_uses_descriptors_of_its_own_keeps_it(pidfile: Path) -> None:
    script = "exec 3>/dev/null 4>/dev/null 9>/dev/null; exec sleep 1000"
    row = start("--pidfile", str(pidfile), "--", "sh", "-c", script)
    wait_until(lambda: Path(f"/proc/{row['pid']}/cmdline").read_bytes().startswith(b"sleep"))
    with open(pidfile, "rb+") as file, pytest.raises(BlockingIOError):
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
    end(row["pid"])


def test_the_lock_of_one_who_may_only_read_counts_for_nothing(pidfile: Path) -> None:
    """Or whoever may read a stale pidfile could keep its daemon from starting."""
    end(start("--pidfile", str(pidfile), *SLEEP)["pid"])
    code = "import fcntl, sys\nf = open(sys.argv[1])\nfcntl.lockf(f, fcntl.LOCK_SH, 1, 0)\n"
    code += "print(1, flush=True)\ninput()"
    with subprocess.Popen([*python(code), str(pidfile)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdout and reader.stdout.readline()
        assert not is_running(pidfile)
        row = start("--pidfile", str(pidfile), *SLEEP)
        reader.kill()
    end(row["pid"])


# --- whose PID it is


def test_another_process_with_the_pid_in_the_file_is_not_the_daemon(pidfile: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as other:
        pidfile.write_text(f"{other.pid}\n")
        assert not is_running(pidfile)
        assert stop(pidfile)["state"] == "not running"
        assert runs(other.pid)
        pidfile.write_text(f"{other.pid}\n")
        row = start("--pidfile", str(pidfile), *SLEEP)
        assert runs(other.pid)
        assert stop(pidfile)["pid"] == row["pid"]
        assert runs(other.pid)
        other.kill()


REUSE = """
import os, subprocess, sys
ipcctl, pidfile = sys.argv[1:]
def run(*args, verb=()):
    return subprocess.run([ipcctl, "double-fork", *verb, "-q", "--pidfile", pidfile, *args]).returncode
assert run("--", *[sys.executable, "-c", sys.stdin.read()]) == 0
daemon = int(open(pidfile).read())
while not os.path.exists(pidfile + ".up"): os.sched_yield()
assert run(verb=["status"]) == 0
os.kill(daemon, 9)
os.waitpid(daemon, 0)
with open("/proc/sys/kernel/ns_last_pid", "w") as last:
    last.write(str(daemon - 1))
other = os.posix_spawn("/bin/sleep", ["sleep", "1000"], os.environ)
statuses = [run(verb=["status"]), run(verb=["stop"])]
print(other == daemon, statuses, os.waitpid(other, os.WNOHANG)[0], flush=True)
os.kill(other, 9)
os.waitpid(other, 0)
"""


@needs_root
@pytest.mark.parametrize("closing", ["", "os.closerange(3, 5000); "])
def test_a_process_that_was_given_the_same_pid_is_not_the_daemon(closing: str, pidfile: Path) -> None:
    """In a PID namespace, where the next PID can be chosen; with the lock, and for a daemon that lost it."""
    shell = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", REUSE, IPCCTL, str(pidfile)]
    script = f"import os, signal; {closing}open({str(pidfile)!r} + '.up', 'w').close(); signal.pause()"
    done = subprocess.run(shell, input=script, capture_output=True, text=True, env=clean_environment(), check=False)
    if "unshare" in done.stderr or "ns_last_pid" in done.stderr:
        pytest.skip(f"no PID namespace here: {done.stderr}")
    assert done.stderr == ""
    assert done.stdout == "True [1, 0] 0\n"


# --- what else may be there


def test_an_empty_file_is_taken(pidfile: Path) -> None:
    """As mktemp(1) makes it."""
    pidfile.write_text("")
    assert not is_running(pidfile)
    row = start("--pidfile", str(pidfile), *SLEEP)
    assert pidfile.read_text() == f"{row['pid']}\n"
    end(row["pid"])


@pytest.mark.parametrize("content", ["garbage\n", "12 34\n", "-1\n", "1" * 200, "root:x:0:0:\n", "\0" * 10, "½\n"])
def test_a_file_that_is_no_pidfile_is_left_alone(content: str, pidfile: Path) -> None:
    """It may be anything: --pidfile /etc/passwd."""
    pidfile.write_text(content)
    for verb, command in DEPTHS:
        done = ipcctl("double-fork", *verb, "--pidfile", str(pidfile), *command)
        assert (done.returncode, done.stdout) == (2, "")
        assert "is no pidfile" in one_line(done.stderr)
    assert pidfile.read_text() == content
    assert os.listdir(pidfile.parent) == [pidfile.name]


def test_a_symbolic_link_is_not_followed(pidfile: Path) -> None:
    target = pidfile.parent / "target"
    target.write_text("")
    for place in (target, pidfile.parent / "nowhere"):
        pidfile.symlink_to(place)
        for verb, command in DEPTHS:
            done = ipcctl("double-fork", *verb, "--pidfile", str(pidfile), *command)
            assert (done.returncode, "symbolic link" in one_line(done.stderr)) == (2, True)
        pidfile.unlink()
    assert (target.read_text(), children()) == ("", [])


@pytest.mark.parametrize("path", ["/dev/null", "/", "/no/such/directory/pid", "/proc/version", "/etc/passwd/x"])
def test_where_no_pidfile_can_be(path: str) -> None:
    done = ipcctl("double-fork", "--pidfile", path, *SLEEP)
    assert (done.returncode, done.stdout) == (2, "")
    assert path in one_line(done.stderr)
    assert children() == []


def test_a_fifo_is_no_pidfile(pidfile: Path) -> None:
    os.mkfifo(pidfile)
    for verb, command in DEPTHS:
        done = ipcctl("double-fork", *verb, "--pidfile", str(pidfile), *command)
        assert (done.returncode, "no regular file" in one_line(done.stderr)) == (2, True)


def test_a_directory_that_may_not_be_written_to(tmp_path: Path) -> None:
    done = as_nobody("double-fork", "--pidfile", "/etc/ipcctl-test.pid", *SLEEP)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'/etc/ipcctl-test.pid': Permission denied" in one_line(done.stderr)


@needs_root
def test_a_pidfile_of_somebody_else_is_not_replaced(pidfile: Path) -> None:
    """In a directory where everybody may write, but only the owner may rename."""
    pidfile.write_text("1\n")
    for folder in (pidfile.parent, *list(pidfile.parents)[:-2]):
        folder.chmod(0o1777)
    done = as_nobody("double-fork", "--pidfile", str(pidfile), *SLEEP)
    assert (done.returncode, "Permission denied" in one_line(done.stderr)) == (2, True)
    assert pidfile.read_text() == "1\n"
    for folder in list(pidfile.parents)[:-2]:
        folder.chmod(0o700)


@needs_root
def test_a_mark_forged_by_somebody_else_is_not_believed(pidfile: Path) -> None:
    """They point a file of theirs at a process of ours, start time and all: root's `stop` would end it."""
    row = start("--pidfile", str(pidfile), *SLEEP)
    forged = pidfile.parent / "forged.pid"
    forged.write_text(f"{row['pid']}\n")
    os.utime(forged, ns=(pidfile.stat().st_atime_ns, pidfile.stat().st_mtime_ns))
    assert is_running(forged)  # our own copy is believed
    os.chown(forged, NOBODY, NOBODY)
    assert not is_running(forged)
    assert stop(forged)["state"] == "not running"
    assert runs(row["pid"])
    end(row["pid"])


# --- two at once


@pytest.mark.parametrize("turn", range(10))
def test_of_two_starts_at_the_same_instant_exactly_one_wins(turn: int, pidfile: Path) -> None:
    """Five times in each of ten turns; every other one finds the stale pidfile of the one before."""
    for number in range(5):
        if number % 2 == 0:
            pidfile.unlink(missing_ok=True)
        command = [IPCCTL, "double-fork", "-f", "json", "--pidfile", str(pidfile), *SLEEP]
        how: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": clean_environment()}
        both = [subprocess.Popen(command, text=True, **how) for _ in range(2)]
        told = [each.communicate(timeout=DEADLINE_S) for each in both]
        assert sorted(each.returncode for each in both) == [0, 1], told
        won, lost = sorted(zip((each.returncode for each in both), told, strict=True))
        pid = json.loads(won[1][0])["rows"][0]["pid"]
        assert f"already running, PID {pid} " in one_line(lost[1][1])
        assert pidfile.read_text() == f"{pid}\n"
        assert children() == [pid]
        assert os.listdir(pidfile.parent) == [pidfile.name]
        end(pid)


# --- stop


def test_stop_asks_politely_and_returns_when_it_is_gone(pidfile: Path) -> None:
    log = pidfile.parent / "log"
    script = "trap 'echo asked; exit 0' TERM; echo up; sleep 1000 & wait"
    row = start("--pidfile", str(pidfile), "--log", str(log), "--", "sh", "-c", script)
    wait_until(lambda: log.read_text() == "up\n")
    done = ipcctl("double-fork", "stop", "-f", "json", "--pidfile", str(pidfile))
    assert not runs(row["pid"])
    assert of_session(row["sid"]) == []
    found = report_of(done)["rows"][0]
    assert (done.returncode, found["state"], found["pid"]) == (0, "stopped", row["pid"])
    assert (found["signal"], found["processes"]) == ("SIGTERM", 2)
    assert "asked" in log.read_text()
    assert not pidfile.exists()
    wait_until(lambda: reap_all() or not children())


def test_what_does_not_end_by_term_is_killed(pidfile: Path) -> None:
    log = pidfile.parent / "log"
    script = "trap '' TERM; sleep 1000 & sleep 1000 & echo up; wait"
    row = start("--pidfile", str(pidfile), "--log", str(log), "--", "sh", "-c", script)
    wait_until(lambda: log.read_text() == "up\n")
    begun = time.monotonic()
    found = stop(pidfile, "--grace", "200ms")
    assert time.monotonic() - begun >= 0.2
    assert (found["signal"], found["processes"]) == ("SIGKILL", 3)
    assert of_session(row["sid"]) == []
    wait_until(lambda: reap_all() or not children())


def test_one_that_is_stopped_still_ends_by_term(pidfile: Path) -> None:
    row = start("--pidfile", str(pidfile), *SLEEP)
    os.kill(row["pid"], signal.SIGSTOP)
    assert stop(pidfile, "--grace", "1000")["signal"] == "SIGTERM"


def test_one_that_forks_while_it_is_being_killed_does_not_outrun_it(pidfile: Path) -> None:
    """Each process starts its successor and ends; a scan always finds yesterday's."""
    bomb = "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    bomb += "if os.fork():\n while True: signal.pause()\n"
    bomb += "print('up', flush=True)\nwhile True:\n if os.fork(): os._exit(0)"
    log = pidfile.parent / "log"
    row = start("--pidfile", str(pidfile), "--log", str(log), "--", *python(bomb))
    wait_until(lambda: log.read_text() == "up\n")
    stopping = [IPCCTL, "double-fork", "stop", "-q", "--pidfile", str(pidfile), "--grace", "50ms"]
    try:
        with subprocess.Popen(stopping, env=clean_environment()) as process:
            while process.poll() is None:
                reap_one(process.pid)
        assert process.returncode == 0
        assert of_session(row["sid"]) == []
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(row["pgid"], signal.SIGKILL)
        wait_until(lambda: reap_all() or not children())


def reap_one(but: int) -> None:
    """Collect the adopted that have ended, as every adopter does; a fork bomb would use up the PIDs."""
    for pid in children():
        if pid != but:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def test_stopping_what_does_not_run_is_no_error(pidfile: Path) -> None:
    """As init scripts have it (LSB); it says so, and clears a stale file away."""
    assert stop(pidfile)["state"] == "not running"
    end(start("--pidfile", str(pidfile), *SLEEP)["pid"])
    assert pidfile.exists()
    assert stop(pidfile)["state"] == "not running"
    assert not pidfile.exists()
    assert "not running" in ipcctl("double-fork", "stop", "--pidfile", str(pidfile)).stdout


def test_stopping_two_at_once(pidfile: Path) -> None:
    start("--pidfile", str(pidfile), *SLEEP)
    command = [IPCCTL, "double-fork", "stop", "-q", "--pidfile", str(pidfile)]
    both = [subprocess.Popen(command, env=clean_environment()) for _ in range(2)]
    assert [each.wait(DEADLINE_S) for each in both] == [0, 0]
    reap_all()
    assert not pidfile.exists()


@needs_root
def test_the_daemon_of_another_user_is_not_ours_to_stop(pidfile: Path) -> None:
    for folder in list(pidfile.parents)[:-2]:
        folder.chmod(0o755)
    as_nobody("--version")  # where that user may not run ipcctl there is no test, and no daemon to be left
    row = start("--pidfile", str(pidfile), *SLEEP)
    status = as_nobody("double-fork", "status", "-f", "json", "--pidfile", str(pidfile))
    assert report_of(status)["rows"][0]["pid"] == row["pid"]
    done = as_nobody("double-fork", "stop", "--pidfile", str(pidfile))
    assert (done.returncode, "may not signal PID" in one_line(done.stderr)) == (125, True)
    assert runs(row["pid"])
    end(row["pid"])
    for folder in list(pidfile.parents)[:-2]:
        folder.chmod(0o700)


@pytest.mark.parametrize("own", [True, False])
def test_a_daemon_in_somebodys_session_ends_alone(own: bool, pidfile: Path) -> None:
    """One that locked the file by itself, in the foreground: its session is the whole login, ours or another."""
    code = "import fcntl, os, sys, signal\nf = open(sys.argv[1], 'w')\nprint(os.getpid(), file=f, flush=True)\n"
    code += "fcntl.lockf(f, fcntl.LOCK_EX, 1, 0)\nprint('up', flush=True)\nsignal.pause()"
    script = '"$@"; echo $?; exec sleep 1000'
    command = ["sh", "-c", script, "login", *python(code), str(pidfile)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=not own) as login:
        assert login.stdout and login.stdout.readline()
        done = ipcctl("double-fork", "stop", "-f", "json", "--pidfile", str(pidfile), "--grace", "0")
        assert report_of(done)["rows"][0]["processes"] == 1
        assert int(login.stdout.readline().split()[-1]) - 128 in (signal.SIGTERM, signal.SIGKILL)
        assert runs(login.pid)
        login.kill()
