"""The contract of every /proc: a command keeps its promise, or refuses in one line before it starts anything.

No /proc, another PID namespace's, processes alone (subset=pid), others' processes hidden (hidepid). A PID is looked up
in none but our own; and what cannot be read is neither gone, nor zero, nor fine.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from procs import HIDING, NOT_OWN, OWN, PROCS, inside
from supervisors import SUPERVISORS, status_of_failure, timeout
from support import ROOT, one_line, tried

from ipcctl.cli import COMMANDS

NEED_NO_PROC = [name for name, each in SUPERVISORS.items() if not each.needs_proc]
SOME = ("subset=pid", "hidepid=2")  # of those that are our own, for what takes longer
CONCEPTS = [name for name in COMMANDS if name != "tour"]

# Ignores TERM, as what it starts does: one that is double-forked, into a session of its own where $1 says so. Each has
# a lock as long as it lives.
HOSTILE = """
trap '' TERM
(exec 8>>"$SHARED/escaped"; flock -s 8; $1 sh -c ': > "$SHARED/ran-escaped"; sleep 60; :' &)
until [ -e "$SHARED/ran-escaped" ]; do :; done
exec 9>>"$SHARED/command"; flock -s 9
: > "$SHARED/ran"
exec sleep 60
"""
LEFT = 'for each in command escaped; do flock -n -x "$SHARED/$each" true || echo "left running: $each"; done'


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that everybody may use, with the hostile command in it."""
    directory = Path(tempfile.mkdtemp(prefix="ipcctl-test-"))
    directory.chmod(0o777)
    (directory / "hostile").write_text(HOSTILE)
    for name in ("command", "escaped"):
        (directory / name).touch()
        (directory / name).chmod(0o666)
    yield directory
    shutil.rmtree(directory)


def called(supervisor: str, command: list[str], *options: str) -> str:
    """The line of a script that runs a command under a supervisor."""
    message = "ipcctl queue put q message && " if SUPERVISORS[supervisor].needs_queue else ""
    return f"{message}ipcctl {shlex.join(SUPERVISORS[supervisor].arguments(options, command))}"


def hostile(supervisor: str, shared: Path) -> list[str]:
    """The hostile command; a daemon keeps to its session, which is what is ended."""
    return ["sh", f"{shared}/hostile", "" if supervisor == "double-fork" else "setsid"]


def refused(done: Any, shared: Path) -> str:
    """The one line by which a command was refused that needs a /proc of our own; nothing was started."""
    assert done.returncode == 125, done
    assert "mount -t proc proc /proc" in done.stderr
    assert not (shared / "ran").exists()
    assert done.stdout == ""
    return one_line(done.stderr)


def statuses(text: str) -> list[int]:
    """The statuses that a script has printed, each by `echo status $?`."""
    return [int(each) for each in re.findall(r"^status (\d+)$", text, re.MULTILINE)]


# --- what looks after a command


@pytest.mark.parametrize("name", PROCS)
@pytest.mark.parametrize("supervisor", SUPERVISORS)
def test_a_command_is_run_and_its_status_given_or_it_is_refused(supervisor: str, name: str, shared: Path) -> None:
    done = inside(name, called(supervisor, ["sh", "-c", f": > {shared}/ran; exit 3"]), shared)
    if supervisor not in NEED_NO_PROC and not PROCS[name].own:
        refused(done, shared)
        return
    assert done.returncode == status_of_failure(supervisor, 3), done
    assert (shared / "ran").exists()


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("supervisor", [each.name for each in SUPERVISORS.values() if each.timeout_option])
def test_when_time_is_up_nothing_is_left(supervisor: str, name: str, shared: Path) -> None:
    def run(seconds: float) -> Any:
        (shared / "ran").unlink(missing_ok=True)
        options = timeout(supervisor, str(seconds), "0.1")
        return inside(
            name, f"{called(supervisor, hostile(supervisor, shared), *options)}; echo status $?; {LEFT}", shared
        )

    limits = iter((0.4, 2.0, 5.0, 10.0, 20.0))  # until it was started by then
    done = tried(lambda: run(next(limits)), lambda _: (shared / "ran").exists())
    assert (shared / "ran").exists()
    assert statuses(done.stdout) == [SUPERVISORS[supervisor].timed_out_status], done
    assert "left running" not in done.stdout, done


@pytest.mark.parametrize("name", NOT_OWN)
@pytest.mark.parametrize("supervisor", [each.name for each in SUPERVISORS.values() if each.timeout_option])
def test_a_time_out_that_could_not_end_all_is_refused(supervisor: str, name: str, shared: Path) -> None:
    refused(inside(name, called(supervisor, hostile(supervisor, shared), *timeout(supervisor, "0.1")), shared), shared)


def asked_to_end(supervisor: str, shared: Path, *options: str) -> str:
    """A script that sends TERM to a supervisor once its hostile command runs; a bystander runs beside it."""
    run = called(supervisor, hostile(supervisor, shared), "--grace", "0.1", *options)
    put, _, run = run.rpartition("&& ")
    return f"""
        {put} :
        {run} & ipcctl=$!
        bystanders=; for i in 1 2 3 4 5 6 7 8; do sleep 60 & bystanders="$bystanders $!"; done
        until [ -e {shared}/ran ]; do :; done
        kill -TERM $ipcctl
        wait $ipcctl; echo status $?
        {LEFT}
        for each in $bystanders; do kill -0 $each || echo a bystander was ended; done
        kill $bystanders
    """


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("supervisor", SUPERVISORS)
def test_asked_to_end_it_leaves_nothing(supervisor: str, name: str, shared: Path) -> None:
    done = inside(name, asked_to_end(supervisor, shared), shared)
    assert statuses(done.stdout) == [143], done
    assert "left running" not in done.stdout, done
    assert "bystander" not in done.stdout


@pytest.mark.parametrize("name", NOT_OWN)
@pytest.mark.parametrize("supervisor", NEED_NO_PROC)
def test_asked_to_end_it_ends_what_it_started_and_says_that_it_finds_no_more(
    supervisor: str, name: str, shared: Path
) -> None:
    done = inside(name, asked_to_end(supervisor, shared), shared)
    assert statuses(done.stdout) == [143], done
    assert "left running: command" not in done.stdout or supervisor in ("pipe", "duplex"), (
        done
    )  # sh -c, which it started
    assert "bystander" not in done.stdout
    said = [line for line in done.stderr.splitlines() if "cannot be found" in line]
    assert len(said) == 1, done
    assert "mount -t proc proc /proc" in said[0]


@pytest.mark.parametrize("supervisor", NEED_NO_PROC)
def test_in_a_foreign_proc_no_bystander_is_touched(supervisor: str, shared: Path) -> None:
    """The outer namespace has children of a PID 2; ipcctl is the inner PID 2, where the PIDs of those are others."""
    run = called(supervisor, ["sh", "-c", f": > {shared}/ran; sleep 60"], "--grace", "0.1")
    put, _, run = run.rpartition("&& ")
    (shared / "inner").write_text(f"""
        {run} & ipcctl=$!
        bystanders=; for i in 1 2 3 4 5 6 7 8; do sleep 60 & bystanders="$bystanders $!"; done
        until [ -e {shared}/ran ]; do :; done
        kill -TERM $ipcctl
        wait $ipcctl; echo "status $?" "of PID $ipcctl"
        for each in $bystanders; do kill -0 $each || echo a bystander was ended; done
    """)
    outer = f"""
        {put} :
        unshare --pid --fork --mount --kill-child sh -c '
            mount -t proc proc /proc
            (i=0; while [ $i -lt 30 ]; do sleep 60 & i=$((i + 1)); done; wait) &
            unshare --pid --fork --kill-child sh {shared}/inner'
    """
    done = inside("foreign", outer, shared)
    assert "of PID 2" in done.stdout, done
    assert "bystander" not in done.stdout, done


@pytest.mark.parametrize("name", NOT_OWN)
def test_the_memory_of_a_command_is_not_taken_from_ipcctls(name: str, shared: Path) -> None:
    done = inside(name, "ipcctl fork -f json -- true", shared)
    row = json.loads(done.stderr)["rows"][0]
    assert row["max_rss_kib"] is None
    assert row["max_rss_below_kib"] > 4096  # an interpreter's
    assert row["exit_code"] == 0


# --- a set-user-ID program, which hidepid hides from who started it


@pytest.mark.parametrize("name", ["hidepid=1", "hidepid=2"])
@pytest.mark.parametrize("supervisor", SUPERVISORS)
def test_a_command_that_proc_hides_is_ended_all_the_same(supervisor: str, name: str, shared: Path) -> None:
    program = shared / "tail"
    shutil.copy(shutil.which("tail") or "", program)
    program.chmod(0o4755)
    if program.stat().st_uid != 0:
        pytest.skip("only root can make a program that runs as another user")
    has_timeout = SUPERVISORS[supervisor].timeout_option is not None
    options = timeout(supervisor, "0.5", "0.1") if has_timeout else ["--grace", "0.1"]
    begin = f'exec 9>>"$SHARED/command"; flock -s 9; : > "$SHARED/ran"; exec {program} -f /dev/null'
    run = called(supervisor, ["sh", "-c", begin], *options)
    until_asked = 'until [ -e "$SHARED/ran" ]; do :; done; kill -TERM $!; wait $!'
    done = inside(name, f"{run} {'' if has_timeout else '& ' + until_asked}; echo status $?; {LEFT}", shared)
    assert statuses(done.stdout) == [SUPERVISORS[supervisor].timed_out_status if has_timeout else 143], done
    assert "left running" not in done.stdout, done


# --- a daemon, found again by its pidfile

DAEMON = 'ipcctl double-fork -q --pidfile "$SHARED/pid" -- sh "$SHARED/hostile" ""'
ASKED = 'ipcctl double-fork status -f json --pidfile "$SHARED/pid"; echo status $?'
STOPPED = 'ipcctl double-fork stop -q --pidfile "$SHARED/pid" --grace 0.1; echo status $?'


@pytest.mark.parametrize("name", OWN)
def test_a_daemon_is_found_and_stopped(name: str, shared: Path) -> None:
    script = f'{DAEMON}; until [ -e "$SHARED/ran" ]; do :; done; {ASKED}; {STOPPED}; {ASKED}; {LEFT}'
    done = inside(name, script, shared)
    assert statuses(done.stdout) == [0, 0, 1], done
    assert "left running" not in done.stdout


@pytest.mark.parametrize(("name", "goes"), [("none", "mount -t tmpfs none /proc"), ("foreign", "umount /proc")])
def test_where_proc_is_gone_a_daemon_is_known_by_its_lock_and_not_stopped(name: str, goes: str, shared: Path) -> None:
    script = f"""
        mount -t proc proc /proc; {DAEMON}; until [ -e "$SHARED/ran" ]; do :; done; {goes}
        {ASKED}; {STOPPED}; {LEFT}; {DAEMON}; echo status $?
        kill -KILL $(cat "$SHARED/pid"); until flock -n -x "$SHARED/command" true; do :; done; {ASKED}; {STOPPED}
    """
    done = inside(name, script, shared)
    assert statuses(done.stdout) == [0, 125, 125, 1, 0], done
    assert "left running: command" in done.stdout  # it was not touched
    row = json.loads(done.stdout[: done.stdout.index("status")])["rows"][0]
    assert (row["state"], row["argv"], row["uid"]) == ("running", None, None)
    assert "mount -t proc" in done.stderr


@pytest.mark.parametrize("name", HIDING)
def test_a_daemon_whose_lock_is_lost_and_that_is_hidden_is_neither_running_nor_not(name: str, shared: Path) -> None:
    done = inside(name, f'echo 1 > "$SHARED/pid"; {ASKED}; {DAEMON}; echo status $?', shared)
    assert statuses(done.stdout) == [125, 125], done
    assert all("cannot tell" in line and name in line for line in done.stderr.splitlines()), done


# --- named things

NAMED = """
ipcctl sem run s -n 2 -- true; echo status $?
ipcctl sem run s -- sh -c 'ipcctl sem stat s -f json'; echo status $?
ipcctl sem list; echo status $?
ipcctl shm set n 1; echo status $?
(ipcctl shm wait n --until '==3' --timeout 20s; echo status $?) & waits=$!
ipcctl shm add n 2; echo status $?
wait $waits
ipcctl shm get n; echo status $?
(ipcctl queue get q --timeout 20s; echo status $?) & waits=$!
ipcctl queue put q message; echo status $?
wait $waits
ipcctl queue list; echo status $?
ipcctl sem remove s; ipcctl shm remove n; ipcctl queue remove q; echo status $?
"""


@pytest.mark.parametrize("name", PROCS)
def test_named_things_need_no_proc(name: str, shared: Path) -> None:
    done = inside(name, NAMED, shared)
    assert statuses(done.stdout) == [0] * 11, done
    summary = json.loads(done.stdout[done.stdout.index("{") : done.stdout.rindex("}") + 1])["summary"]
    assert summary["held"] == 1
    assert summary["unmarked"] == (0 if PROCS[name].own else 1), summary
    assert ("who holds 's' cannot be told" in done.stderr) == (not PROCS[name].own), done.stderr


# --- lists of processes


@pytest.mark.parametrize("name", NOT_OWN)
@pytest.mark.parametrize("options", ["", "-q --zombies", "--tree", "--orphans", "1", "-f shell"])
def test_processes_are_not_listed_as_none(options: str, name: str, shared: Path) -> None:
    refused(inside(name, f"ipcctl ps {options}", shared), shared)


def test_with_processes_alone_in_proc_they_are_listed(shared: Path) -> None:
    script = (
        "sleep 60 & ipcctl ps $! -f json; echo status $?; ipcctl ps --tree >&2; echo status $?; ipcctl ps -q --zombies"
    )
    done = inside("subset=pid", script, shared)
    assert statuses(done.stdout) == [0, 0], done
    (row,) = json.loads(done.stdout[: done.stdout.index("status")])["rows"]
    assert row["command"] == "sleep 60"


@pytest.mark.parametrize("name", HIDING)
def test_what_is_hidden_is_said_and_not_denied(name: str, shared: Path) -> None:
    script = """
        sleep 60 & ipcctl ps $! 1 -f json; echo status $?
        ipcctl ps -q --zombies; echo status $?
        ipcctl ps -q 4000000; echo status $?
    """
    done = inside(name, script, shared)
    assert statuses(done.stdout) == [125, 0, 1], done
    (row,) = json.loads(done.stdout[: done.stdout.index("status")])["rows"]
    assert row["command"] == "sleep 60"
    hidden, others, missing = [line for line in done.stderr.splitlines() if "4000000" in line or name in line][:3]
    assert "process 1 runs" in hidden
    assert "others' processes cannot be seen" in others
    assert "no process 4000000" in missing


# --- limits that the kernel must tell


@pytest.mark.parametrize("name", ["none", "subset=pid"])
def test_a_limit_that_cannot_be_read_is_refused_before_any_job(name: str, shared: Path) -> None:
    done = inside(name, f"ipcctl pool -q --memfree 1 -- touch {shared}/ran ::: x", shared)
    assert "--memfree" in refused(done, shared)
    told = inside(name, f"{sys.executable} -c 'import os; os.getloadavg()'", shared).returncode == 0  # by the C library
    done = inside(name, f"ipcctl pool -q --max-load 1000 -- touch {shared}/ran ::: x", shared)
    assert done.returncode == 0 if told else "--max-load" in refused(done, shared)


@pytest.mark.parametrize("limit", ["--memfree 1", "--max-load 1000"])
def test_a_limit_of_the_machine_is_read_in_any_proc_that_has_it(limit: str, shared: Path) -> None:
    done = inside("foreign", f"ipcctl pool -q {limit} -- touch {shared}/ran ::: x", shared)
    assert done.returncode == 0, done
    assert (shared / "ran").exists()


# --- the rest


@pytest.mark.parametrize("name", ["none", "foreign", "subset=pid"])
def test_a_meter_and_the_costs_are_measured_everywhere(name: str, shared: Path) -> None:
    script = """
        seq 10000 | ipcctl pipe meter -q | cksum; seq 10000 | cksum
        ipcctl fork cost --rss 0 -f json; echo status $?
        ipcctl pipe cost --sizes 64 -f tsv >&2; echo status $?
    """
    done = inside(name, script, shared)
    assert statuses(done.stdout) == [0, 0], done
    passed, expected, report = done.stdout.split("\n", 2)
    assert passed == expected
    rows = json.loads(report[: report.index("status")])["rows"]
    assert all((row["parent_rss_kib"] is None) == (name == "none") for row in rows), rows


@pytest.mark.parametrize("name", NOT_OWN)
def test_who_waits_for_whom_is_not_guessed(name: str, shared: Path) -> None:
    touch = f"touch {shared}/ran"
    refused(inside(name, f"ipcctl pipe duplex -q --stall 0.1 {shlex.quote(touch)} cat", shared), shared)


@pytest.mark.parametrize("name", ["none", "foreign", "subset=pid", "hidepid=1", "hidepid=2"])
@pytest.mark.parametrize("concept", CONCEPTS)
def test_a_demonstration_says_what_it_cannot_show_and_claims_nothing_that_it_did_not_see(
    concept: str, name: str, shared: Path
) -> None:
    states = " states" if concept == "ps" else ""
    done = inside(name, f"ipcctl {concept}{states} -f json", shared)
    assert done.stderr == ""
    checks = json.loads(done.stdout)["checks"]
    skipped = [each for each in checks if each["status"] == "skipped"]
    assert done.returncode == 0, [each for each in checks if each["status"] == "failed"]
    assert all(each["reason"] for each in skipped)
    if not PROCS[name].own:
        assert skipped == checks
        assert all("mount -t proc" in each["reason"] for each in skipped)
    elif name == "subset=pid":
        assert skipped == []
    else:
        assert all(name in each["reason"] for each in skipped), skipped


def test_nowhere_else_is_a_path_in_proc_made_of_a_pid() -> None:
    """There it is looked first whether /proc is ours (procfs.path_of)."""
    found = [
        str(path) for path in (ROOT / "src").rglob("*.py") if path.name != "procfs.py" and "/proc/{" in path.read_text()
    ]
    assert found == []
