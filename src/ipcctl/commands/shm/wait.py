"""`ipcctl shm wait`: until a value meets a condition."""

from __future__ import annotations

import operator
import time
from typing import Any

import click

from ..arguments import Seconds
from ..command import Command
from .values import Item, item, printed

OPERATORS = (">=", "<=", "==", "!=", ">", "<", "=")


class Condition(click.ParamType):  # type: ignore[type-arg]
    """What a value is waited for to be: an operator, and what it is compared with."""

    name = "condition"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """The operator and the text after it; a usage error where there is none."""
        if isinstance(value, tuple):
            return value
        operator = next((each for each in OPERATORS if value.startswith(each)), "")
        operand = value[len(operator) :].strip()
        if not operator or not operand:
            there = " ".join(OPERATORS)
            self.fail(f"{value!r} is no condition; give one of {there} and a value, as '>=10'", param, ctx)
        return operator, operand


@click.command(cls=Command)
@click.option("--until", "condition", type=Condition(), required=True, metavar="CONDITION",
              help="What it is waited for to be: >=, <=, ==, !=, > or <, and a value; as '>=10'.")
@click.option("--timeout", type=Seconds(), help="Wait so long at most; status 124.")
@item
def command(item: Item, condition: tuple[str, str], timeout: float | None) -> int:
    """Wait until the value meets CONDITION, and print it. Takes no processor time until it changes.

    It is an error if it is not there, or is removed meanwhile. A program that stores into the mapping itself wakes
    nobody by that; it does with futimens(2) or write(2), or by closing the file.
    """
    from ...ipc.shm.shared import Shared

    name, index = item
    symbol, operand = condition
    compare = {">=": operator.ge, "<=": operator.le, "!=": operator.ne, ">": operator.gt, "<": operator.lt}
    holds = compare.get(symbol, operator.eq)
    deadline = None if timeout is None else time.monotonic() + timeout
    return printed([Shared(name).wait(lambda ctype, value: holds(value, ctype.parse(operand)), index, deadline)])
