"""`ipcctl double-fork -- COMMAND`: a daemon, detached from all that was ours, and known to have started."""

from __future__ import annotations

import datetime
import os
import pty
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from daemons import descriptors_of, end, is_running, python, reap_all, start, stat_fields, status_of
from support import (
    IPCCTL,
    NOBODY,
    as_nobody,
    children,
    clean_environment,
    ipcctl,
    limited,
    one_line,
    report_of,
    runs,
    started,
    wait_until,
    without_processes,
)

SLEEP = ("--", "sleep", "1000")
# What a daemon says in Python: sd_notify(3).
NOTIFY = """
import os, signal, socket, sys
def notify(text):
    address = os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text.encode(), address)
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


def content(path: Path, wanted: str) -> bool:
    """Whether the file has come to hold that."""
    return path.exists() and path.read_text() == wanted


# --- what it is


def test_it_is_what_the_report_says_of_it() -> None:
    """After ipcctl returned: parent, group, session, terminal, argv and user, as the kernel has them."""
    before = time.time()
    row = start(*SLEEP)
    ppid, pgid, sid, tty = stat_fields(row["pid"])
    assert (row["ppid"], row["pgid"], row["sid"]) == (ppid, pgid, sid)
    assert ppid == os.getpid()  # the nearest subreaper
    assert row["adopter"] == Path("/proc/self/comm").read_text().rstrip("\n")
    assert tty == 0
    assert sid not in (row["pid"], os.getsid(0))
    assert not runs(sid)  # the first child, the session's leader, is gone
    assert (row["argv"], row["uid"], row["state"]) == (["sleep", "1000"], os.geteuid(), "running")
    assert before - 1 <= datetime.datetime.fromisoformat(row["started"]).timestamp() <= time.time() + 1
    assert (row["pidfile"], row["stdout"], row["stderr"]) == (None, "/dev/null", "/dev/null")
    end(row["pid"])


def test_nothing_of_ours_stays_open(tmp_path: Path) -> None:
    """Neither our streams nor a descriptor that we inherited: `ssh host ipcctl double-fork -- CMD` returns."""
    reading, writing = os.pipe()
    with open(tmp_path / "held", "w") as held:
        done = ipcctl("double-fork", "-f", "json", "--log", "log", *SLEEP, stdin=reading, cwd=tmp_path,
                      pass_fds=[held.fileno()])  # fmt: skip
    pid = report_of(done)["rows"][0]["pid"]  # stdout and stderr came to their end, or this would have timed out
    log = str(tmp_path / "log")
    wait_until(lambda: descriptors_of(pid) == {0: "/dev/null", 1: log, 2: log})  # the loader's own come and go
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        os.write(writing, b"x")
    os.close(writing)
    end(pid)


def test_the_pidfiles_lock_is_the_one_descriptor_more(tmp_path: Path) -> None:
    row = start("--pidfile", str(tmp_path / "pid"), *SLEEP)
    pidfiles = wait_until(lambda: len(found := descriptors_of(row["pid"])) == 4 and max(found))
    assert sorted(descriptors_of(row["pid"])) == [0, 1, 2, pidfiles]
    assert pidfiles > 9  # out of the way of a shell's exec 3>…
    end(row["pid"])


def test_the_log_is_appended_to(tmp_path: Path) -> None:
    for word in ("one", "two"):
        start("--log", "log", "--", "sh", "-c", f"echo {word}; echo {word} >&2", cwd=tmp_path)
        wait_until(lambda word=word: (tmp_path / "log").read_text().endswith(f"{word}\n{word}\n"))
    assert (tmp_path / "log").read_text() == "one\none\ntwo\ntwo\n"
    wait_until(lambda: reap_all() or not children())


def test_stdout_and_stderr_go_to_files_of_their_own(tmp_path: Path) -> None:
    row = start("--stdout", "out", "--stderr", "err", "--", "sh", "-c", "echo a; echo b >&2", cwd=tmp_path)
    assert (row["stdout"], row["stderr"]) == (str(tmp_path / "out"), str(tmp_path / "err"))
    wait_until(lambda: content(tmp_path / "out", "a\n") and content(tmp_path / "err", "b\n"))
    wait_until(lambda: reap_all() or not children())


def test_directory_umask_and_environment(tmp_path: Path) -> None:
    row = start("--umask", "027", *SLEEP, env=clean_environment(MARK="kept", HOME=None))
    assert os.readlink(f"/proc/{row['pid']}/cwd") == "/"
    assert status_of(row["pid"])["Umask"] == "0027"
    environ = Path(f"/proc/{row['pid']}/environ").read_bytes().split(b"\0")
    assert b"MARK=kept" in environ
    assert not any(each.startswith(b"HOME=") for each in environ)
    end(row["pid"])
    (tmp_path / "work").mkdir()
    row = start("--chdir", "work", *SLEEP, cwd=tmp_path)
    assert os.readlink(f"/proc/{row['pid']}/cwd") == str(tmp_path / "work")
    end(row["pid"])


def test_signals_are_as_at_login() -> None:
    """Though they were ignored and blocked here, as under nohup."""

    def disturb() -> None:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGCHLD, signal.SIGTSTP):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGRTMIN})

    row = start("--alive-for", "1ms", *SLEEP, preexec_fn=disturb)
    sets = [int(status_of(row["pid"])[name], 16) for name in ("SigBlk", "SigIgn", "SigCgt")]
    assert [each & ~(0b11 << 31) for each in sets] == [0, 0, 0]  # two are the C library's own
    end(row["pid"])


@needs_root
def test_as_another_user(tmp_path: Path) -> None:
    """With all of its IDs and groups; the log and the pidfile may be where only root writes."""
    tmp_path.chmod(0o700)
    row = start("--user", str(NOBODY), "--log", "log", "--pidfile", "pid", *SLEEP, cwd=tmp_path)
    status = status_of(row["pid"])
    assert row["uid"] == NOBODY
    assert status["Uid"].split() == [str(NOBODY)] * 4
    assert len(set(status["Gid"].split())) == 1
    assert "0" not in status["Gid"].split() + status["Groups"].split()
    assert is_running(tmp_path / "pid")
    end(row["pid"])


@needs_root
def test_as_another_group() -> None:
    row = start("--user", f"{NOBODY}:12345", *SLEEP)
    assert status_of(row["pid"])["Gid"].split() == ["12345"] * 4
    end(row["pid"])


@needs_root
def test_a_failure_after_the_user_changed_leaves_no_pidfile(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    pidfile = str(tmp_path / "pid")
    env = clean_environment(PATH="/usr/bin:/bin")  # which that user may search
    done = ipcctl("double-fork", "--user", str(NOBODY), "--pidfile", pidfile, "--", "nosuchcommand", env=env)
    assert (done.returncode, list(tmp_path.iterdir())) == (127, [])


def test_only_root_may_choose_a_user() -> None:
    done = as_nobody("double-fork", "--user", "root", *SLEEP)
    assert (done.returncode, done.stdout) == (2, "")
    assert "only root" in one_line(done.stderr)


def test_an_ordinary_user_may_start_one() -> None:
    done = as_nobody("double-fork", "-f", "json", *SLEEP)
    row = report_of(done)["rows"][0]
    assert (done.returncode, row["uid"]) == (0, NOBODY if os.getuid() == 0 else os.getuid())
    end(row["pid"])


def test_it_outlives_the_terminal() -> None:
    """A terminal that goes sends HUP to its session; the daemon is in another."""
    reading, writing = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:
        os.dup2(writing, 1)
        os.execve(IPCCTL, [IPCCTL, "double-fork", "-f", "jsonl", "-c", "pid", *SLEEP], clean_environment())
    os.close(writing)
    os.waitpid(pid, 0)
    os.close(terminal)
    with open(reading) as report:
        daemon = int(report.read().partition(": ")[2].rstrip("}\n"))
    assert runs(daemon)
    assert stat_fields(daemon)[3] == 0
    end(daemon)


def test_the_summary_as_a_shell_evaluates_it() -> None:
    run = f"{shlex.quote(IPCCTL)} double-fork -f shell -- sleep 1000"
    script = f'eval "$({run})"; echo $DOUBLE_FORK_PID $DOUBLE_FORK_STATE; kill -9 $DOUBLE_FORK_PID'
    done = subprocess.run(["sh", "-c", script], env=clean_environment(), capture_output=True, text=True, check=True)
    pid, state = done.stdout.split()
    assert (os.waitpid(int(pid), 0)[0], state) == (int(pid), "running")


def test_quiet_says_nothing() -> None:
    done = ipcctl("double-fork", "-q", *SLEEP)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (daemon,) = children()
    end(daemon)


# --- what is executed


@pytest.mark.parametrize(
    ("argv", "status", "why"),
    [
        (["nosuchcommand"], 127, "not found on PATH"),
        (["./nosuch"], 127, "not found"),
        ([""], 127, "the command is empty"),
        (["/"], 126, "it is a directory"),
        (["/proc/self/stat"], 126, "permission denied"),
        (["/etc/passwd/x"], 127, "not found"),
        (["x" * 300], 126, "File name too long"),
    ],
)
def test_what_cannot_be_executed(argv: list[str], status: int, why: str, tmp_path: Path) -> None:
    done = ipcctl("double-fork", "--pidfile", "pid", "--", *argv, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert one_line(done.stderr).startswith("ipcctl double-fork: cannot start ")
    assert why in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert children() == []


def script_at(path: Path, text: str) -> Path:
    """An executable file."""
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_a_relative_command_is_looked_up_from_here(tmp_path: Path) -> None:
    script_at(tmp_path / "server", "#!/bin/sh\necho $0 $1\nexec sleep 1000\n")
    row = start("--log", "log", "--", "./server", "x y", cwd=tmp_path)
    wait_until(lambda: content(tmp_path / "log", f"{tmp_path}/./server x y\n"))
    end(row["pid"])


def test_a_relative_entry_of_path_is_looked_up_from_here(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    script_at(tmp_path / "bin/server", "#!/bin/sh\nexec sleep 1000\n")
    row = start("--", "server", cwd=tmp_path, env=clean_environment(PATH=f"bin:{os.environ['PATH']}"))
    end(row["pid"])


def test_path_is_searched_past_what_may_not_be_executed(tmp_path: Path) -> None:
    (tmp_path / "sleep").write_text("no program")
    row = start(*SLEEP, env=clean_environment(PATH=f"{tmp_path}:{os.environ['PATH']}"))
    end(row["pid"])


def test_scripts_without_an_interpreter_line_run_as_under_a_shell(tmp_path: Path) -> None:
    script_at(tmp_path / "script", 'echo "$1"\nexec sleep 1000\n')
    row = start("--log", str(tmp_path / "log"), "--", str(tmp_path / "script"), "x y")
    wait_until(lambda: content(tmp_path / "log", "x y\n"))
    end(row["pid"])


def test_an_interpreter_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = ipcctl("double-fork", "--", str(script_at(tmp_path / "script", "#!/no/such/interpreter\n")))
    assert (done.returncode, "interpreter" in one_line(done.stderr)) == (127, True)


def test_arguments_that_are_not_utf_8_arrive(tmp_path: Path) -> None:
    done = ipcctl(b"double-fork", b"-f", b"json", b"--log", os.fsencode(tmp_path / "log"), b"--", b"printf", b"%s",
                  b"\xff")  # fmt: skip
    assert done.returncode == 0
    wait_until(lambda: (tmp_path / "log").read_bytes() == b"\xff")
    wait_until(lambda: reap_all() or not children())


def test_options_of_the_command_are_its_own(tmp_path: Path) -> None:
    start("--log", str(tmp_path / "log"), "echo", "--log", "x", "--")
    wait_until(lambda: content(tmp_path / "log", "--log x --\n"))
    wait_until(lambda: reap_all() or not children())


# --- that it started


def test_alive_for_so_long() -> None:
    row = start("--alive-for", "200ms", *SLEEP)
    assert row["took_s"] >= 0.2
    end(row["pid"])


@pytest.mark.parametrize(
    ("script", "how"),
    [("exit 3", "exited with 3"), ("exit 0", "exited with 0"), ("kill -SEGV $$", "ended by SIGSEGV")],
)
def test_one_that_ends_too_early_is_a_no(script: str, how: str, tmp_path: Path) -> None:
    done = ipcctl("double-fork", "--alive-for", "30", "--pidfile", "pid", "--", "sh", "-c", script, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{how} within 30 s" in one_line(done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_the_log_is_named_when_it_ends_too_early(tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    done = ipcctl("double-fork", "--alive-for", "30", "--log", log, "--", "sh", "-c", "echo no port >&2; exit 3")
    assert log in one_line(done.stderr)
    assert Path(log).read_text() == "no port\n"


def test_what_it_left_behind_ends_with_it() -> None:
    done = ipcctl("double-fork", "--alive-for", "30", "--", "sh", "-c", "sleep 1000 & exit 4")
    assert done.returncode == 1
    wait_until(lambda: reap_all() or not children())


def test_being_stopped_meanwhile_is_no_end() -> None:
    """SIGCHLD comes for a stopped child as well; afterwards the daemon still is the first child's."""
    row = start("--alive-for", "300ms", "--", "sh", "-c", "kill -STOP $$; exec sleep 1000")
    assert row["state"] == "running"
    end(row["pid"])


def test_ready_when_it_says_so() -> None:
    code = NOTIFY + "notify('STATUS=opening\\n'); notify('READY=1\\nSTATUS=listening on 8080'); signal.pause()"
    row = start("--ready", "--", *python(code))
    assert (row["message"], row["state"]) == ("listening on 8080", "running")
    end(row["pid"])


def test_ready_when_a_child_of_its_says_so() -> None:
    code = NOTIFY + "pid = os.fork()\nif pid == 0:\n    notify('READY=1')\nsignal.pause()"
    row = start("--ready", "--", *python(code))
    os.killpg(row["pgid"], signal.SIGKILL)
    wait_until(lambda: reap_all() or not children())


@pytest.mark.skipif(not shutil.which("systemd-notify"), reason="there is no systemd-notify")
def test_ready_by_systemd_notify() -> None:
    """It has ended by the time it is asked after, and waits until its BARRIER=1 was closed."""
    row = start("--ready", "--", "sh", "-c", "systemd-notify --ready --status=up; exec sleep 1000")
    assert row["message"] == "up"
    end(row["pid"])


def test_not_ready_in_time_it_is_ended(tmp_path: Path) -> None:
    code = NOTIFY + "notify('STATUS=still loading'); os.fork(); signal.pause()"
    how = ("--ready", "--timeout", "500ms", "--pidfile", "pid")
    done = ipcctl("double-fork", *how, "--", *python(code), cwd=tmp_path)
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (124, "", [])
    line = one_line(done.stderr)
    assert "not ready within 0.5 s" in line
    wait_until(lambda: reap_all() or not children())


def test_not_ready_and_deaf_to_term_it_is_killed() -> None:
    script = "trap '' TERM; sleep 1000 & wait"
    done = ipcctl("double-fork", "--ready", "--timeout", "200ms", "--grace", "100ms", "--", "sh", "-c", script)
    assert done.returncode == 124
    wait_until(lambda: reap_all() or not children())


def test_one_that_ends_before_it_is_ready_is_a_no() -> None:
    done = ipcctl("double-fork", "--ready", "--", "sh", "-c", "exit 5")
    assert done.returncode == 1
    assert "exited with 5 before it was ready" in one_line(done.stderr)


def test_another_process_cannot_say_it_is_ready() -> None:
    """It knows the socket, and is of our user; but it is of another session."""
    code = "import os, signal; print(os.environ['NOTIFY_SOCKET'], flush=True); signal.pause()"
    with started("double-fork", "--ready", "--timeout", "1", "--log", "/dev/stdout", "--", *python(code)) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as forger:
            forger.sendto(b"READY=1", "\0" + address[1:])
        _, err = process.communicate()
    assert (process.returncode, "not ready" in err) == (124, True)
    reap_all()


# --- ending well


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGQUIT"])
def test_asked_to_end_while_it_waits_it_leaves_nothing(name: str, tmp_path: Path) -> None:
    script = "sleep 1000 & echo up; wait"
    how = ("--ready", "--pidfile", str(tmp_path / "pid"), "--log", "/dev/stdout")
    with started("double-fork", *how, "--", "sh", "-c", script) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        process.send_signal(signal.Signals[name])
        out, err = process.communicate()
    assert (process.returncode, out, err) == (128 + signal.Signals[name], "", "")
    assert not (tmp_path / "pid").exists()
    wait_until(lambda: reap_all() or not children())


def test_killed_while_it_waits_it_leaves_the_daemon_and_no_first_child() -> None:
    """Which is documented: nobody is left who could end it."""
    with started("double-fork", "--ready", "--log", "/dev/stdout", "--", "sh", "-c", "echo $$; exec sleep 1000") as it:
        assert it.stdout is not None
        daemon = int(it.stdout.readline())
        it.kill()
        it.wait()
        wait_until(lambda: reap_all() or children() == [daemon])
        end(daemon)


def test_the_report_cannot_be_written_so_the_daemon_is_ended(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = ipcctl("double-fork", "--pidfile", str(tmp_path / "pid"), *SLEEP, stdout=full)
    assert done.returncode == 125
    assert "the daemon was ended" in one_line(done.stderr)
    assert not (tmp_path / "pid").exists()
    wait_until(lambda: reap_all() or not children())


def test_whoever_read_the_report_has_gone_but_the_daemon_runs() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = ipcctl("double-fork", *SLEEP, stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
    (daemon,) = children()
    end(daemon)


def test_started_with_everything_closed(tmp_path: Path) -> None:
    """The daemon still has its three streams."""
    command = shlex.join([IPCCTL, "double-fork", "-q", "--pidfile", str(tmp_path / "pid"), *SLEEP])
    subprocess.run(["sh", "-c", f"{command} <&- >&- 2>&-"], env=clean_environment(), check=True)
    daemon = int((tmp_path / "pid").read_text())
    found = descriptors_of(daemon)
    assert [found[each] for each in (0, 1, 2)] == ["/dev/null"] * 3
    end(daemon)


# --- bad input and faults


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--log", "/no/such/directory/log", *SLEEP], "/no/such/directory/log"),
        (["--log", "/", *SLEEP], "directory"),
        (["--log", "", *SLEEP], "''"),
        (["--stderr", "/proc/self/nosuch", *SLEEP], "/proc/self/nosuch"),
        (["--chdir", "/no/such/directory", *SLEEP], "--chdir"),
        (["--chdir", "/etc/passwd", *SLEEP], "Not a directory"),
        (["--umask", "8", *SLEEP], "octal"),
        (["--umask", "1000", *SLEEP], "octal"),
        (["--umask", "-1", *SLEEP], "octal"),
        (["--umask", "", *SLEEP], "octal"),
        (["--user", "no-such-user", *SLEEP], "no user 'no-such-user'"),
        (["--user", "", *SLEEP], "no user"),
        (["--user", "99999999999999999999", *SLEEP], "no user"),
        (["--user", "root:no-such-group", *SLEEP], "no group"),
        (["--alive-for", "0", *SLEEP], "too short"),
        (["--alive-for", "soon", *SLEEP], "no time"),
        (["--timeout", "3", *SLEEP], "--ready"),
        (["--ready", "--timeout", "-3", *SLEEP], "no time"),
        (["--jobs", "1,2", *SLEEP], "goes with `ipcctl double-fork` alone"),
        (["--jobs", "1"], "two times"),
        (["--jobs", "1,x"], "no time"),
        (["--jobs", "0,1"], "too short"),
        (["--log", "x"], "-- COMMAND"),
        (["--pidfile", "x"], "-- COMMAND"),
        (["--grace", "1"], "-- COMMAND"),
        (["--"], "no command after --"),
        (["status"], "--pidfile"),
        (["stop"], "--pidfile"),
        (["stop", "status", "--pidfile", "x"], "unexpected extra argument"),
        (["stop", "--pidfile", "x", *SLEEP], "unexpected extra argument"),
        (["--pidfile", "x", "stop"], "--pidfile stands before the verb 'stop'; put it after, or -- before a command"),
        (["status", "--pidfile", "x", "--log", "x"], "No such option"),
        (["status", "--pidfile", "x", "--grace", "1"], "No such option"),
        (["-c", "nosuch", *SLEEP], "no column"),
        (["--pidfile", "", *SLEEP], "''"),
    ],
)
def test_bad_input(args: list[str], why: str) -> None:
    done = ipcctl("double-fork", *args)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert why in one_line(done.stderr)
    assert children() == []


def test_a_fifo_that_nobody_reads_is_no_log(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    done = ipcctl("double-fork", "--log", str(tmp_path / "fifo"), *SLEEP)
    assert (done.returncode, "nobody reads" in one_line(done.stderr)) == (2, True)


def test_a_fifo_with_a_reader_is_a_log(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    row = start("--log", str(tmp_path / "fifo"), "--", "sh", "-c", "echo up; exec sleep 1000")
    wait_until(lambda: ready_bytes(reader) == b"up\n")
    os.close(reader)
    end(row["pid"])


def ready_bytes(descriptor: int) -> bytes:
    """What can be read now."""
    try:
        return os.read(descriptor, 100)
    except BlockingIOError:
        return b""


def test_a_log_on_a_full_disk_is_the_daemons_to_notice() -> None:
    row = start("--log", "/dev/full", *SLEEP)
    end(row["pid"])
    done = ipcctl("double-fork", "--alive-for", "30", "--log", "/dev/full", "--", "sh", "-c", "echo x || exit 9")
    assert (done.returncode, "exited with 9" in one_line(done.stderr)) == (1, True)


def test_a_pidfile_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    """No file may grow, as on a full disk."""
    done = ipcctl("double-fork", "--pidfile", "pid", *SLEEP, cwd=tmp_path,
                  preexec_fn=limited(resource.RLIMIT_FSIZE, 0))  # fmt: skip
    assert done.returncode == 125
    assert "cannot write the pidfile 'pid': File too large" in one_line(done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_a_limit_on_processes_is_named() -> None:
    done = without_processes("double-fork", *SLEEP)
    assert done.returncode == 125
    assert "limit on processes" in one_line(done.stderr)


@pytest.mark.parametrize("descriptors", [6, 8, 10, 12, 16, 20])
def test_with_few_descriptors_it_starts_or_says_why(descriptors: int, tmp_path: Path) -> None:
    done = ipcctl("double-fork", "-f", "json", "--pidfile", str(tmp_path / "pid"), "--ready", "--", *python(
        NOTIFY + "notify('READY=1'); signal.pause()"),
        preexec_fn=limited(resource.RLIMIT_NOFILE, descriptors))  # fmt: skip
    if done.returncode == 0:
        end(report_of(done)["rows"][0]["pid"])
    else:
        assert done.returncode == 125
        assert "limit on open files" in one_line(done.stderr)
        assert list(tmp_path.iterdir()) == []
    assert done.returncode == 0 or descriptors < 20


def test_a_working_directory_that_was_removed(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"rmdir {gone}; exec {shlex.quote(IPCCTL)} double-fork -f json -- sleep 1000"
    done = subprocess.run(["sh", "-c", script], cwd=gone, env=clean_environment(), capture_output=True, text=True,
                          check=True)  # fmt: skip
    end(report_of(done)["rows"][0]["pid"])
