"""What the tests of `ipcctl queue` have in common: a directory without queues, the binary on it, and who waits."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support import clean_environment, ipcctl, report_of, state_of, wait_until

Queue = Callable[..., Any]


def own_environment(directory: Path) -> dict[str, str]:
    """Where no queue is yet; $LOG is for what commands write."""
    names = {name: str(directory / name.lower()) for name in ("IPCCTL_DIR", "XDG_STATE_HOME", "LOG")}
    return clean_environment(**names)


def runner(env: dict[str, str], text: bool = True) -> Queue:
    """What runs `ipcctl queue`; `data` goes to its stdin."""

    def run(*args: str | bytes, data: str | bytes | None = None, **how: Any) -> Any:
        if data is not None:
            how |= {"stdin": None, "input": data}
        return ipcctl("queue", *args, env=env, **{"text": text, **how})

    return run


def stat(queue: Queue) -> dict[str, Any]:
    """The figures of the queue q."""
    row: dict[str, Any] = report_of(queue("stat", "q", "-f", "json"))["rows"][0]
    return row


def is_watching(pid: int) -> bool:
    """Whether the process hears of changes: it has an inotify descriptor."""
    directory = f"/proc/{pid}/fd"
    try:
        return any("inotify" in os.readlink(f"{directory}/{each}") for each in os.listdir(directory))
    except OSError:  # a descriptor that was closed meanwhile, or the process is about to end
        return False


def wait_until_asleep(process: subprocess.Popen[str]) -> None:
    """Return once it waits for a change of a queue."""
    wait_until(lambda: is_watching(process.pid) and state_of(process.pid) == "S")
