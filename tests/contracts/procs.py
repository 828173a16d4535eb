"""Every /proc that ipcctl may find, each made in a PID and a mount namespace of its own, which end all that is in them.

    done = inside("subset=pid", "ipcctl ps; echo $?", shared)     # a shell script, run there to its end

The script is run by no PID 1. Where /proc hides others' processes it is run by an unprivileged user, else by root.
"""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import DEADLINE_S, IPCCTL, NOBODY, clean_environment


@dataclass(frozen=True)
class Proc:
    """One /proc: the commands that mount it, and whether PIDs of the namespace can be looked up in it."""

    name: str
    mount: str
    own: bool = True
    hides: bool = False


PROCS = {
    each.name: each
    for each in (
        Proc("none", "mount -t tmpfs none /proc", own=False),
        Proc("foreign", "true", own=False),
        Proc("subset=pid", "mount -t proc -o subset=pid proc /proc"),
        Proc("hidepid=1", "mount -t proc -o hidepid=1 proc /proc", hides=True),
        Proc("hidepid=2", "mount -t proc -o hidepid=2 proc /proc", hides=True),
        Proc("hidepid=4", "mount -t proc -o hidepid=4 proc /proc", hides=True),
    )
}
OWN = [each.name for each in PROCS.values() if each.own]
NOT_OWN = [each.name for each in PROCS.values() if not each.own]
HIDING = [each.name for each in PROCS.values() if each.hides]

AS_NOBODY = f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups --inh-caps=-all --bounding-set=-all"
UNSHARE = ["unshare", "--pid", "--mount", "--fork", "--kill-child", *(["--map-root-user"] if os.geteuid() else [])]


def interpreter_for_everybody() -> str:
    """The commands that let an unprivileged user reach the interpreter where it is in somebody's home."""
    closed = next((each for each in Path(sys.base_prefix).parents if not each.stat().st_mode & 0o001), None)
    if closed is None:
        return ""
    below = f"{closed}/{Path(sys.base_prefix).relative_to(closed)}"
    return (
        f"d=$(mktemp -d) && mount --bind '{sys.base_prefix}' $d && mount -t tmpfs -o mode=755 none '{closed}'"
        f" && mkdir -p '{below}' && mount --move $d '{below}' && rmdir $d"
    )


def arguments(name: str, script: str) -> list[str]:
    """The arguments by which a script is run where /proc is that."""
    proc = PROCS[name]
    prepare = [proc.mount] + ([interpreter_for_everybody()] if proc.hides else [])
    run = f"{AS_NOBODY if proc.hides else ''} sh -c {shlex.quote(script)}"
    return [*UNSHARE, "sh", "-c", " && ".join(filter(None, prepare)) + f" || exit 99; {run}; exit $?"]


def environment(shared: Path) -> dict[str, str]:
    """The environment there: `ipcctl` is found, what is named lives in the directory `names` of the shared one."""
    path = f"{Path(IPCCTL).parent}:{os.environ.get('PATH', os.defpath)}"
    return clean_environment(IPCCTL_DIR=f"{shared}/names", PATH=path, SHARED=str(shared))


@functools.cache
def why_not(name: str) -> str | None:
    """Why such a /proc cannot be made here; None where it can."""
    with subprocess.Popen(
        arguments(name, "ipcctl --version"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/",
        env=environment(Path("/nowhere")),
    ) as process:  # fmt: skip
        said = process.communicate(timeout=DEADLINE_S)[0]
    return None if process.returncode == 0 else f"no /proc with {name} can be made here: {said.strip()}"


def inside(name: str, script: str, shared: Path, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a script where /proc is that; skips where such a /proc cannot be made."""
    if (reason := why_not(name)) is not None:
        pytest.skip(reason)
    how = {"stdin": subprocess.DEVNULL, "capture_output": True, "timeout": DEADLINE_S, "check": False} | how
    return subprocess.run(arguments(name, script), env=environment(shared), cwd="/", text=True, **how)
