"""`ipcctl orphan -- COMMAND`: every process that outlives its parent, what becomes of it, and COMMAND's own status."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import UNTIL_MET
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
    started,
    state_of,
    wait_until,
)

# Left by COMMAND: a child, one in a session of its own, one forked twice. They outlive it as long as it takes.
LEAVES = "sleep 1000 & setsid sleep 1000 & (setsid sh -c 'sleep 1000 & wait' &) ; "
STUBBORN = "trap '' TERM INT HUP; " + LEAVES


def python(code: str) -> list[str]:
    """A command that runs Python code."""
    return [sys.executable, "-c", code]


def report(*args: str, **how: Any) -> dict[str, Any]:
    """The report of a run."""
    return report_of(ipcctl("orphan", "-f", "json", *args, **how), "stderr")


def orphan_of(found: dict[str, Any]) -> dict[str, Any]:
    """The one row of a report."""
    (row,) = found["rows"]
    assert isinstance(row, dict)
    return row


# Waits until its own parent is another, so that the test does not depend on who is faster.
UNTIL_ADOPTED = "import os, sys\nparent = os.getppid()\nprint('up', flush=True)\nwhile os.getppid() == parent: pass\n"


def orphaned(then: str, first: str = "") -> list[str]:
    """A command whose middle process leaves a child: that does `first`, waits until it is an orphan, does `then`."""
    child = first + UNTIL_ADOPTED + then
    middle = f"import os, subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=-1)\n"
    middle += f"child.stdout.readline()\n{UNTIL_MET}\nuntil_met(os.getpid(), child.pid)\nos._exit(0)"
    # The command ends only when the orphan has: its end closes the pipe.
    outer = "import os, subprocess, sys\nreading, writing = os.pipe()\nos.set_inheritable(writing, True)\n"
    outer += f"subprocess.run([sys.executable, '-c', {middle!r}], close_fds=False)\nos.close(writing)\n"
    outer += "os.read(reading, 1)\n"
    return python(outer.replace("stdout=-1", "stdout=-1, close_fds=False"))


def test_nothing_is_left_nothing_is_reported() -> None:
    found = report("--", "true")
    assert (found["ok"], found["rows"], found["summary"]["left"], found["summary"]["orphans"]) == (True, [], 0, 0)


def test_a_child_whose_parent_waits_is_no_orphan() -> None:
    found = report("--", "sh", "-c", "sleep 0.1 & sleep 0.1 & wait")
    assert found["rows"] == []
    assert found["summary"]["descendants"] == 2


def test_an_orphan_has_the_chain_of_its_parents_and_its_end() -> None:
    found = report("--left", "wait", "--", *orphaned("sum(range(10**6)); sys.exit(9)"))
    row = orphan_of(found)
    assert (row["exit_code"], row["signal"], row["running"], row["ended"]) == (9, None, False, "exited with 9")
    parent, command = row["parents"]
    assert (row["parent_pid"], row["parent_name"]) == (parent["pid"], parent["name"])
    assert row["chain"] == f"{command['name']}({command['pid']}) ─ {parent['name']}({parent['pid']})"
    assert command["command"][:2] == [sys.executable, "-c"]
    assert row["command"][:2] == [sys.executable, "-c"]
    assert 0 < row["cpu_s"] <= row["age_s"] + 1
    assert row["own_session"] is False
    assert found["summary"]["exit_code"] == 0


def test_an_orphan_ended_by_a_signal_in_its_own_session() -> None:
    command = orphaned("os.kill(os.getpid(), 15)", first="import os\nos.setsid()\n")
    row = orphan_of(report("--left", "wait", "--", *command))
    assert (row["exit_code"], row["signal"], row["ended"]) == (None, "SIGTERM", "ended by SIGTERM")
    assert row["own_session"] is True


LEAVES_KNOWN = """
import os, subprocess, sys
how = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
subprocess.Popen(["sleep", "1001"], **how)
subprocess.Popen(["sleep", "1002"], **how, start_new_session=True)
twice = "import os, subprocess; subprocess.Popen(['sleep', '1003'], start_new_session=True); os._exit(0)"
subprocess.run([sys.executable, "-c", twice], **how)
os._exit(5)
"""


def test_those_left_are_named_and_left_running() -> None:
    done = ipcctl("orphan", "-f", "json", "--", *python(LEAVES_KNOWN))
    found = report_of(done, "stderr")
    assert (done.returncode, found["ok"], found["summary"]["left"], found["summary"]["running"]) == (5, False, 3, 3)
    rows = sorted(found["rows"], key=lambda row: row["command"])
    assert [row["command"] for row in rows] == [["sleep", str(n)] for n in (1001, 1002, 1003)]
    assert [row["own_session"] for row in rows] == [False, True, True]
    for row in rows:
        assert (row["running"], row["ended"], row["exit_code"]) == (True, "still running", None)
        assert runs(row["pid"])
    assert len(end_children()) == 3


def test_left_kill_leaves_nothing() -> None:
    """Those that ignore TERM as well, that called setsid, that forked twice."""
    done = ipcctl("orphan", "-f", "json", "--left", "kill", "--grace", "100ms", "--", "sh", "-c", STUBBORN + "exit 3")
    found = report_of(done, "stderr")
    assert done.returncode == 3
    assert children() == []
    assert len(found["rows"]) == 3
    assert {row["signal"] for row in found["rows"]} == {"SIGKILL"}
    assert found["summary"]["running"] == 0


def test_left_kill_is_polite_first() -> None:
    """What handles TERM has the grace period to come to an end of its own."""
    child = "import os, signal\nsignal.signal(15, lambda n, f: os._exit(6))\nos.write(1, b'!')\nsignal.pause()"
    code = f"import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=-1)\n"
    code += "child.stdout.read(1)\nimport os; os._exit(0)"
    found = report("--left", "kill", "--grace", "30", "--", *python(code))
    assert orphan_of(found)["ended"] == "exited with 6"
    assert children() == []


FORKS_ON = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork():
    os._exit(0)
os.setsid()
while True:
    if os.fork():
        os._exit(0)
"""


def test_what_forks_while_it_is_killed_does_not_outrun_it() -> None:
    done = ipcctl("orphan", "-q", "--left", "kill", "--grace", "50ms", "--", *python(FORKS_ON))
    assert done.returncode == 0
    assert children() == []


def test_a_fork_loop_is_ended_by_a_signal_to_ipcctl() -> None:
    loop = "import os, signal\nsignal.signal(15, signal.SIG_IGN)\nprint('up', flush=True)\n"
    loop += "if os.fork():\n while True: signal.pause()\nwhile True:\n if os.fork(): os._exit(0)"
    with started("orphan", "-q", "--grace", "50ms", "--", *python(loop)) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 143
    assert children() == []


def test_left_wait_waits_until_they_end() -> None:
    script = "(sh -c 'read line <\"$0\"; exit 4' \"$0\" &) ; exit 2"
    fifo = f"/tmp/ipcctl-test-{os.getpid()}-fifo"
    os.mkfifo(fifo)
    try:
        with started("orphan", "-f", "json", "--left", "wait", "--", "sh", "-c", script, fifo) as process:
            with open(fifo, "w") as gate:  # opens once the orphan does
                # From then on it has been seen: what lives for less than a look takes is counted, and no more.
                wait_until(lambda: len(children(process.pid)) == 1 and state_of(process.pid) == "S", "one left")
                gate.write("go\n")
            err = process.communicate()[1]
    finally:
        os.unlink(fifo)
    found = report_of(subprocess.CompletedProcess([], 0, "", err), "stderr")
    assert (process.returncode, found["summary"]["timed_out"]) == (2, False)
    assert [(row["exit_code"], row["running"]) for row in found["rows"]] == [(4, False)]


def test_left_wait_ends_them_when_time_is_up() -> None:
    how = ["--left", "wait", "--timeout", "100ms", "--grace", "100ms"]
    done = ipcctl("orphan", "-f", "json", *how, "--", "sh", "-c", STUBBORN + "exit 0")
    found = report_of(done, "stderr")
    assert (done.returncode, found["summary"]["timed_out"], found["ok"]) == (124, True, False)
    assert children() == []
    assert {row["running"] for row in found["rows"]} == {False}


def test_a_signal_while_waiting_for_those_left_ends_them() -> None:
    with started("orphan", "-q", "--left", "wait", "--", "sh", "-c", "sleep 1000 & echo $!") as process:
        assert process.stdout is not None
        left = int(process.stdout.readline())
        wait_until(lambda: parent_of(left) == process.pid, "adoption")
        process.send_signal(signal.SIGTERM)
        process.wait()
    assert process.returncode == 143
    assert children() == []


def parent_of(pid: int) -> int:
    """The parent of a process, by /proc."""
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()[1])


@pytest.mark.parametrize(("status", "given"), [(0, 1), (3, 3)])
def test_fail_on_leak(status: int, given: int) -> None:
    script = LEAVES + f"exit {status}"
    how = ["--fail-on-leak", "--left", "kill"]
    done = ipcctl("orphan", "-f", "json", *how, "--", "sh", "-c", script)
    assert (done.returncode, report_of(done, "stderr")["summary"]["status"]) == (given, given)
    assert ipcctl("orphan", "-q", *how, "--", "sh", "-c", f"true; exit {status}").returncode == status


def test_every_status_is_the_commands() -> None:
    """All 256 by the command line's own way, in one interpreter."""
    code = "from ipcctl.cli import main\n"
    code += "print([n for n in range(256) if main(['orphan', '-q', '--', 'sh', '-c', f'exit {n}']) != n])"
    done = subprocess.run(python(code), env=clean_environment(), capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("status", [0, 1, 2, 124, 125, 126, 127, 128, 255])
def test_ipcctl_exits_with_it(status: int) -> None:
    assert ipcctl("orphan", "-q", "--", "sh", "-c", f"exit {status}").returncode == status


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV", "USR1"])
def test_ended_by_a_signal(name: str) -> None:
    done = ipcctl("orphan", "-f", "json", "--", "sh", "-c", f"kill -{name} $$")
    assert done.returncode == 128 + signal.Signals[f"SIG{name}"]
    assert report_of(done, "stderr")["summary"]["signal"] == f"SIG{name}"


@pytest.mark.parametrize(
    ("argv", "status"), [(["nosuchcommand"], 127), (["/"], 126), ([""], 127), (["/proc/self/stat"], 126)]
)
def test_what_cannot_be_started(argv: list[str], status: int, tmp_path: Path) -> None:
    done = ipcctl("orphan", "--left", "kill", "--", *argv)
    assert (done.returncode, done.stdout) == (status, "")
    assert one_line(done.stderr).startswith("ipcctl orphan: cannot start ")
    told = ipcctl("orphan", "-f", "json", "-o", str(tmp_path / "report"), "--", *argv)
    assert "cannot start" in one_line(told.stderr)
    assert "cannot start" in json.loads((tmp_path / "report").read_text())["summary"]["start_error"]


CATCHES = "import signal, sys\nsignal.signal({0}, lambda n, f: sys.exit(9))\nprint('up', flush=True)\nsignal.pause()"


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGALRM,
               signal.SIGRTMIN + 3]
)  # fmt: skip
def test_signals_reach_the_command(number: int) -> None:
    with started("orphan", "-q", "--", *python(CATCHES.format(int(number)))) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        process.send_signal(number)
        process.communicate()
    assert process.returncode == 9


def test_signals_reach_the_commands_group_and_nobody_elses() -> None:
    """A shell that waits for a child would not hand on what it gets: the child gets it from us. Its caller does not."""
    child = CATCHES.format(10).replace("sys.exit(9)", "os.write(1, b'got it\\n') and os._exit(9)")
    caller = "trap 'echo the caller got it' USR1; "
    caller += f'"{IPCCTL}" orphan -q -- sh -c \'trap "" USR1; "$@"; exit $?\' sh "$@" & echo $!; wait $!; exit $?'
    command = ["sh", "-c", caller, "sh", *python("import os\n" + child)]
    with subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        wrapper = int(process.stdout.readline())
        assert process.stdout.readline() == "up\n"
        os.kill(wrapper, signal.SIGUSR1)
        assert process.stdout.read() == "got it\n"
    assert process.returncode == 9


def test_a_command_in_a_group_of_its_own_gets_them_with_its_group() -> None:
    code = "import os, signal\nos.setpgid(0, 0)\nsignal.signal(15, signal.SIG_IGN)\n"
    code += "if os.fork() == 0:\n signal.signal(15, lambda n, f: os._exit(3))\n"
    code += " print('up', flush=True)\n signal.pause()\n"
    code += "os._exit(os.waitstatus_to_exitcode(os.wait()[1]))"
    with started("orphan", "-q", "--", *python(code)) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 3


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_asked_to_end_it_leaves_nothing(name: str) -> None:
    script = STUBBORN + "echo up; while :; do wait; done"
    with started("orphan", "-f", "json", "--grace", "100ms", "--", "sh", "-c", script) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        process.send_signal(signal.Signals[name])
        process.communicate()
    assert process.returncode == 128 + signal.Signals[name]
    assert children() == []


def test_killed_itself_it_leaves_the_command_which_is_documented() -> None:
    with started("orphan", "-q", "--", "sh", "-c", "echo $$; exec sleep 1000") as process:
        assert process.stdout is not None
        command = int(process.stdout.readline())
        process.kill()
        process.wait()
        assert runs(command)
        os.kill(command, signal.SIGKILL)
        os.waitpid(command, 0)
    assert "SIGKILL" in ipcctl("orphan", "--help").stdout


def test_a_child_that_the_shell_had_before_is_left_alone() -> None:
    shell = "sleep 1000 >/dev/null 2>&1 & echo $!; "
    shell += f'exec "{IPCCTL}" orphan -f json --left kill -- "$@"'
    # It ends when the child has become what it is to be: sleep.
    leave = ["sh", "-c", 'sleep 1000 & until read name < /proc/$!/comm && test "$name" = sleep; do :; done; exit 3']
    how: dict[str, Any] = {"env": clean_environment(), "capture_output": True, "text": True, "timeout": 30}
    done = subprocess.run(["sh", "-c", shell, "sh", *leave], check=False, **how)
    found = report_of(done, "stderr")
    before = int(done.stdout)
    assert done.returncode == 3
    assert [row["command"] for row in found["rows"]] == [["sleep", "1000"]]
    assert found["rows"][0]["pid"] != before
    assert runs(before)
    os.kill(before, signal.SIGKILL)
    os.waitpid(before, 0)
    assert children() == []


def test_ctrl_c_reaches_the_command_once(tmp_path: Path) -> None:
    """The terminal sends it to the whole foreground group; the command stays in it, and may read the terminal."""
    code = "import signal, sys\nseen = []\nsignal.signal(2, lambda n, f: seen.append(n))\nprint('up', flush=True)\n"
    code += "sys.stdin.readline()\nopen(sys.argv[1], 'w').write(str(len(seen)))\nsys.exit(4)"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(IPCCTL, [IPCCTL, "orphan", "-q", "--", *python(code), str(tmp_path / "seen")], clean_environment())
    with os.fdopen(terminal, "r+b", buffering=0) as screen:
        wait_until(lambda: b"up" in screen.read(100))
        screen.write(b"\x03")
        wait_until(lambda: b"^C" in screen.read(100))
        screen.write(b"\n")
        _, wait_status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(wait_status) == 4
    assert (tmp_path / "seen").read_text() == "1"


@pytest.fixture
def namespace() -> Iterator[list[str]]:
    """What makes a command PID 1 of a PID namespace with a /proc of its own."""
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], capture_output=True).returncode != 0:
        pytest.skip("no PID namespace is to be had here (unshare, and privilege)")
    yield command


def test_as_pid_1_it_reaps_what_falls_to_it(namespace: list[str]) -> None:
    """A hundred that are forked twice end; when the last has, PID 1 has no zombie."""
    code = "import os\nreading, writing = os.pipe()\nfor _ in range(100):\n if os.fork() == 0:\n"
    code += "  os.fork()\n  os._exit(0)\n os.wait()\nos.close(writing)\nos.read(reading, 1)\n"
    code += "def zombies(): return [n for n in os.listdir('/proc') if n.isdigit() and open(f'/proc/{n}/stat').read()"
    code += ".rpartition(') ')[2][0] == 'Z']\n"
    code += "while True:\n try:\n  if not zombies(): break\n except OSError: pass\n"
    code += "print(os.getpid() != 1, os.getppid())"
    done = subprocess.run([*namespace, IPCCTL, "orphan", "-q", "--", *python(code)], env=clean_environment(),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "True 1\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_as_pid_1_it_hands_signals_on(namespace: list[str], number: signal.Signals) -> None:
    """The kernel drops what PID 1 does not handle: it must be taken, and handed on."""
    command = [*namespace, IPCCTL, "orphan", "-q", "--", *python(CATCHES.format(int(number)))]
    with subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        (pid_1,) = children(process.pid)
        os.kill(pid_1, number)
        process.communicate()
    assert process.returncode == 9


def test_a_proc_of_another_namespace_is_said(namespace: list[str]) -> None:
    command = [*namespace[:-1], IPCCTL, "orphan", "--", "true"]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=30)
    assert done.returncode == 125
    assert "unshare --mount-proc" in one_line(done.stderr)


def test_with_few_descriptors_it_still_knows_them_all() -> None:
    """Beyond what pidfds are to be had for, /proc is read."""
    import resource

    script = "for i in $(seq 60); do (sleep 1000 & exec true); done; exit 0"
    done = ipcctl("orphan", "-f", "json", "--left", "kill", "--", "sh", "-c", script,
                  preexec_fn=limited(resource.RLIMIT_NOFILE, 80))  # fmt: skip
    rows = report_of(done, "stderr")["rows"]
    assert len(rows) == 60
    assert {row["signal"] for row in rows} == {"SIGTERM"}
    assert children() == []


def test_watching_takes_little_of_a_processor() -> None:
    """While 200 descendants sleep, ipcctl's own processor time is compared with the time that goes by."""
    script = "for i in $(seq 200); do sleep 1000 & done; echo up; wait"
    with started("orphan", "-q", "--grace", "0", "--", "sh", "-c", script) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        clock = ~process.pid << 3 | 2  # clock_getcpuclockid(3)
        began, used = time.monotonic(), time.clock_gettime(clock)
        signal.sigtimedwait([], 3)  # nothing happens
        share = (time.clock_gettime(clock) - used) / (time.monotonic() - began)
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert share < 0.02
    assert children() == []
