"""`ipcctl queue revive`: dead letters requeued."""

from __future__ import annotations

import click

from ...errors import EXIT_FALSE, EXIT_OK
from ..command import Command
from ..names import ObjectName
from . import notice, queues


@click.command(cls=Command)
@click.argument("name", type=ObjectName(queues))
@click.argument("ids", nargs=-1, type=click.IntRange(1), metavar="[ID]...")
def command(name: str, ids: tuple[int, ...]) -> int:
    """Requeue dead letters, all or those of these IDs, at the end of the queue, as new.

    A bound does not hold them up. `peek --dead --json` shows their IDs, and why they are there. The status is 1 when
    there are none.
    """
    with queues().open(name, notice) as queue:
        return EXIT_OK if queue.requeue_dead(ids) else EXIT_FALSE
