"""`ipcctl queue work`: a command for each message."""

from __future__ import annotations

import click

from ...errors import BadInput
from ..arguments import Seconds
from ..command import OF_MANY
from ..names import CommandAfterDashes, ObjectName
from . import notice, queues


@click.command(cls=CommandAfterDashes, starts_processes=True, manual=OF_MANY)
@click.option("-j", "--jobs", type=click.IntRange(1, 10_000), default=1, show_default=True, metavar="N",
              help="Run so many at once.")
@click.option("--retries", type=click.IntRange(0, 1 << 31), default=3, show_default=True, metavar="N",
              help="Retry a message so often when COMMAND fails; then it is a dead letter.")
@click.option("--lease", type=Seconds(positive=True), metavar="SECONDS",
              help="End a COMMAND that takes longer; that is a failure.")
@click.option("--grace", type=Seconds(), default=5.0, show_default=True, help="Time between TERM and KILL.")
@click.option("--stdin", "on_stdin", is_flag=True, help="Give COMMAND the message on standard input.")
@click.option("--until-empty", is_flag=True, help="End when no message is left, also where the queue is not closed.")
@click.argument("name", type=ObjectName(queues))
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND [ARG]...")
def command(
    name: str, argv: tuple[str, ...], jobs: int, retries: int, lease: float | None, grace: float, on_stdin: bool,
    until_empty: bool,
) -> int:  # fmt: skip
    """Run COMMAND for each message, with the message in place of {} in its arguments.

    If COMMAND exits with 0 the message is acknowledged and deleted. Otherwise it is requeued at its old position; after
    the retries it becomes a dead letter, reported on stderr (see `queue revive`). COMMAND finds IPCCTL_QUEUE,
    IPCCTL_MESSAGE_ID and IPCCTL_ATTEMPT in its environment: a message may be tried again after its work was done,
    where a worker was killed in between, and the ID tells that it is the same one.

    The messages of a worker that is killed are requeued at once; the COMMANDs that it ran go on. Asked to end, by a
    signal, it ends its COMMANDs first, and their messages are requeued. The status is 1 when there was a dead letter.
    """
    if not on_stdin and not any("{}" in each for each in argv):
        raise BadInput("COMMAND has no {}, where the message is to stand; add it, or use --stdin")
    from ...ipc.queue.worker import Worker

    with queues().open_or_make(name, notice=notice) as queue:
        worker = Worker(queue, argv, jobs, retries, lease, grace, on_stdin, until_empty, notice)
        return worker.run()
