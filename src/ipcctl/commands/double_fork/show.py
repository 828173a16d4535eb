"""`ipcctl double-fork` alone: the concept shown."""

from __future__ import annotations

from typing import Any

import click

from ...demos.columns import GENERATION_COLUMNS
from ...report.options import output_options
from ...report.output import Output
from ..arguments import Seconds
from ..command import Command
from ..running import show


class Jobs(click.ParamType):  # type: ignore[type-arg]
    """How long the two jobs of the demonstration take."""

    name = "seconds,seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """Two times in seconds; a usage error for anything else."""
        if isinstance(value, tuple):
            return value
        given = str(value).split(",")
        if len(given) != 2:
            self.fail(f"{value!r} is not two times; give the parent's job and the grandchild's, as 3,4", param, ctx)
        first, second = (Seconds(positive=True).convert(each, param, ctx) for each in given)
        return first, second


@click.command(cls=Command, starts_processes=True)
@click.option("--jobs", type=Jobs(), default="0.06,0.08", show_default=True, metavar="S,S",
              help="How long parent and grandchild work.")  # fmt: skip
@output_options(GENERATION_COLUMNS, source="double_fork")
def command(output: Output, jobs: tuple[float, float]) -> int:
    """Fork twice, and check every statement of the concept."""
    return show(output, "double-fork", jobs=jobs)
