"""What the tests of `ipcctl sem` are made with: a directory of names of their own, holders, and those that wait."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support import IPCCTL, clean_environment, end_semaphores, ipcctl, wait_until

from ipcctl.ipc.registry import NotThere
from ipcctl.ipc.sem import sysv
from ipcctl.ipc.sem.semaphore import HOLDERS, SLOTS, State
from ipcctl.ipc.sem.semaphores import Semaphores

GETZCNT = 15  # semctl(2)
HOLDING = ["sh", "-c", "echo in; read line"]  # says so, and holds its slot until its input ends


class Names:
    """A directory of names, seen by the real binary and from here."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.env = clean_environment(IPCCTL_DIR=str(directory))

    def sem(self, *args: str, **how: Any) -> Any:
        """Run `ipcctl sem` to its end."""
        return ipcctl("sem", *args, env=self.env, **how)

    def semaphores(self) -> Semaphores:
        """The semaphores in that directory, without a start of the binary."""
        before = os.environ.get("IPCCTL_DIR")
        os.environ["IPCCTL_DIR"] = str(self.directory)
        try:
            return Semaphores()
        finally:
            os.environ.pop("IPCCTL_DIR")
            os.environ.update({} if before is None else {"IPCCTL_DIR": before})

    def state(self, name: str = "x") -> State:
        """What the kernel has on one."""
        return self.semaphores().get(name).state()

    def id(self, name: str = "x") -> int:
        """The kernel's ID of one."""
        return self.semaphores().get(name).id

    def start(self, *args: str, **how: Any) -> subprocess.Popen[str]:
        """Start `ipcctl sem`, with pipes; `stopping` ends it."""
        pipe = subprocess.PIPE
        how = {"stdin": pipe, "stdout": pipe, "stderr": pipe, "text": True, "env": self.env} | how
        return subprocess.Popen([IPCCTL, "sem", *args], **how)

    def hold(self, *args: str) -> subprocess.Popen[str]:
        """Start one that holds a slot, and return when it does."""
        holder = self.start("run", *(args or ("x",)), "--", *HOLDING)
        assert holder.stdout and holder.stdout.readline() == "in\n", holder.stderr and holder.stderr.read()
        return holder

    def hold_later(self) -> subprocess.Popen[str]:
        """Start one that will hold a slot of x, as soon as one is free."""
        return self.start("run", "x", "--", *HOLDING)

    def line(self, name: str = "x") -> int:
        """How many stand in its line, `sem wait` among them."""
        id = self.id(name)
        return sysv.waiting(id, SLOTS) + ctypes.CDLL(None).semctl(id, HOLDERS, GETZCNT)

    def wait_for(self, name: str = "x", **wanted: int) -> None:
        """Wait until it is there and the kernel says so: held=2, waiting=1."""

        def is_so() -> bool:
            try:
                state = self.state(name)
            except (NotThere, sysv.Gone):
                return False
            return all(getattr(state, key) == value for key, value in wanted.items())

        wait_until(is_so, str(wanted))

    def close(self) -> None:
        """Remove what is left in the kernel."""
        end_semaphores(self.directory)


@contextlib.contextmanager
def ending(*processes: subprocess.Popen[str]) -> Iterator[None]:
    """End them after the block, those that still run by SIGKILL."""
    try:
        yield
    finally:
        for each in processes:
            if each.poll() is None:
                each.kill()
            each.communicate()


def close_other_fds(process: subprocess.Popen[str]) -> int:
    """Let a holder end; its status."""
    process.communicate()
    return process.returncode
