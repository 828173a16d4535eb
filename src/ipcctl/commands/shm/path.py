"""`ipcctl shm path`: the file that other programs can map."""

from __future__ import annotations

import click

from ...errors import EXIT_OK
from ...report.sink import stdout
from ..command import Command
from ..names import ObjectName
from . import objects


@click.command(cls=Command)
@click.argument("name", type=ObjectName(objects))
def command(name: str) -> int:
    """Print the file in which it is, for a program that maps it itself; ipcctl-shm(1) has its layout."""
    from ...ipc.shm.shared import Shared

    shared = Shared(name)
    assert shared.ctype  # it is there, and whole
    out = stdout()
    out.write(shared.path + "\n")
    out.flush()
    return EXIT_OK
