"""The contract of children that ipcctl has from before it began, `sh -c 'server & exec ipcctl …'`: they are others'.

So is what they start later, and leave behind while the command runs. And whoever called ipcctl sees one process.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from supervisors import FAILS, SUPERVISORS, arguments, environment, said, status_of_failure, timeout
from support import DEADLINE_S, IPCCTL, children, end_children, runs, state_of, wait_until
from test_job_control import has_nothing_pending

TERM, USR1 = signal.SIGTERM, signal.SIGUSR1
# The earlier child leaves an orphan behind once there is a file `go`; then there is `orphan`, with the orphan's PID.
EARLIER = """
trap '' TERM
{ until [ -e "$0/go" ]; do sleep 0.01; done
  (sleep 1000 & echo $! > "$0/orphan.new"); mv "$0/orphan.new" "$0/orphan"; exec sleep 1000; } &
echo $! > "$0/earlier.new"; mv "$0/earlier.new" "$0/earlier"; trap - TERM; exec "$@"
"""
# The command: it has the orphan made, and leaves a process of its own behind.
COMMAND = """
touch "$0/go"; until [ -e "$0/orphan" ]; do sleep 0.01; done
(sleep 1000 < /dev/null > /dev/null 2>&1 & echo $! > "$0/left.new"); mv "$0/left.new" "$0/left";
"""
NOTES_USR1 = """trap ': > "$0/usr1"; exit 3' USR1; touch "$0/up"; while :; do sleep 0.01; done"""
BEFORE_ENDED = """
import os, sys
pid = os.posix_spawnp("true", ["true"], os.environ)
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
with open(sys.argv[1] + "/earlier.new", "w") as out:
    out.write(str(pid))
os.rename(out.name, sys.argv[1] + "/earlier")
os.execv(sys.argv[2], sys.argv[2:])
"""
LONG = "exec sleep 1000"
ENDS_IN_ITS_OWN_TIME = """
trap ': > "$0/term"' TERM; touch "$0/up"
until [ -e "$0/may-end" ]; do sleep 0.01; done; : > "$0/ended"; exit 9
"""


def script(name: str, text: str, directory: Path) -> list[str]:
    """The command that runs it; as a stage of a pipeline, in place of the shell that runs that."""
    command = ["sh", "-c", text, str(directory)]
    return ["exec", *command] if name in ("pipe", "duplex") else command


class Beside:
    """ipcctl, that had a child before it began."""

    def __init__(self, process: subprocess.Popen[str], directory: Path) -> None:
        self.process = process
        self.directory = directory
        self.earlier = self.pid("earlier")

    def wait_for(self, file: str) -> Path:
        """Wait until there is that file."""
        path = self.directory / file
        wait_until(lambda: path.exists() or self.process.poll() is not None, file)
        assert path.exists(), said(self.directory)
        return path

    def pid(self, file: str) -> int:
        """Return the PID in a file, once that is there."""
        return int(self.wait_for(file).read_text())

    @property
    def begun(self) -> int:
        """The process that goes on as ipcctl."""
        found = [each for each in children(self.process.pid) if each != self.earlier]
        assert len(found) == 1, found
        return found[0]


@contextlib.contextmanager
def called(
    args: Sequence[str], directory: Path, by: Sequence[str] = ("sh", "-c", EARLIER), **changes: str
) -> Iterator[Beside]:
    """Run ipcctl with these arguments and an earlier child, and wait for its end after the block."""
    call = [*by, str(directory), IPCCTL, *args]
    with open(directory / "stderr", "w") as err:
        process = subprocess.Popen(
            call, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err, text=True, start_new_session=True,
            env=environment(directory, **changes),
        )  # fmt: skip
        try:
            yield Beside(process, directory)
            process.wait(DEADLINE_S)
        finally:
            process.kill()
            process.wait()


def beside(name: str, text: str, directory: Path, *options: str) -> contextlib.AbstractContextManager[Beside]:
    """Run a shell script as the command of a supervisor, as `called`."""
    return called(arguments(name, script(name, text, directory), directory, *options), directory)


def check_others(found: Beside, all_ended: bool = True) -> None:
    """Fail unless the earlier child and its orphan were not touched, and nothing else is left; end them."""
    others = {found.earlier, found.pid("orphan")}
    assert {state_of(each) for each in others} == {"S"}
    if all_ended:
        assert [each for each in set(children()) - others if runs(each)] == []
        assert not runs(found.pid("left"))
    end_children()


@pytest.mark.parametrize("name", SUPERVISORS)
def test_they_are_not_waited_for_and_the_status_is_the_commands(name: str, tmp_path: Path) -> None:
    with beside(name, COMMAND + "exit 3", tmp_path) as found:
        pass
    assert found.process.returncode == status_of_failure(name, 3), said(tmp_path)
    check_others(found, all_ended=name in ("orphan", "double-fork"))  # the others leave what a command leaves


@pytest.mark.parametrize("name", SUPERVISORS)
def test_a_signal_that_asks_to_end_spares_them(name: str, tmp_path: Path) -> None:
    with beside(name, COMMAND + LONG, tmp_path, "--grace", "100ms") as found:
        found.wait_for("left")
        found.process.send_signal(TERM)
    assert found.process.returncode == 128 + TERM
    check_others(found, all_ended=name != "fork" and name != "zombie")  # these leave what a command leaves


@pytest.mark.parametrize("name", [name for name, each in SUPERVISORS.items() if each.timeout_option])
def test_a_time_out_spares_them(name: str, tmp_path: Path) -> None:
    for duration in ("500ms", "3s", "15s"):  # until all was there before the time was up
        directory = tmp_path / duration
        directory.mkdir()
        with beside(name, COMMAND + LONG, directory, *timeout(name, duration)) as found:
            pass
        assert found.process.returncode == SUPERVISORS[name].timed_out_status, said(directory)
        if (directory / "left").exists():
            return check_others(found)
        end_children()
    pytest.fail("it was never up before the time was")


@pytest.mark.parametrize("left", ["report", "wait", "kill"])
def test_orphan_counts_the_commands_alone(left: str, tmp_path: Path) -> None:
    report = tmp_path / "report"
    more = ["--timeout", "1ms"] if left == "wait" else []
    options = ["--left", left, *more, "--grace", "100ms", "-f", "json", "-o", str(report)]
    with called(["orphan", *options, "--", *script("orphan", COMMAND + "exit 3", tmp_path)], tmp_path) as found:
        pass
    told = json.loads(report.read_text())
    assert [row["pid"] for row in told["rows"] if row["name"] == "sleep"] == [found.pid("left")]
    assert (told["summary"]["orphans"], told["summary"]["left"]) == (1, 1)
    assert found.process.returncode == (124 if left == "wait" else 3)
    check_others(found, all_ended=left != "report")


@pytest.mark.parametrize("name", sorted(set(SUPERVISORS) - {"double-fork"}))
def test_a_signal_to_the_pid_that_the_caller_knows_reaches_the_command(name: str, tmp_path: Path) -> None:
    with beside(name, NOTES_USR1, tmp_path) as found:
        found.wait_for("up")
        found.process.send_signal(USR1)
    assert (tmp_path / "usr1").exists()
    if name not in ("pipe", "duplex"):  # whose second stage ends by it
        assert found.process.returncode == status_of_failure(name, 3)
    end_children()


@pytest.mark.parametrize("name", SUPERVISORS)
def test_a_signal_to_the_process_group_is_one(name: str, tmp_path: Path) -> None:
    """Two processes get it and one hands it on; a second TERM would end the command before its grace period is over."""
    with beside(name, ENDS_IN_ITS_OWN_TIME, tmp_path, "--grace", "1h") as found:
        found.wait_for("up")
        both = [found.process.pid, found.begun]
        os.killpg(found.process.pid, TERM)
        found.wait_for("term")
        for each in both:
            wait_until(lambda each=each: has_nothing_pending(each), "that it has taken the signal")
        (tmp_path / "may-end").touch()
    assert (tmp_path / "ended").exists()
    ended_by_us = SUPERVISORS[name].many or name == "double-fork"
    assert found.process.returncode == (128 + TERM if ended_by_us else 9)
    end_children()


@pytest.mark.parametrize("name", SUPERVISORS)
def test_killed_it_takes_along_the_process_that_goes_on_as_ipcctl(name: str, tmp_path: Path) -> None:
    with beside(name, COMMAND + LONG, tmp_path) as found:
        found.wait_for("left")
        begun = found.begun
        found.process.kill()
        wait_until(lambda: not runs(begun), "its end")
    assert found.process.returncode == -signal.SIGKILL
    end_children()


@pytest.mark.parametrize("name", SUPERVISORS)
def test_it_ends_by_the_signal_that_ended_the_process_that_goes_on(name: str, tmp_path: Path) -> None:
    with beside(name, COMMAND + LONG, tmp_path) as found:
        found.wait_for("left")
        os.kill(found.begun, signal.SIGKILL)
    assert found.process.returncode == -signal.SIGKILL
    end_children()


def test_where_they_have_ended_there_is_one_process(tmp_path: Path) -> None:
    by = [sys.executable, "-I", "-S", "-c", BEFORE_ENDED]
    args = arguments("fork", script("fork", NOTES_USR1, tmp_path), tmp_path)
    with called(args, tmp_path, by) as found:
        found.wait_for("up")
        assert Path(f"/proc/{found.begun}/comm").read_text() == "sh\n"
        assert children(found.process.pid) == [found.begun]
        found.process.send_signal(USR1)
    assert found.process.returncode == 3


@pytest.mark.parametrize("name", SUPERVISORS)
def test_an_error_in_the_process_between_leaves_nothing(name: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(FAILS)
    how = {"PYTHONPATH": str(tmp_path), "FAIL_AFTER": str(tmp_path / "left")}
    args = arguments(name, script(name, COMMAND + LONG, tmp_path), tmp_path)
    with called(args, tmp_path, **how) as found:
        found.wait_for("left")
        found.process.send_signal(signal.SIGWINCH)  # so that it does something
    assert found.process.returncode == 125
    check_others(found, all_ended=name not in ("fork", "zombie"))


AS_PID_1 = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *(["-r"] if os.geteuid() else [])]


@pytest.mark.parametrize(("body", "status"), [
    ("trap 'exit 3' USR1; kill -USR1 1; while :; do sleep 0.01; done", 3),
    ("kill -KILL $PPID; " + LONG, 137),
    ('test "$(cat /proc/$PPID/task/$PPID/children)" = "$$ " && test $PPID != 1 && exit 4', 4),
])  # fmt: skip
def test_as_the_init_of_a_container(body: str, status: int, tmp_path: Path) -> None:
    if subprocess.run([*AS_PID_1, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("no PID namespace can be made here")
    text = f'touch "$0/go"; until [ -e "$0/orphan" ]; do sleep 0.01; done; {body}'
    call = [*AS_PID_1, "sh", "-c", EARLIER, str(tmp_path), IPCCTL, "orphan", "-q", "--left", "wait"]
    done = subprocess.run(
        [*call, "--", "sh", "-c", text, str(tmp_path)], check=False, stdin=subprocess.DEVNULL, timeout=DEADLINE_S,
        env=environment(tmp_path),
    )  # fmt: skip
    assert done.returncode == status
