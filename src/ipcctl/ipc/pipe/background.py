"""What a pipeline's stages leave running goes on writing and reading, as under a shell: so its relay goes on, too."""

from __future__ import annotations

import os

from ...process.fds import close_all_but
from .relay import Relay


def relay_in_background(relay: Relay) -> None:
    """Fork a process that serves the links until they end, and holds on to nothing else. Raises OSError."""
    if os.fork() == 0:
        try:
            close_other_fds(relay)
            relay.on_end = lambda link: os._exit(0) if relay.links == {link} else None
            while True:
                relay.wait()  # signals change nothing: it ends when those have ended whom it serves
        finally:
            os._exit(0)
    for link in relay.links:
        relay.abandon(link)


def close_other_fds(relay: Relay) -> None:
    """Close every descriptor but the links' own, and leave the directory: nobody is to wait for this process."""
    kept = relay.descriptors
    relay.periodic.clear()
    relay.plan()
    close_all_but(kept)
    os.chdir("/")
