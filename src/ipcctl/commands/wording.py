"""What the library says, in the words of the command line.

    library        queue 'q' is one of at most 3 messages, since its first put; `bound` 5 cannot change that
    command line   …; --max 5 cannot change that

In the library's messages a name in backticks is a parameter or a method of the Python API. A parameter has the name
that the command's option has in Python; a method has the name of the concept's verb. Anything else in backticks stays.
"""

from __future__ import annotations

import re

import click

from .concept import CONCEPT

QUOTED = r"`([a-z_]+)( [^`]*)?`"


def in_words_of(context: click.Context, message: str) -> str:
    """Return the message with the options and verbs of the command that is being run."""
    return re.sub(QUOTED, lambda match: spelled(context, match) or match[0], message)


def tell(line: str) -> None:
    """Say on stderr, as the command that is being run, what the library has to tell."""
    from ..report.sink import say

    context = click.get_current_context()
    concept = context.command_path.split(" ")[1]
    say(f"ipcctl {concept}: {in_words_of(context, line)}")


def spelled(context: click.Context, match: re.Match[str]) -> str | None:
    """Return what the command line calls a quoted name; None where it is none of its options or verbs."""
    name, rest = match[1], match[2] or ""
    if not rest:
        for each in context.command.params:
            if each.name == name and isinstance(each, click.Option):
                return max(each.opts, key=len)
    group = context.meta.get(CONCEPT, context)  # the verbs of the concept are meant
    if isinstance(group.command, click.Group) and name in group.command.list_commands(group):
        return f"`{group.command_path} {name}{rest}`"
    return None
