"""`ipcctl queue`: the concept shown, or a queue that shells share by its name.

This file has the show, and what looks at a queue or changes it; putting, getting and working have one each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ...errors import EXIT_FALSE, EXIT_OK
from ...report.model import Column, Report
from ...report.options import output_options
from ...report.output import Output
from ..names import NAME_COLUMN, Concept, ObjectName, add_list_and_remove
from ..running import show
from ..wording import tell

if TYPE_CHECKING:
    from ...ipc.queue.queues import Queues

FIGURES = (
    Column("waiting", "integer", "messages that can be got"),
    Column("leased", "integer", "messages that are taken, and not done with yet"),
    Column("dead", "integer", "messages set aside after too many failures"),
    Column("put", "integer", "how many were ever put"),
    Column("got", "integer", "how many were ever got, or done by a worker"),
    Column("held_bytes", "integer", "bytes of the messages waiting and leased"),
    Column("oldest_s", "real", "how long the oldest message has been there"),
    Column("max", "integer", "the most messages it takes, waiting and leased; unknown where there is no bound"),
    Column("full", "boolean", "whether a put would have to wait"),
    Column("empty", "boolean", "whether no message is waiting or leased"),
    Column("closed", "boolean", "whether puts are refused"),
    Column("durable", "boolean", "whether it outlasts a power cut"),
)
SHOWN_IN_LIST = ("waiting", "leased", "dead", "max", "closed", "durable")
CREATED = Column("created", "time", "when it was made")


def queues() -> Queues:
    """Those of this user."""
    from ...ipc.queue.queues import Queues

    return Queues()


def notice(line: str) -> None:
    """Tell what was found and put right."""
    tell(line)


def tables() -> dict[str, tuple[Column, ...]]:
    """The column table of the show."""
    from ...demos.columns import QUEUED_COLUMNS

    return {"the concept": QUEUED_COLUMNS}


@click.group("queue", cls=Concept)
@click.option("--maxsize", type=click.IntRange(1, 500), default=3, show_default=True, metavar="N",
              help="Shown: the bound of the bounded queue.")
@click.option("--messages", type=click.IntRange(1, 10_000), default=12, show_default=True, metavar="N",
              help="Shown: how many messages are put, by each producer.")
@output_options(tables(), lambda given: "the concept", source="queue")
def command(output: Output, maxsize: int, messages: int) -> int:
    """See a queue: first in, first out, between processes.

    Alone, it runs producers and consumers for real and checks every statement of the concept.

    With a subcommand it works on a queue that shells share by its name: messages are bytes, up to 64 MiB each, and are
    there until somebody gets them. A message that `put` has acknowledged, by its status 0, outlasts the death of every
    process; in a queue made with --durable, a power cut too. It is given out in the order in which it came in, and is
    gone only when who got it is done with it: `get` when the message was printed, `work` when its command has ended
    with 0. Who is killed before gives back at once what it took, so a message may be seen twice then, and never not
    at all.
    """
    return show(output, "queue", maxsize=maxsize, messages=messages)


from . import put  # noqa: E402, F401 - each adds its commands to the group above, in the order of the help

# isort: split
from . import get, work  # noqa: E402, F401


@command.command("stat", short_help="Show a queue's figures.")
@output_options({"stat": (NAME_COLUMN, *FIGURES, CREATED)}, lambda given: "stat")
@click.argument("name", type=ObjectName(queues))
def stat(output: Output, name: str) -> int:
    """Show a queue's figures, all of one moment."""
    output.open()
    with queues().open(name, notice) as queue:
        row: dict[str, Any] = {"name": name, **queue.stat()}
    output.write(Report("queue", (NAME_COLUMN, *FIGURES, CREATED), summary=row, rows=[row], title=f"queue {name}"))
    return EXIT_OK


@command.command("close", short_help="Refuse puts from now on.")
@click.argument("name", type=ObjectName(queues))
def close(name: str) -> int:
    """Refuse puts from now on, with status 1.

    Those who get, or work, get what is left; then `get` ends with 1, and `get --follow` and `work` end.
    """
    with queues().open(name, notice) as queue:
        queue.close_to_puts()
    return EXIT_OK


@command.command("revive", short_help="Let messages that were set aside wait again.")
@click.argument("name", type=ObjectName(queues))
@click.argument("ids", nargs=-1, type=click.IntRange(1), metavar="[ID]...")
def requeue_dead(name: str, ids: tuple[int, ...]) -> int:
    """Put the messages that were set aside, all or those of these IDs, at the end of the queue, as new.

    A bound does not hold them up. `peek --dead --json` shows their IDs, and why they are there. The status is 1 when
    there are none.
    """
    with queues().open(name, notice) as queue:
        return EXIT_OK if queue.requeue_dead(ids) else EXIT_FALSE


def in_list(column: Column) -> Column:
    """The column as `list` has it."""
    return column.but(shown=True, in_table=column.name in SHOWN_IN_LIST)


add_list_and_remove(command, queues, tuple(map(in_list, FIGURES)))
