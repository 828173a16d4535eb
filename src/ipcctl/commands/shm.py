"""`ipcctl shm`: shared memory shown, or values that shells share: set, get, add, cas, wait, list, remove."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import click

from ..errors import EXIT_FALSE, EXIT_OK, BadInput
from ..report.model import Column
from ..report.options import output_options
from ..report.output import Output
from ..report.sink import stdout
from .arguments import Seconds
from .names import Concept, ObjectName, add_list_and_remove
from .running import show

if TYPE_CHECKING:
    from ..ipc.registry import Registry
    from ..ipc.shm.ctype import CType, Value

Item = tuple[str, int | None]  # a name, and which of its values
MOST_UPDATES = 1_000_000
CODES = "bBhHiIlLqQfdcu"
OPERATORS = (">=", "<=", "==", "!=", ">", "<", "=")
FIGURES = (
    Column("ctype", "text", "the C type of its values, by multiprocessing's code"),
    Column("values", "integer", "how many values it has"),
    Column("value", "text", "what it holds; of many values the first"),
    Column("size_bytes", "integer", "how large the file is that is mapped"),
    Column("path", "text", "that file, for programs in other languages", in_table=False),
)
NUMBERS = {"ignore_unknown_options": True}  # -5 is a number


def objects() -> Registry:
    """Every shared value."""
    from ..ipc.shm.shared import SharedValues

    return SharedValues()


class ItemName(ObjectName):
    """NAME, or NAME[INDEX] for one value of an array."""

    name = "name[index]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The name, and the index or None; a usage error for what is neither."""
        if isinstance(value, tuple):
            return value
        name, bracket, index = value.partition("[")
        if bracket and not re.fullmatch(r"[0-9]{1,18}\]", index, re.ASCII):
            self.fail(f"{value!r} has no index; give NAME[INDEX], from 0", param, ctx)
        return super().convert(name, param, ctx), int(index[:-1]) if bracket else None


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


def tables() -> dict[str, tuple[Column, ...]]:
    """The column tables by what shm does."""
    from ..demos.columns import EXPERIMENT_COLUMNS

    return {"the concept": EXPERIMENT_COLUMNS}


class Shm(Concept):
    """The concept; the man page has the layout of its files."""

    @property
    def sections(self) -> dict[str, str]:
        """The sections of its own in the man page: what the module that makes the files says of them."""
        from ..ipc.shm import memory

        text = str(memory.__doc__).replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
        return {"LAYOUT": f".nf\n{text.strip()}\n.fi"}


@click.group("shm", cls=Shm)
@click.option("--updates", type=click.IntRange(1, MOST_UPDATES), default=20_000, show_default=True, metavar="N",
              help="How many updates each process makes in the race.")  # fmt: skip
@output_options(tables(), lambda given: "the concept", source="shm")
def command(output: Output, updates: int) -> int:
    """See memory that several processes share: the race for it, and the lock.

    Alone, it shows the concept with multiprocessing's Value and Array, and checks every statement of it.

    Its subcommands are values that shells share, by name: each step is whole to every other process, and a process that
    is killed at any instant leaves neither a lock nor half a value. They are there until removed, or until the reboot
    (or the last logout, where systemd-logind has RemoveIPC=yes).
    """
    return show(output, "shm", updates=updates)


item = click.argument("item", type=ItemName(objects), metavar="NAME[[INDEX]]")
code = click.option("--ctype", type=click.Choice(list(CODES)), metavar="CODE",
                    help=f"The C type, by multiprocessing's code: one of {' '.join(CODES)}.  [default: the one that it"
                         " has; for a new one q, a 64-bit integer, or d for numbers that are no integers]")  # fmt: skip


@command.command("set", short_help="Let it hold a value, or an array of them.", context_settings=NUMBERS)
@code
@click.option("--bytes", "from_stdin", is_flag=True, help="The values' bytes come from stdin, as C has them: ctype c.")
@item
@click.argument("values", nargs=-1, type=click.UNPROCESSED, metavar="VALUE...")
def set_values(item: Item, values: tuple[str, ...], ctype: str | None, from_stdin: bool) -> int:
    """Let it hold a value; several make an array. It is made if it is not there.

    All values change at once: nobody sees some new and some old. NAME[INDEX] is one of those that an array has. A
    number that the ctype does not hold is an error. The ctype stays until it is removed; how many values there
    are may change.
    """
    from ..ipc.registry import NotThere
    from ..ipc.shm.ctype import CType, fitting_for
    from ..ipc.shm.shared import Shared

    name, index = item
    shared = Shared(name)
    if from_stdin == bool(values):
        raise click.UsageError("give either values or --bytes, which reads them from stdin")
    if index is not None:
        return set_one(shared, index, values, ctype)
    try:
        known = CType(ctype) if ctype else shared.ctype
    except NotThere:
        known = CType("c") if from_stdin else fitting_for(values)
    shared.set(known, bytes_of_stdin(known) if from_stdin else known.pack([known.parse(each) for each in values]))
    return EXIT_OK


def set_one(shared: Any, index: int, values: tuple[str, ...], ctype: str | None) -> int:
    """Change one value of an array."""
    if len(values) != 1 or ctype:
        raise click.UsageError("NAME[INDEX] takes one VALUE, of the ctype that the array has")
    shared.store(values[0], index)
    return EXIT_OK


def bytes_of_stdin(ctype: CType) -> bytes:
    """All of stdin. Raises BadInput where it is no whole number of values."""
    with open(0, "rb", closefd=False) as stdin:
        raw = stdin.read()
    if len(raw) % ctype.size:
        raise BadInput(f"stdin has {len(raw)} bytes; give whole values, {ctype.size} bytes each for ctype {ctype}")
    return raw


@command.command("get", short_help="Print its value, or its values, one a line.")
@click.option("--bytes", "as_bytes", is_flag=True, help="Print the values' bytes, as C has them.")
@item
def get(item: Item, as_bytes: bool) -> int:
    """Print its value, or its values, one a line; NAME[INDEX] is one of an array.

    Characters (ctype c and u) are printed as they are, with nothing between or after them.
    """
    from ..ipc.shm.shared import Shared

    name, index = item
    if as_bytes and index is not None:
        raise click.UsageError(f"--bytes prints all values; leave [{index}] out")
    shared = Shared(name)
    return printed_raw(shared.get_bytes()) if as_bytes else printed(shared.get(index))


def printed(values: list[Value]) -> int:
    """Print values as a script reads them."""
    from ..ipc.shm.ctype import text_of

    out = stdout()
    for each in values:
        out.write(text_of(each) + ("" if isinstance(each, (str, bytes)) else "\n"))
    out.flush()
    return EXIT_OK


def printed_raw(raw: bytes) -> int:
    """Print bytes."""
    out = stdout()
    out.write(raw.decode("utf-8", "surrogateescape"))
    out.flush()
    return EXIT_OK


@command.command("add", short_help="Add a number to it, and print the sum.", context_settings=NUMBERS)
@code
@item
@click.argument("number", type=click.UNPROCESSED, metavar="N")
def add(item: Item, number: str, ctype: str | None) -> int:
    """Add N to it, and print the sum: one step, that no other process comes between.

    Where it is not there it is made, and N is what it holds. A sum that the ctype does not hold is an error, and
    changes nothing.
    """
    from ..ipc.shm.ctype import CType, fitting_for
    from ..ipc.shm.shared import Shared

    name, index = item
    return printed([Shared(name).add(number, index, CType(ctype) if ctype else fitting_for([number]))])


@command.command("cas", short_help="Compare and swap: change it if it is what it is thought to be.",
                 context_settings=NUMBERS)  # fmt: skip
@item
@click.argument("old", type=click.UNPROCESSED, metavar="OLD")
@click.argument("new", type=click.UNPROCESSED, metavar="NEW")
def cas(item: Item, old: str, new: str) -> int:
    """Let it be NEW if it is OLD, in one step, and print what it is now; status 1 if it was not OLD."""
    from ..ipc.shm.shared import Shared

    name, index = item
    swapped, value = Shared(name).cas(old, new, index)
    printed([value])
    return EXIT_OK if swapped else EXIT_FALSE


@command.command("wait", short_help="Wait until its value is such, and print it.")
@click.option("--until", "condition", type=Condition(), required=True, metavar="CONDITION",
              help="What it is waited for to be: >=, <=, ==, !=, > or <, and a value; as '>=10'.")
@click.option("--timeout", type=Seconds(), help="Wait so long at most; status 124.")
@item
def wait(item: Item, condition: tuple[str, str], timeout: float | None) -> int:
    """Wait until its value is such as CONDITION says, and print it. Takes no processor time until it changes.

    It is an error if it is not there, or is removed meanwhile. A program that stores into the mapping itself wakes
    nobody by that; it does with futimens(2) or write(2), or by closing the file.
    """
    import operator

    from ..ipc.shm.shared import Shared

    name, index = item
    symbol, operand = condition
    compare = {">=": operator.ge, "<=": operator.le, "!=": operator.ne, ">": operator.gt, "<": operator.lt}
    holds = compare.get(symbol, operator.eq)
    deadline = None if timeout is None else time.monotonic() + timeout
    return printed([Shared(name).wait(lambda ctype, value: holds(value, ctype.parse(operand)), index, deadline)])


add_list_and_remove(command, objects, FIGURES)


@command.command("path", short_help="Print the file that other programs can map.")
@click.argument("name", type=ObjectName(objects))
def path(name: str) -> int:
    """Print the file in which it is, for a program that maps it itself; ipcctl-shm(1) has its layout."""
    from ..ipc.shm.shared import Shared

    shared = Shared(name)
    assert shared.ctype  # it is there, and whole
    out = stdout()
    out.write(shared.path + "\n")
    out.flush()
    return EXIT_OK
