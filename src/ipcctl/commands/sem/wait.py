"""`ipcctl sem wait`: until nobody holds it."""

from __future__ import annotations

import time

import click

from ...errors import EXIT_OK, EXIT_TIMED_OUT
from ...report.sink import say
from ..arguments import Seconds
from ..command import Command
from ..names import ObjectName
from . import behave_as_a_command, semaphores


@click.command(cls=Command)
@click.argument("name", type=ObjectName(semaphores))
@click.option("--timeout", type=Seconds(), help="Wait for so long at most; status 124.")
def command(name: str, timeout: float | None) -> int:
    """Wait until nobody holds it, nor waits for it since before this.

    One that is not there is held by nobody.
    """
    from ...ipc.registry import NotThere

    try:
        found = semaphores().get_or_remake(name)
    except NotThere:
        return EXIT_OK
    behave_as_a_command()
    if found.wait_until_settled(None if timeout is None else time.monotonic() + timeout):
        return EXIT_OK
    say(f"ipcctl sem: {name!r} was still held after {timeout:g} s: {found.state().held} times")
    return EXIT_TIMED_OUT
