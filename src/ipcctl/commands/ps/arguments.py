"""What selects processes, as types of options: PIDs, users, states, patterns."""

from __future__ import annotations

import re
from typing import Any

import click

from ...process.procfs import STATES

MOST_PIDS = 1 << 22  # the kernel's own limit on PIDs (PID_MAX_LIMIT)


class Pid(click.ParamType):  # type: ignore[type-arg]
    """The number of a process."""

    name = "pid"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; a usage error for what can be no PID."""
        if not re.fullmatch("[0-9]{1,9}", str(value), re.ASCII) or not 1 <= int(value) <= MOST_PIDS:
            self.fail(f"{value!r} is no PID; give a number from 1 to {MOST_PIDS}", param, ctx)
        return int(value)


class User(click.ParamType):  # type: ignore[type-arg]
    """A user, by name or number."""

    name = "user"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The user ID; a usage error for a name that nobody has."""
        import pwd

        if isinstance(value, int):
            return value
        if re.fullmatch("[0-9]{1,10}", value, re.ASCII) and int(value) < 1 << 32:
            return int(value)
        try:
            return pwd.getpwnam(value).pw_uid
        except (KeyError, ValueError, UnicodeError):
            self.fail(f"no user {value!r}; give a name from the password database (getent passwd), or a number",
                      param, ctx)  # fmt: skip


class States(click.ParamType):  # type: ignore[type-arg]
    """State letters, with commas between them or without."""

    name = "states"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> frozenset[str]:
        """The letters; a usage error for one that is no state."""
        letters = [letter.strip() for letter in value.split(",")] if "," in value else list(value)
        unknown = [letter for letter in letters if letter not in STATES]
        if unknown or not letters:
            there = "; ".join(f"{letter} {words}" for letter, words in STATES.items())
            self.fail(f"no state {''.join(unknown[:1])!r}; there are: {there}", param, ctx)
        return frozenset(letters)


class Pattern(click.ParamType):  # type: ignore[type-arg]
    """A regular expression."""

    name = "pattern"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> re.Pattern[str]:
        """The expression compiled; a usage error for one that is wrong."""
        try:
            return re.compile(value)
        except (re.error, RecursionError, OverflowError) as error:
            self.fail(f"{value!r} is no regular expression: {error}", param, ctx)
