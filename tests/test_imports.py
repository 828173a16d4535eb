"""What each command imports: start-up is part of every script, so what is added here is added knowingly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from support import clean_environment

from ipcctl.cli import COMMANDS, cli
from ipcctl.commands.concept import Concept

# Runs a command line, and writes down what it has imported: at its end, or as it becomes another program.
CODE = """
import os, sys
from ipcctl import cli
path = sys.argv.pop(1)
def leave(*given):
    names = {name.removeprefix("ipcctl.") for name in sys.modules if name.startswith("ipcctl.")}
    with open(path, "w") as out:
        print(*sorted(names | set(sys.modules) & set(os.environ["HEAVY"].split())), file=out)
    if given:
        os._exit(0)
os.execv = os.execve = os.execvp = os.execvpe = leave
status = cli.main(sys.argv[1:])
leave()
sys.exit(status)
"""
HEAVY = "json tabulate psutil multiprocessing sqlite3 wcwidth ctypes"  # not ours, and takes milliseconds

ALWAYS = "cli errors report report.sink"
LINE = f"""{ALWAYS} waiting commands commands.arguments commands.command commands.concept report.model report.options
    report.output"""
TABLE = "report.table report.terminal report.values"
SHOW = f"""{LINE} {TABLE} commands.running demos demos.channels demos.columns demos.deadline demos.harness tabulate
    process process.event process.pid_counter process.prctl process.procfs process.signals process.terminate
    process.tree process.unseen process.wait_status ctypes"""
START = "process process.procfs process.signals process.spawn process.wait_status ctypes"
RUN = f"{LINE} {TABLE} {START} process.event process.prctl process.result process.run process.tree"
END = "process.pid_counter process.terminate process.unseen"
WATCH = f"{RUN} {END} commands.running process.descendant process.subreaper process.watcher"
RELAY = f"{RUN} commands.columns commands.running tabulate ipc ipc.pipe ipc.pipe.relay process.polled"
COST = f"{RUN} {END} json tabulate multiprocessing process.cost"
POOL = """pool.arguments pool.job pool.job_tree pool.jobs pool.output pool.processors pool.scheduler pool.slots
    pool.statistics pool.template pool.throttle pool.wakeup pool"""
DAEMON = "commands.double_fork commands.double_fork.daemon process process.daemon process.procfs"
NAMES = f"{LINE} commands.names ipc ipc.registry process process.users"
SEM = f"{NAMES} commands.sem ipc.sem ipc.sem.semaphore ipc.sem.semaphores ipc.sem.sysv process.procfs ctypes"
SHM = f"{NAMES} commands.shm ipc.shm ipc.shm.ctype ipc.shm.memory ipc.shm.shared"
VALUE = f"{SHM} commands.shm.values"
QUEUE = f"""{NAMES} commands.queue ipc.queue ipc.queue.database ipc.queue.leases ipc.queue.lockfile ipc.queue.message
    ipc.queue.queue ipc.queue.queues sqlite3"""

# A command line of each verb, and of what a concept does without one; and the modules that it may import.
ALLOWED = {
    "--version": ALWAYS,
    "fork": f"{SHOW} commands.fork commands.fork.show demos.fork multiprocessing",
    "fork -- true": f"{RUN} commands.columns commands.fork commands.fork.run commands.running",
    "fork -q -- true": f"{RUN} commands.columns commands.fork commands.fork.run commands.running",
    "fork cost --rss 0": f"{COST} commands.fork commands.fork.cost",
    "zombie": f"{SHOW} commands.zombie commands.zombie.show demos.zombie",
    "zombie -- true": f"{WATCH} commands.zombie commands.zombie.run commands.zombie.rows",
    "orphan": f"{SHOW} commands.orphan commands.orphan.show demos.orphan",
    "orphan -- true": f"{WATCH} commands.orphan commands.orphan.run commands.orphan.rows",
    "double-fork": f"{SHOW} commands.double_fork commands.double_fork.show demos.double_fork process.terminal",
    "double-fork -q -- true": f"{LINE} {DAEMON} {START} commands.double_fork.start process.daemon.child "
                              "process.daemon.launch process.fds process.window",
    "double-fork status --pidfile pid": f"{LINE} {TABLE} {DAEMON} commands.double_fork.status process.daemon.pidfile",
    "double-fork stop --pidfile pid": f"{LINE} {TABLE} {DAEMON} commands.double_fork.stop process.daemon.pidfile",
    "pool": f"{SHOW} commands.pool commands.pool.show commands.pool.slots demos.pool multiprocessing pool "
            "pool.processors process.spawn",
    "pool -- true ::: a": f"{RUN} {END} {POOL} commands.columns commands.pool commands.pool.planning "
                          "commands.pool.reporting commands.pool.run commands.pool.slots",
    "pipe": f"{SHOW} commands.pipe commands.pipe.show demos.pipe multiprocessing",
    "pipe true true": f"{RELAY} commands.pipe commands.pipe.run ipc.pipe.pipeline ipc.pipe.stage_times report.live",
    "pipe duplex true true": f"{RELAY} commands.pipe commands.pipe.duplex commands.wording ipc.pipe.duplex",
    "pipe meter": f"{LINE} {TABLE} commands.pipe commands.pipe.meter commands.pipe.progress ipc ipc.pipe "
                  "ipc.pipe.meter ipc.pipe.relay process process.polled process.signals report.live ctypes",
    "pipe cost --sizes 64": f"{COST} commands.pipe commands.pipe.cost ipc ipc.pipe ipc.pipe.cost",
    "queue": f"{SHOW} commands.queue commands.queue.show demos.queue multiprocessing",
    "queue put q x": f"{QUEUE} commands.queue.put ipc.queue.blocking process.signals process.window",
    "queue peek q": f"{QUEUE} commands.queue.peek commands.queue.printing",
    "queue get q": f"{QUEUE} commands.queue.get commands.queue.printing ipc.queue.blocking",
    "queue stat q": f"{QUEUE} {TABLE} commands.queue.columns commands.queue.stat",
    "queue work q --until-empty -- echo {}":
        f"{QUEUE} {START} {END} commands.queue.work ipc.inotify ipc.queue.blocking ipc.queue.worker process.event "
        "process.prctl process.result process.run process.tree process.window",
    "queue list": f"{QUEUE} {TABLE} commands.queue.columns commands.queue.list commands.wording",
    "queue close q": f"{QUEUE} commands.queue.close",
    "queue revive q": f"{QUEUE} commands.queue.revive",
    "queue remove q": f"{QUEUE} commands.queue.remove",
    "shm": f"{SHOW} commands.shm commands.shm.show demos.shm multiprocessing",
    "shm set n 1": f"{VALUE} commands.shm.set",
    "shm get n": f"{VALUE} commands.shm.get",
    "shm add n 1": f"{VALUE} commands.shm.add",
    "shm cas n 2 1": f"{VALUE} commands.shm.cas",
    "shm wait n --until =1": f"{VALUE} commands.shm.wait ipc.inotify ctypes",
    "shm path n": f"{SHM} commands.shm.path",
    "shm list": f"{SHM} {TABLE} commands.shm.list commands.wording",
    "shm remove n": f"{SHM} commands.shm.remove",
    "sem": f"{SHOW} commands.sem commands.sem.show demos.sem multiprocessing",
    "sem run s -- true": f"{SEM} commands.sem.run ipc.sem.holders process.spawn",
    "sem wait s": f"{SEM} commands.sem.wait",
    "sem stat s": f"{SEM} {TABLE} commands.sem.stat ipc.sem.holders",
    "sem resize s 2": f"{SEM} commands.sem.resize",
    "sem list": f"{SEM} {TABLE} commands.sem.list commands.wording",
    "sem remove s": f"{SEM} commands.sem.remove",
    "ps 1": f"{LINE} {TABLE} commands.ps commands.ps.arguments commands.ps.columns commands.ps.list process "
            "process.forked_map process.listing process.procfs process.selection process.terminal process.tree "
            "process.users",
    "ps states": f"{SHOW} commands.ps commands.ps.states demos.ps",
    "tour orphan": f"{SHOW} commands.tour demos.orphan json report.formats report.live times",
    "help": f"{LINE} commands.help",
}  # fmt: skip
# importlib.metadata, by which tabulate knows its own version, reads a package's origin by json from Python 3.13 on.
BROUGHT = {"tabulate": {"json"} if sys.version_info >= (3, 13) else set()}
PREPARED = {"sem": "sem run s -- true", "queue": "queue put q x", "shm": "shm set n 1"}  # what a verb works on


def run(line: str, directory: Path) -> set[str]:
    """The modules that a command line imports."""
    env = clean_environment(IPCCTL_DIR=str(directory / "names"), HEAVY=HEAVY)
    command = [sys.executable, "-c", CODE, str(directory / "modules"), *line.split()]
    done = subprocess.run(command, cwd=directory, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return set((directory / "modules").read_text().split())


@pytest.mark.parametrize("line", ALLOWED)
@pytest.mark.usefixtures("adopting")
def test_no_command_imports_what_it_does_not_use(line: str, tmp_path: Path) -> None:
    concept, *rest = line.split()
    if concept in PREPARED and rest:
        run(PREPARED[concept], tmp_path)
    imported = run(line, tmp_path)
    if concept == "sem" and rest:
        run("sem remove s", tmp_path)
    allowed = set(ALLOWED[line].split())
    assert imported - allowed.union(*(BROUGHT[each] for each in allowed & BROUGHT.keys())) == set()
    if not line.startswith("-"):
        assert any(name.startswith(f"commands.{concept.replace('-', '_')}") for name in imported)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="gettext itself imports locale")
def test_no_translation_of_what_click_says_is_looked_for() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "ipcctl", "--version"]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "gettext" in imported
    assert "locale" not in imported


def test_every_concept_and_verb_has_its_line() -> None:
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        lines = [line.removeprefix(f"{name} ") for line in ALLOWED if line.startswith(f"{name} ") or line == name]
        assert lines, name
        for verb in getattr(command, "verbs", ()):
            assert [line for line in lines if line.split(" ")[0] == verb], f"{name} {verb}"


STARTS = {"process.run", "demos.harness", "process.daemon.launch"}


@pytest.mark.parametrize("line", [line for line in ALLOWED if not line.startswith("-")])
def test_what_starts_processes_says_so(line: str) -> None:
    """It is set apart from children that were there before."""
    concept, *rest = line.split()
    command = cli.get_command(click.Context(cli), concept)
    if isinstance(command, Concept):
        verb = next(iter(rest), "") if rest[:1] != ["--"] else ""
        command = command.get_command(click.Context(command), verb) or (command.use if rest else command.show)
    starts = bool(STARTS & set(ALLOWED[line].split()))
    assert getattr(command, "starts_processes", False) == starts
