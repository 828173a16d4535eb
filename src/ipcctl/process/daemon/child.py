"""The daemon's own part of its start: from the second fork to exec.  See daemon(7), execve(2).

Errors go through a close-on-exec pipe; end of file without data means that exec succeeded.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from typing import NoReturn

from ...errors import EXIT_INTERNAL, LIMITS, BadInput, IpcctlError
from ..fds import close_all_but
from ..spawn import candidates, execute

EXEC = "exec"  # what is told instead of a status when it is exec that failed


class Account:
    """The user that a daemon is to run as, by numbers."""

    def __init__(self, name: str, uid: int, gid: int, groups: Sequence[int]) -> None:
        self.name = name
        self.uid = uid
        self.gid = gid
        self.groups = groups


class DaemonSpec:
    """What the daemon is to be. `streams` are our descriptors for its stdin, stdout and stderr.

    Paths are the caller's: they are looked up from its working directory. `umask` and `account` None: as they are.
    `log` is where one may read why it ended, for an error to say.
    """

    def __init__(
        self,
        argv: Sequence[str],
        streams: Sequence[int],
        chdir: str = "/",
        umask: int | None = None,
        account: Account | None = None,
        pidfile: str | None = None,
        environment: Mapping[str, str] | None = None,
        log: str | None = None,
    ) -> None:
        self.argv = argv
        self.streams = streams
        self.chdir = chdir
        self.umask = umask
        self.account = account
        self.pidfile = pidfile
        self.environment = os.environ if environment is None else environment
        self.log = log
        self.programs = absolute(candidates(argv[0]))  # the daemon will be in another directory


def absolute(paths: Sequence[str]) -> list[str]:
    """The paths from the root; relative ones are left out where the working directory was removed."""
    found = []
    for path in paths:
        try:
            found.append(path if path.startswith("/") else os.path.join(os.getcwd(), path))
        except FileNotFoundError:
            continue
    return found


def become(spec: DaemonSpec, failure: int) -> NoReturn:
    """In the second child: become what is planned. Never returns; `failure` is the pipe to tell on."""
    try:
        prepare(spec, failure)
        tell(failure, EXEC, str(execute(spec.programs, spec.argv, spec.environment)))
    except IpcctlError as error:
        tell(failure, str(error.status), str(error))
    except Exception as error:
        tell(failure, str(EXIT_INTERNAL), f"cannot start {spec.argv[0]!r}: {type(error).__name__}: {error}")
    finally:
        os._exit(EXIT_INTERNAL)


def tell(failure: int, kind: str, message: str) -> None:
    """Tell why there will be no daemon: an exit status, or EXEC and an errno."""
    os.write(failure, f"{kind}\n{message}".encode("utf-8", "surrogateescape"))


def prepare(spec: DaemonSpec, failure: int) -> None:
    """Take on all that the daemon is to have, up to exec."""
    for number, ours in enumerate(spec.streams):
        os.dup2(ours, number)
    close_all_but({0, 1, 2, failure})
    if spec.pidfile is not None:
        from .pidfile import claim

        claim(spec.pidfile)
    if spec.umask is not None:
        os.umask(spec.umask)
    if spec.account is not None:
        become_user(spec.account)
    try:
        os.chdir(spec.chdir)
    except OSError as error:
        why = f"cannot enter {spec.chdir!r}: {error.strerror}"
        raise BadInput(f"{why}; give `chdir` a directory that is there and may be searched") from None
    reset_signals()


def become_user(account: Account) -> None:
    """Take the user's groups, group and user ID, in this order: afterwards we may no more."""
    if os.geteuid() != 0:
        return  # it is our own, as was seen before
    try:
        os.setgroups(account.groups)
        os.setgid(account.gid)
        os.setuid(account.uid)
    except OSError as error:
        why = LIMITS.get(error.errno or 0, error.strerror)
        raise IpcctlError(f"cannot become user {account.name!r}: {why}; it takes CAP_SETUID and CAP_SETGID") from None


def reset_signals() -> None:
    """Give every signal its default effect, and block none: what is ignored would stay so over exec.

    The interpreter has asked the kernel for each when it started, but for two that the C library keeps for itself.
    """
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
