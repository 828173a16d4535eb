"""The queues of a user, by their names: the durable ones, and those that last until the reboot."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from ...errors import BadInput
from ..registry import Directory, Registry, state_directory
from .database import BESIDE, Notice, make, open_store, remove
from .queue import Queue


def last_written(path: str) -> float:
    """When the newest of a queue's files was written to (seconds since the epoch)."""
    found = []
    for end in ("", *BESIDE):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.stat(path + end).st_mtime)
    return max(found, default=0.0)


class Queues(Registry):
    """Those of this user: the durable ones, and those that last until the reboot. A name is one queue in both."""

    def __init__(self) -> None:
        self.durable = Directory("queue", state_directory(), above=True)
        self.passing = Directory("queue")
        super().__init__(self.passing, self.durable)

    def figures(self, name: str) -> dict[str, Any]:
        """What `list` shows of it. It was last used when any of its files was last written."""
        last_used = last_written(self.place_of(name).path(name))
        with self.open(name) as queue:
            return {**queue.stat(), "last_used": last_used}

    def remove(self, name: str) -> None:
        """Take it away; those who wait for it end with an error."""
        remove(self.place_of(name), name)

    def open(self, name: str, notice: Notice = lambda line: None) -> Queue:
        """A queue that is there. Raises NotThere."""
        place = self.place_of(name)
        return Queue(open_store(place, name, place is self.durable, notice))

    def open_or_make(self, name: str, durable: bool = False, notice: Notice = lambda line: None) -> Queue:
        """The queue, made if it is not there; where it is there, it stays where it is."""
        place = self.place_of(name)
        if durable and place is self.passing and name in place.names():
            remedy = f"`remove {name}` first, or leave `durable` out"
            raise BadInput(f"queue {name!r} is there, and not a durable one; {remedy}")
        if name not in place.names():
            place = self.durable if durable else self.passing
            make(place, name, durable)
        return Queue(open_store(place, name, place is self.durable, notice))
