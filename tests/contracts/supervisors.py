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
import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import clean_environment, ipcctl, started

MESSAGE = "message"


@dataclass(frozen=True)
class Supervisor:
    """How one is called. `many`: it looks after several, and ends them when it is asked to end, by HUP as well."""

    name: str
    arguments: Callable[[Sequence[str], Sequence[str]], list[str]]  # of the options and the command
    timeout_option: str | None = None  # ends what the command started after so long
    timed_out_status: int = 124
    many: bool = False
    needs_queue: bool = False


def wrapper(*words: str) -> Callable[[Sequence[str], Sequence[str]], list[str]]:
    """`ipcctl WORDS OPTIONS -- COMMAND`."""
    return lambda options, command: [*words, "-q", *options, "--", *command]


def stages(*words: str) -> Callable[[Sequence[str], Sequence[str]], list[str]]:
    """`ipcctl WORDS OPTIONS 'LINE' 'LINE'`: the command is the first of two, in the form that users use."""
    return lambda options, command: [*words, "-q", *options, shlex.join(command), "cat > /dev/null"]


def pool(options: Sequence[str], command: Sequence[str]) -> list[str]:
    """One job."""
    return ["pool", "-q", *options, "--", *command, ":::", "x"]


def worker(options: Sequence[str], command: Sequence[str]) -> list[str]:
    """One message, which is put before; the command has it on its standard input."""
    return ["queue", "work", "q", "--stdin", "--until-empty", "--retries", "0", *options, "--", *command]


SUPERVISORS = {
    each.name: each
    for each in (
        Supervisor("fork", wrapper("fork"), "--timeout"),
        Supervisor("zombie", wrapper("zombie")),
        Supervisor("orphan", wrapper("orphan", "--left", "kill")),
        Supervisor("double-fork", wrapper("double-fork", "--ready"), "--timeout"),
        Supervisor("pool", pool, "--timeout", many=True),
        Supervisor("pipe", stages("pipe"), "--timeout", many=True),
        Supervisor("duplex", stages("pipe", "duplex"), "--timeout", many=True),
        Supervisor("queue work", worker, "--lease", timed_out_status=1, many=True, needs_queue=True),
    )
}


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
