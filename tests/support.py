"""What the tests are made with: the real binary, waiting with a deadline, and what must not be left behind."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

IPCCTL = str(Path(sys.executable).parent / "ipcctl")
ROOT = Path(__file__).parent.parent
DEADLINE_S = 30.0  # for what takes milliseconds, on a machine in great need
PR_SET_CHILD_SUBREAPER = 36
NOBODY = 65534

ResultT = TypeVar("ResultT")


def clean_environment(**changes: str | None) -> dict[str, str]:
    """The environment without what would change ipcctl's output; a change of None removes the variable."""
    unwanted = ("IPCCTL_", "PYTHONUNBUFFERED", "NO_COLOR", "COLUMNS")
    env = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    for name, value in changes.items():
        env.pop(name, None)
        if value is not None:
            env[name] = value
    return env


def ipcctl(*args: str | bytes, env: dict[str, str] | None = None, text: bool = True, **how: Any) -> Any:
    """Run the real binary to its end; stdin is empty, stdout and stderr are captured unless given otherwise."""
    how.setdefault("stdin", subprocess.DEVNULL)
    how.setdefault("stdout", subprocess.PIPE)
    how.setdefault("stderr", subprocess.PIPE)
    if text:
        how |= {"encoding": "utf-8", "errors": "surrogateescape"}
    how.setdefault("timeout", DEADLINE_S)
    return subprocess.run([IPCCTL, *args], env=env or clean_environment(), check=False, **how)


def report_of(done: Any, stream: str = "stdout") -> dict[str, Any]:
    """The JSON report that a run wrote."""
    found: dict[str, Any] = json.loads(getattr(done, stream))
    return found


def one_line(text: str) -> str:
    """The text, asserted to be one line and no traceback."""
    assert text.endswith("\n"), text
    assert text.count("\n") == 1, text
    assert "Traceback" not in text
    return text.rstrip("\n")


@contextlib.contextmanager
def started(*args: str, **how: Any) -> Iterator[subprocess.Popen[str]]:
    """The real binary, running; killed and waited for at the end of the block if it still is."""
    how.setdefault("stdin", subprocess.DEVNULL)
    how.setdefault("stdout", subprocess.PIPE)
    how.setdefault("stderr", subprocess.PIPE)
    env = how.pop("env", None) or clean_environment()
    with subprocess.Popen([IPCCTL, *args], env=env, text=True, **how) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def wait_until(happened: Callable[[], Any], what: str = "") -> Any:
    """What `happened` returns, once that is true; fails after a deadline, with `what` was waited for."""
    end = time.monotonic() + DEADLINE_S
    while not (found := happened()):
        assert time.monotonic() < end, f"did not happen: {what or happened}"
        os.sched_yield()
    return found


def tried(run: Callable[[], ResultT], as_wanted: Callable[[ResultT], bool], most: int = 5) -> ResultT:
    """What the first run gives that is as wanted, or the last of so many."""
    for _ in range(most):
        found = run()
        if as_wanted(found):
            break
    return found


def as_nobody(*args: str, **how: Any) -> Any:
    """Run ipcctl as an unprivileged user; skips where that user may not run it, or we may not become it."""
    how |= {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    how.setdefault("cwd", "/")
    try:
        done = ipcctl(*args, **how)
    except PermissionError:
        pytest.skip(f"the unprivileged user may not run {IPCCTL}")
    if "ModuleNotFoundError" in done.stderr:
        pytest.skip(f"the unprivileged user may not read what {IPCCTL} imports")
    return done


def limited(limit: int, most: int) -> Callable[[], None]:
    """For preexec_fn: a limit of setrlimit(2), such as RLIMIT_NOFILE."""
    return lambda: resource.setrlimit(limit, (most, most))


def without_processes(*args: str) -> Any:
    """Run ipcctl where it may start no process; that does not bind root, and so it is as an unprivileged user."""
    return as_nobody(*args, preexec_fn=limited(resource.RLIMIT_NPROC, 0))


def state_of(pid: int) -> str:
    """The state letter of a process, "" when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1].decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def runs(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    return state_of(pid) not in ("", "Z", "X")


def become_subreaper() -> None:
    """Let whatever ipcctl leaves behind fall to this process, where it can be seen."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children(of: int | None = None) -> list[int]:
    """The children of a process, or of this one; zombies too."""
    parent = str(of or os.getpid()).encode()
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it ended meanwhile
            raw = Path(f"/proc/{name}/stat").read_bytes()
            if raw.rpartition(b") ")[2].split()[1] == parent:
                found.append(int(name))
    return found


def end_children() -> list[str]:
    """Kill and reap every child of this process, and those that fall to it thereby; what they were."""
    found = []
    while pids := children():
        for pid in pids:
            with contextlib.suppress(OSError):
                found.append(f"{pid} {state_of(pid)} {Path(f'/proc/{pid}/cmdline').read_bytes()!r}")
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
    return found


def reap_ended() -> None:
    """Wait for those that have ended and fell to this process: a daemon's or a demonstration's orphans."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def see_orphans_end() -> None:
    """Wait for the end of all that finished runs have left to this process, and reap them."""

    def ended() -> bool:
        reap_ended()
        return not children()

    wait_until(ended, "the end of what a run has left")


def descriptors() -> set[str]:
    """The open descriptors of this process, with what they are."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
    return found


def semaphores_in(directory: Path) -> list[tuple[str, int]]:
    """The semaphores whose files are in a directory, or below, and that the kernel has: name and ID."""
    try:
        lines = Path("/proc/sysvipc/sem").read_text().splitlines()[1:]
    except FileNotFoundError:  # a kernel without
        return []
    ids = {int(key): int(id) for key, id, *_ in map(str.split, lines)}
    found = []
    for path in directory.rglob("*.sem"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            key = int(path.read_text("ascii").split("key ")[1].split()[0], 16)
            found += [(path.name, ids[key])] if key in ids else []
    return sorted(found)


def end_semaphores(directory: Path) -> list[str]:
    """Remove these from the kernel, by their IDs; the names of their files."""
    found = semaphores_in(directory)
    for _, id in found:
        ctypes.CDLL(None).semctl(id, 0, 0)  # IPC_RMID
    return [name for name, _ in found]
