"""`ipcctl queue close`: no more puts."""

from __future__ import annotations

import click

from ...errors import EXIT_OK
from ..command import Command
from ..names import ObjectName
from . import notice, queues


@click.command(cls=Command)
@click.argument("name", type=ObjectName(queues))
def command(name: str) -> int:
    """Refuse puts from now on, with status 1.

    Those who get, or work, get what is left; then `get` ends with 1, and `get --follow` and `work` end.
    """
    with queues().open(name, notice) as queue:
        queue.close_to_puts()
    return EXIT_OK
