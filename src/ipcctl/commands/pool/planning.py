"""What the options ask for, made into a plan."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ...errors import BadInput
from ...pool.arguments import Listed, Source, opened
from ...pool.jobs import FailedJobs, JobSource
from ...pool.scheduler import Plan
from ...pool.template import Template
from ...pool.throttle import Throttle
from .slots import slots_of

if TYPE_CHECKING:
    from ...pool.joblog import JobLog

GIVEN = ":::"


def planned(argv: Sequence[str], joblog: str | None, closing: ExitStack, **how: Any) -> tuple[Plan, JobLog | None]:
    """The plan, and the job log where there is one; `closing` closes it. Raises BadInput."""
    words, given = split(argv)
    if how["lines"] and words:
        raise BadInput(f"--lines takes whole commands as input, and no COMMAND; leave {words[0]!r} out")
    if not how["lines"] and not words:
        raise BadInput("no COMMAND; name one, or use --lines where each line is one")
    if given is not None and how["arg_file"]:
        raise BadInput(f"arguments come from --arg-file or after {GIVEN}, not both; leave one out")
    command = {"words": words, "shell": how["shell"], "lines": how["lines"], "max-args": how["max_args"]}
    log = None
    slots = slots_of(how["jobs"])
    if joblog is not None and not how["dry_run"]:
        from ...pool.joblog import JobLog

        log = JobLog(joblog, command, how["resume"] or how["retry_failed"])
        closing.callback(log.close)
    if how["retry_failed"]:
        assert log is not None, "they are checked to go together"
        jobs: JobSource = FailedJobs(log.failed())
    else:
        arguments = source(given, how["arg_file"], b"\0" if how["null"] else b"\n")
        jobs = JobSource(arguments, how["max_args"], how["unique"])
    if log is not None and how["resume"]:
        jobs.done = log.done()
    return filled(Plan(Template(words, how["shell"], how["lines"]), jobs, slots), **how), log


def split(argv: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """The command, and what follows `:::` where that is there."""
    words = list(argv)
    if GIVEN not in words:
        return words, None
    at = words.index(GIVEN)
    if GIVEN in words[at + 1 :]:
        raise BadInput(f"{GIVEN} is there twice; give all arguments after one")
    return words[:at], words[at + 1 :]


def source(given: list[str] | None, path: str | None, separator: bytes) -> Source:
    """Where the arguments come from."""
    return opened(path, separator) if given is None else Listed(given)


def filled(plan: Plan, **how: Any) -> Plan:
    """The plan with what the options say of how it is to be run."""
    plan.mode = mode_of(how)
    plan.in_order = how["keep_order"]
    plan.tagged = how["tag"]
    plan.timeout_s = how["timeout"]
    plan.grace_s = how["grace"]
    plan.retries = how["retries"]
    plan.delay_s = how["delay"]
    plan.halt = how["halt"]
    plan.throttle = Throttle(how["max_load"], how["memfree"])
    return plan


def mode_of(how: dict[str, Any]) -> str:
    """How output is passed on."""
    return next((mode.replace("_", "-") for mode in ("capture", "ungroup", "line_buffer") if how[mode]), "group")
