"""`ipcctl fork -- COMMAND`: a truthful record of a real command, and its status, signals and output its own."""

from __future__ import annotations

import datetime
import json
import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
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
    runs,
    started,
    wait_until,
    without_processes,
)

TREE = "trap '' TERM; (sleep 1000 & sleep 1000) & setsid sleep 1000 & (setsid sh -c 'sleep 1000 & sleep 1000' &) ; "


def record(*args: str, **how: Any) -> dict[str, Any]:
    """The one row of a run."""
    row: dict[str, Any] = report_of(ipcctl("fork", "-f", "json", *args, **how), "stderr")["rows"][0]
    return row


def ignoring(number: int) -> Callable[[], None]:
    """What makes a child start with a signal ignored."""

    def ignore() -> None:
        signal.signal(number, signal.SIG_IGN)

    return ignore


def python(code: str) -> list[str]:
    """A command that runs Python code."""
    return [sys.executable, "-c", code]


@pytest.mark.parametrize("status", [0, 1, 2, 77, 124, 125, 126, 127, 128, 137, 255])
def test_the_status_is_the_commands(status: int) -> None:
    done = ipcctl("fork", "-f", "json", "--", "sh", "-c", f"exit {status}")
    assert done.returncode == status
    row = report_of(done, "stderr")["rows"][0]
    assert (row["exit_code"], row["signal"], row["timed_out"]) == (status, None, False)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_the_row_of_a_copy_comes_when_it_has_ended(form: str, tmp_path: Path) -> None:
    """One makes the directory and ends; the other waits until the row of the first was read."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    script = f'mkdir "{tmp_path}/first" 2>/dev/null || read line < "{fifo}"'
    header = ["--no-header"] if form == "csv" else []
    with started("fork", "-n", "2", "-f", form, *header, "-c", "exit_code,copy", "--", "sh", "-c", script) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        fifo.write_text("\n")
        rest = process.stderr.read()
    lines = {"jsonl": [f'{{"exit_code": 0, "copy": {n}}}\n' for n in (1, 2)], "csv": ["0,1\n", "0,2\n"]}[form]
    assert {first, rest} == set(lines)


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV", "PIPE", "USR1"])
def test_ended_by_a_signal(name: str) -> None:
    done = ipcctl("fork", "-f", "json", "--", "sh", "-c", f"kill -{name} $$")
    row = report_of(done, "stderr")["rows"][0]
    assert done.returncode == 128 + signal.Signals[f"SIG{name}"]
    assert (row["exit_code"], row["signal"]) == (None, f"SIG{name}")


def test_a_real_time_signal_has_a_name() -> None:
    assert record("--", "sh", "-c", f"kill -{signal.SIGRTMIN + 3} $$")["signal"] == "SIGRTMIN+3"


def test_the_commands_streams_are_its_own() -> None:
    done = ipcctl("fork", "--", "sh", "-c", "cat; echo bad >&2", stdin=None, input="given\n")
    assert done.stdout == "given\n"
    assert "bad\n" in done.stderr
    assert "exit_code" in done.stderr


def test_the_record_agrees_with_the_command_itself() -> None:
    before = time.time()
    row = record("--", "sh", "-c", "exec >/dev/null; echo $$", "a b")
    begun = datetime.datetime.fromisoformat(row["started"])
    assert begun.tzinfo is not None
    assert before - 1 <= begun.timestamp() <= time.time()
    assert row["argv"] == ["sh", "-c", "exec >/dev/null; echo $$", "a b"]
    told = ipcctl("fork", "--capture", "-f", "json", "--", "sh", "-c", "echo $$")
    row = report_of(told)["rows"][0]
    assert row["pid"] == int(row["stdout"])


def test_processor_time_and_memory_are_the_commands() -> None:
    """The figures against what the command measured of itself with getrusage(2)."""
    code = "x = b'1' * (90 << 20); sum(range(10 ** 6)); import resource; u = resource.getrusage(resource.RUSAGE_SELF);"
    code += "print(u.ru_utime, u.ru_maxrss, u.ru_minflt)"
    row = report_of(ipcctl("fork", "--capture", "-f", "json", "--", *python(code)))["rows"][0]
    user_s, max_rss_kib, minor_faults = map(float, row["stdout"].split())
    assert user_s <= row["user_s"] <= user_s + 1
    assert max_rss_kib <= row["max_rss_kib"] <= max_rss_kib + 4096
    assert minor_faults <= row["minor_faults"]
    assert row["cpu_percent"] == pytest.approx(100 * (row["user_s"] + row["system_s"]) / row["wall_s"], abs=0.2)


def test_memory_below_our_own_is_unknown_not_ours() -> None:
    row = record("--", "true")
    assert row["max_rss_kib"] is None
    assert 1000 < row["max_rss_below_kib"] < 60_000


def test_context_switches_are_counted() -> None:
    row = record("--", *python("import os\nfor _ in range(50): os.waitpid(os.posix_spawn('/bin/true', ['x'], {}), 0)"))
    assert row["voluntary_switches"] >= 50


@pytest.mark.parametrize(
    ("argv", "status", "why"),
    [
        (["nosuchcommand"], 127, "not found on PATH"),
        (["./nosuch"], 127, "not found"),
        ([""], 127, "the command is empty"),
        (["/"], 126, "it is a directory"),
        (["/proc/self/stat"], 126, "permission denied"),
        (["x" * 300], 126, "File name too long"),
    ],
)
def test_what_cannot_be_started(argv: list[str], status: int, why: str) -> None:
    done = ipcctl("fork", "--", *argv)
    assert (done.returncode, done.stdout) == (status, "")
    assert one_line(done.stderr).startswith("ipcctl fork: cannot start ")
    assert why in done.stderr


def test_what_cannot_be_started_is_in_the_record(tmp_path: Path) -> None:
    done = ipcctl("fork", "-n", "2", "-f", "json", "-o", str(tmp_path / "report"), "--", "nosuchcommand")
    report = json.loads((tmp_path / "report").read_text())
    assert (done.returncode, "not found" in one_line(done.stderr)) == (127, True)
    assert report["ok"] is False
    for row in report["rows"]:
        assert "not found" in row["start_error"]
        assert [row[name] for name in ("pid", "started", "wall_s", "exit_code", "core_dumped")] == [None] * 5


def test_the_error_is_told_when_the_report_goes_elsewhere(tmp_path: Path) -> None:
    done = ipcctl("fork", "-f", "json", "-o", str(tmp_path / "report"), "--", "nosuchcommand")
    assert "not found" in one_line(done.stderr)
    assert "not found" in (tmp_path / "report").read_text()
    assert "not found" in one_line(ipcctl("fork", "-q", "--", "nosuchcommand").stderr)


def test_scripts_without_an_interpreter_line_run_as_under_a_shell(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text('echo "$1"; exit 5\n')
    script.chmod(0o755)
    done = ipcctl("fork", "-q", "--", str(script), "x y")
    assert (done.returncode, done.stdout) == (5, "x y\n")


def test_an_interpreter_that_is_not_there_is_said(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    done = ipcctl("fork", "--", str(script))
    assert (done.returncode, "interpreter" in one_line(done.stderr)) == (127, True)


def test_no_command_after_the_dashes_is_an_error_not_the_show() -> None:
    done = ipcctl("fork", "-f", "json", "--")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no command after --" in one_line(done.stderr)


def test_options_of_the_command_are_its_own() -> None:
    assert ipcctl("fork", "-q", "echo", "-f", "--timeout", "--").stdout == "-f --timeout --\n"
    assert ipcctl("fork", "-q", "--", "echo", "--").stdout == "--\n"


def test_copies_run_at_once() -> None:
    """Each waits for a line that only the next one writes: one after the other, they would wait for ever."""
    script = "echo > $0.$$; until [ $(ls $0.* | wc -l) = 4 ]; do :; done"
    name = f"/tmp/ipcctl-test-{os.getpid()}"
    try:
        done = ipcctl("fork", "-n", "4", "-f", "json", "--", "sh", "-c", script, name)
    finally:
        for path in Path("/tmp").glob(f"{Path(name).name}.*"):
            path.unlink()
    report = report_of(done, "stderr")
    assert done.returncode == 0
    assert len({row["pid"] for row in report["rows"]}) == 4
    assert [row["copy"] for row in report["rows"]] == [1, 2, 3, 4]
    assert report["summary"]["succeeded"] == 4


def test_the_first_status_that_is_not_0(tmp_path: Path) -> None:
    """Of copies that take a number each, by making a directory: the first in order that failed."""
    script = "for i in 0 3 4; do if mkdir $0/$i 2>/dev/null; then echo $i; exit $i; fi; done"
    done = ipcctl("fork", "-n3", "--capture", "-f", "json", "--", "sh", "-c", script, str(tmp_path))
    report = report_of(done)
    codes = [row["exit_code"] for row in report["rows"]]
    assert sorted(codes) == [0, 3, 4]
    assert done.returncode == next(code for code in codes if code)
    assert [int(row["stdout"]) for row in report["rows"]] == codes


def test_captured_bytes_that_are_not_utf_8_are_kept() -> None:
    done = ipcctl("fork", "--capture", "-f", "json", "--", "printf", r"a\377\n")
    assert "\\udcff" in done.stdout
    assert report_of(done)["rows"][0]["stdout"] == "a\udcff\n"


def test_capture_does_not_wait_for_a_daemon_that_holds_the_output() -> None:
    """The pipe of a $(…) would wait for the daemon; the record is there when the command has ended."""
    done = ipcctl("fork", "--capture", "-f", "json", "--", "sh", "-c", "sleep 1000 & echo $!")
    daemon = int(report_of(done)["rows"][0]["stdout"])
    assert runs(daemon)  # left running, as the shell would leave it
    os.kill(daemon, signal.SIGKILL)
    wait_until(lambda: not runs(daemon))
    os.waitpid(daemon, 0)


@pytest.mark.parametrize("script", [TREE + "wait; wait; wait", TREE + "exec sleep 1000"])
def test_a_time_out_ends_the_whole_tree(script: str) -> None:
    done = ipcctl("fork", "-f", "json", "--timeout", "200ms", "--grace", "100ms", "--", "sh", "-c", script)
    row = report_of(done, "stderr")["rows"][0]
    assert (done.returncode, row["timed_out"]) == (124, True)
    assert children() == []  # what escaped would have fallen to this process, a subreaper


def test_a_time_out_is_polite_first() -> None:
    script = "trap 'echo asked; exit 0' TERM; sleep 1000 & wait"
    done = ipcctl("fork", "-f", "json", "--capture", "--timeout", "200ms", "--grace", "30", "--", "sh", "-c", script)
    row = report_of(done)["rows"][0]
    assert (done.returncode, row["timed_out"], row["exit_code"], row["stdout"]) == (124, True, 0, "asked\n")


def test_a_fork_bomb_that_is_being_killed_does_not_outrun_it() -> None:
    """Each process starts its successor and ends; a scan always finds yesterday's."""
    bomb = "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    bomb += "if os.fork():\n while True: signal.pause()\n"
    bomb += "while True:\n if os.fork(): os._exit(0)"
    done = ipcctl("fork", "-q", "--timeout", "200ms", "--grace", "50ms", "--", *python(bomb))
    assert done.returncode == 124
    assert children() == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGWINCH"])
def test_signals_reach_the_command(name: str) -> None:
    number = signal.Signals[name]
    code = f"import signal, sys\nsignals = [{int(number)}]\nsignal.pthread_sigmask(signal.SIG_BLOCK, signals)\n"
    code += "print('up', flush=True)\nsignal.sigwait(signals)\nsys.exit(9)"  # pause would sleep on one already handled
    with started("fork", "-f", "json", "--", *python(code)) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        process.send_signal(number)
        _, err = process.communicate()
    assert (process.returncode, '"detail": "' + name in err) == (9, True)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_asked_to_end_it_leaves_nothing(name: str) -> None:
    """The command and half its tree ignore TERM; after the grace period they are killed."""
    script = "trap '' TERM INT HUP; " + TREE + "echo up; while :; do wait; done"
    with started("fork", "-q", "--grace", "100ms", "--", "sh", "-c", script) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        process.send_signal(signal.Signals[name])
        process.communicate()
    assert process.returncode == 128 + signal.Signals[name]
    assert children() == []


def test_asked_to_end_what_the_command_left_behind_is_ended_too() -> None:
    script = "sleep 1000 & setsid sleep 1000 & echo up; exec sleep 1000"
    with started("fork", "-q", "--", "sh", "-c", script) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 143
    assert children() == []


def test_a_background_job_of_the_shell_that_became_us_is_left_alone() -> None:
    """`exec ipcctl` in a shell script with jobs: they are children of ours that we did not start."""
    script = f"sleep 1000 >/dev/null & echo $!; exec {shlex.quote(IPCCTL)} fork -q --timeout 200ms -- sleep 1000"
    done = subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE, text=True, env=clean_environment(), check=False)
    job = int(done.stdout)
    assert (done.returncode, runs(job)) == (124, True)
    os.kill(job, signal.SIGKILL)
    os.waitpid(job, 0)


def test_an_ignored_signal_stays_ignored() -> None:
    """Under nohup the command is not sent the HUP that it was started to survive."""
    how = {"stdin": subprocess.PIPE, "preexec_fn": ignoring(signal.SIGHUP)}
    with started("fork", "-q", "--", "sh", "-c", "echo up; read line; echo $line", **how) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGHUP)
        assert process.communicate("done\n")[0] == "done\n"
    assert process.returncode == 0


def test_started_with_children_ignored_it_still_gets_the_status() -> None:
    assert ipcctl("fork", "-q", "--", "sh", "-c", "exit 6", preexec_fn=ignoring(signal.SIGCHLD)).returncode == 6


def test_the_command_starts_with_default_signals_and_no_mask() -> None:
    status = ipcctl("fork", "-q", "--", "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status").stdout
    sets = [int(line.split()[1], 16) for line in status.splitlines()]
    the_c_librarys_own = 0b11 << 31  # signals 32 and 33, which posix_spawn(3) of glibc ignores in every child
    assert [found & ~the_c_librarys_own for found in sets] == [0, 0]


def test_the_command_inherits_no_descriptor_of_ours() -> None:
    assert ipcctl("fork", "-q", "--", "sh", "-c", "ls /proc/$$/fd").stdout.split() == ["0", "1", "2"]


def test_ctrl_c_reaches_the_command_once(tmp_path: Path) -> None:
    """The terminal sends it to the whole foreground group: a second one from ipcctl would be one too many."""
    import pty

    code = "import signal, sys\nseen = []\nsignal.signal(2, lambda n, f: seen.append(n))\n"
    code += "print('up', flush=True)\n"
    code += "sys.stdin.readline()\nopen(sys.argv[1], 'w').write(str(len(seen)))\nsys.exit(4)"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(IPCCTL, [IPCCTL, "fork", "-q", "--", *python(code), str(tmp_path / "seen")], clean_environment())
    try:
        with os.fdopen(terminal, "r+b", buffering=0) as screen:
            wait_until(lambda: b"up" in screen.read(100))
            screen.write(b"\x03")
            wait_until(lambda: b"^C" in screen.read(100))
            screen.write(b"\n")
            _, wait_status = os.waitpid(pid, 0)
    finally:
        assert not runs(pid)
    assert os.waitstatus_to_exitcode(wait_status) == 4
    assert (tmp_path / "seen").read_text() == "1"


def test_killed_itself_it_leaves_the_command_which_is_documented() -> None:
    with started("fork", "-q", "--", "sh", "-c", "echo $$; exec sleep 1000") as process:
        assert process.stdout is not None
        command = int(process.stdout.readline())
        process.kill()
        process.wait()
        assert runs(command)
        os.kill(command, signal.SIGKILL)
        os.waitpid(command, 0)


def test_the_summary_as_a_shell_evaluates_it() -> None:
    run = f"{shlex.quote(IPCCTL)} fork -f shell -- sh -c 'exit 3' 2>&1"
    script = f'eval "$({run})"; echo $FORK_EXIT_CODE,$FORK_COPIES'
    done = subprocess.run(["sh", "-c", script], env=clean_environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "3,1\n"


def test_a_limit_on_processes_is_named() -> None:
    done = without_processes("fork", "--", "true")
    assert done.returncode == 125
    assert "limit on processes" in one_line(done.stderr)


def test_a_limit_on_descriptors_is_named() -> None:
    done = ipcctl("fork", "--capture", "-n", "20", "--", "true",
                  preexec_fn=limited(resource.RLIMIT_NOFILE, 12))  # fmt: skip
    assert done.returncode == 125
    assert "limit on open files" in one_line(done.stderr)


def test_the_report_cannot_be_written_but_the_command_ran(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = ipcctl("fork", "--", "sh", "-c", f"touch {tmp_path}/ran", stderr=full)
    assert (done.returncode, (tmp_path / "ran").exists()) == (125, True)


def test_where_the_report_cannot_go_the_command_does_not_run(tmp_path: Path) -> None:
    done = ipcctl("fork", "-o", "/no/such/directory/x", "--", "touch", str(tmp_path / "ran"))
    assert (done.returncode, (tmp_path / "ran").exists()) == (2, False)
    assert "/no/such/directory/x" in one_line(done.stderr)


@pytest.mark.parametrize("descriptor", ["0", "1", "2"])
def test_a_closed_descriptor_is_closed_for_the_command_too(descriptor: str, tmp_path: Path) -> None:
    code = "import os, sys\ntry: os.fstat(int(sys.argv[1])); seen = 'open'\nexcept OSError: seen = 'closed'\n"
    command = [IPCCTL, "fork", "-q", "--", *python(code + "open(sys.argv[2], 'w').write(seen)"), descriptor]
    closing = f"{shlex.join([*command, str(tmp_path / 'seen')])} {descriptor}>&-"
    subprocess.run(["sh", "-c", closing], env=clean_environment(), check=True, stdin=subprocess.DEVNULL)
    assert (tmp_path / "seen").read_text() == "closed"
