"""Everything in ipcctl that looks after a command of the user's, and how each is called.

A contract of supervisors is parametrised over SUPERVISORS, so that a new one is under every contract by one entry here.

    with running("pool", ["sh", "-c", "sleep 60"], tmp_path) as process:     # the real binary, in the background
        ...
    done = run("fork", ["sh", "-c", "exit 3"], tmp_path, *timeout("fork", "200ms"))

A command may get one more argument than it was given (the pool's input), so give it none that minds: sh -c '…' has it
as $0.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import (
    DEADLINE_S,
    IPCCTL,
    children,
    clean_environment,
    ipcctl,
    reap_ended,
    runs,
    started,
    state_of,
    wait_until,
)

MESSAGE = "message"
HOSTILE = [sys.executable, str(Path(__file__).parent / "hostile.py")]  # and the file that it makes once all is there
WITH_CHILD = 'sleep 1000 & echo $! > "$0"; exec "$@"'  # for sh -c, with a file and a command

# As sitecustomize.py: an error of our own, in the process that the caller knows, at whatever that does first once the
# file FAIL_AFTER is there.
FAILS = """
import os, sys
path, pid = os.environ.pop("FAIL_AFTER", ""), os.getpid()
def fail(frame, event, argument):
    if event == "c_return" and os.getpid() == pid and os.path.exists(path):
        sys.setprofile(None)
        raise RuntimeError("on purpose")
if path:
    sys.setprofile(fail)
"""


@dataclass(frozen=True)
class Supervisor:
    """How one is called. `many`: it looks after several, and ends them when it is asked to end, by HUP as well.

    failed_status: of a command that failed, where that is not the command's own. detaches: what it runs is no
    descendant of it, and falls to somebody else. needs_proc: it promises to know all that descends from its command,
    and starts nothing where it could not.
    """

    name: str
    arguments: Callable[[Sequence[str], Sequence[str]], list[str]]  # of the options and the command
    timeout_option: str | None = None  # ends what the command started after so long
    timed_out_status: int = 124
    failed_status: int | None = None
    many: bool = False
    needs_queue: bool = False
    detaches: bool = False
    needs_proc: bool = False


def wrapper(*words: str) -> Callable[[Sequence[str], Sequence[str]], list[str]]:
    """`ipcctl WORDS OPTIONS -- COMMAND`."""
    return lambda options, command: [*words, "-q", *options, "--", *command]


def stages(*words: str) -> Callable[[Sequence[str], Sequence[str]], list[str]]:
    """`ipcctl WORDS OPTIONS 'LINE' 'LINE'`: the command is the first of two, in the form that users use."""
    return lambda options, command: [*words, "-q", *options, shlex.join(command), "cat > /dev/null"]


def pool(options: Sequence[str], command: Sequence[str]) -> list[str]:
    """One job."""
    return ["pool", "-q", *options, "--", *command, ":::", "x"]


def pool_of_agents(options: Sequence[str], command: Sequence[str]) -> list[str]:
    """One job, below a process that is its subreaper."""
    return pool(["--timeout", "1h", *options], command)


def worker(options: Sequence[str], command: Sequence[str]) -> list[str]:
    """One message, which is put before; the command has it on its standard input."""
    return ["queue", "work", "q", "--stdin", "--until-empty", "--retries", "0", *options, "--", *command]


def worker_with_guards(options: Sequence[str], command: Sequence[str]) -> list[str]:
    """One message, whose command runs below a process that is its subreaper."""
    return worker(["--lease", "1h", *options], command)


SUPERVISORS = {
    each.name: each
    for each in (
        Supervisor("fork", wrapper("fork"), "--timeout"),
        Supervisor("zombie", wrapper("zombie"), needs_proc=True),
        Supervisor("orphan", wrapper("orphan", "--left", "kill"), needs_proc=True),
        Supervisor(
            "double-fork", wrapper("double-fork", "--ready"), "--timeout", 124, 1, detaches=True, needs_proc=True
        ),
        Supervisor("pool", pool, "--timeout", failed_status=1, many=True),
        Supervisor("pool --timeout", pool_of_agents, "--timeout", failed_status=1, many=True, needs_proc=True),
        Supervisor("pipe", stages("pipe"), "--timeout", many=True),
        Supervisor("duplex", stages("pipe", "duplex"), "--timeout", many=True),
        Supervisor("queue work", worker, "--lease", 1, 1, many=True, needs_queue=True),
        Supervisor(
            "queue work --lease", worker_with_guards, "--lease", 1, 1, many=True, needs_queue=True, needs_proc=True
        ),
    )
}


def status_of_failure(name: str, status: int) -> int:
    """The status of a supervisor whose command ended with that one, which is not 0."""
    own = SUPERVISORS[name].failed_status
    return status if own is None else own


def timeout(name: str, duration: str, grace: str = "0.2") -> list[str]:
    """The options by which a supervisor ends its command after so long."""
    option = SUPERVISORS[name].timeout_option
    assert option is not None, f"{name} has no time-out"
    return [option, duration, "--grace", grace]


def environment(directory: Path, **changes: str | None) -> dict[str, str]:
    """The environment: what is named lives in that directory."""
    return clean_environment(IPCCTL_DIR=str(directory / "names"), **changes)


def arguments(name: str, command: Sequence[str], directory: Path, *options: str) -> list[str]:
    """The arguments of ipcctl; where it works through a queue, a message is put into that first."""
    if SUPERVISORS[name].needs_queue:
        assert ipcctl("queue", "put", "q", MESSAGE, env=environment(directory)).returncode == 0
    return SUPERVISORS[name].arguments(options, command)


def run(name: str, command: Sequence[str], directory: Path, *options: str, **how: Any) -> Any:
    """Run a command under a supervisor to its end."""
    how.setdefault("env", environment(directory))
    return ipcctl(*arguments(name, command, directory, *options), **how)


@contextlib.contextmanager
def running(
    name: str, command: Sequence[str], directory: Path, *options: str, **how: Any
) -> Iterator[subprocess.Popen[str]]:
    """A command under a supervisor, in the background; the supervisor is killed at the end of the block."""
    how.setdefault("env", environment(directory))
    with started(*arguments(name, command, directory, *options), **how) as process:
        yield process


@contextlib.contextmanager
def among_others(
    name: str, command: Sequence[str], directory: Path, *options: str, **how: Any
) -> Iterator[subprocess.Popen[str]]:
    """As `running`, among processes that are none of the command's, see `watched`."""
    how.setdefault("env", environment(directory))
    with watched(arguments(name, command, directory, *options), directory, **how) as process:
        yield process


@contextlib.contextmanager
def watched(args: Sequence[str], directory: Path, **how: Any) -> Iterator[subprocess.Popen[str]]:
    """ipcctl with these arguments, among processes that are not of its making; waits for its end after the block.

    Then nothing of what it ran may be left, and the others must run and not be stopped: one is of its session and
    process group, one its own child, of the shell that became it by exec. What it writes to stderr is in `said`.
    """
    own = directory / "own-child"
    how = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "env": clean_environment(), **how}
    call = ["sh", "-c", WITH_CHILD, str(own), IPCCTL, *args]
    # stderr is a file: whoever escapes would keep a pipe open, and the test waiting
    with open(directory / "stderr", "w") as err, subprocess.Popen(["sleep", "1000"], stdout=err) as beside:
        others = {beside.pid}
        try:
            with subprocess.Popen(call, text=True, stderr=err, **how) as process:
                try:
                    others.add(int(wait_until(lambda: own.exists() and own.read_text(), "the shell's own child")))
                    yield process
                    process.wait(DEADLINE_S)
                finally:
                    process.kill()
            check_what_is_left(others)
        finally:
            for each in others:
                os.kill(each, signal.SIGKILL)
                os.waitpid(each, 0)  # the second fell to this process, a subreaper


def said(directory: Path) -> str:
    """What a watched one has written to stderr."""
    return (directory / "stderr").read_text()


def check_what_is_left(others: set[int]) -> None:
    """Fail unless nothing but the others is left to this process, a subreaper, and they are as they were."""
    left = [pid for pid in set(children()) - others if runs(pid)]
    assert not left, [Path(f"/proc/{pid}/stat").read_text() for pid in left]
    assert {state_of(each) for each in others} == {"S"}, "processes of others were touched"
    reap_ended()
