"""Start a command, with what Python changed put back, and a failure told in the shell's terms.

By posix_spawn(3), or by execve(2) in our own place.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

from ..errors import EXIT_INTERNAL, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, LIMITS, CannotStart

# The interpreter ignores these; a command expects to be ended by them.
RESTORED_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)
LONGEST_ARGUMENT = 32 * os.sysconf("SC_PAGE_SIZE")  # MAX_ARG_STRLEN, execve(2)

Actions = Sequence[tuple[int, int, int]]
Environment = Mapping[str, str] | Mapping[bytes, bytes]


def spawn(
    argv: Sequence[str],
    *,
    redirect: Mapping[int, int] | None = None,
    mask: Iterable[int] = (),
    environment: Mapping[str, str] | None = None,
) -> int:
    """Start `argv`, found on PATH, and return its PID.

    `redirect` gives the command's descriptors by ours ({1: fd}); `mask` is the signal mask that it starts with.
    Raises CannotStart with the status that a shell would give: 127 not found, 126 not executable, 125 for a limit.
    """
    actions = [(os.POSIX_SPAWN_DUP2, ours, its) for its, ours in (redirect or {}).items()]
    return start(argv, actions, mask, os.environ if environment is None else environment)


def start(argv: Sequence[str], actions: Actions, mask: Iterable[int], env: Environment) -> int:
    """As `spawn`, with the file actions of posix_spawn(3) made already."""
    try:
        return spawn_exactly(argv, actions, mask, env)
    except OSError as error:
        if error.errno == errno.ENOEXEC and (path := found(argv[0])):
            # A script without #!: execvp(3) and every shell hand it to sh; posix_spawnp does not.
            return spawn_exactly(["/bin/sh", path, *argv[1:]], actions, mask, env)
        raise cannot_start(argv[0], error) from None
    except ValueError as error:  # a NUL byte inside an argument
        raise cannot_start(argv[0], error) from None


def spawn_exactly(argv: Sequence[str], actions: Actions, mask: Iterable[int], env: Environment) -> int:
    """posix_spawnp(3) itself. Raises OSError."""
    if not argv[0]:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return os.posix_spawnp(argv[0], list(argv), env, file_actions=actions, setsigmask=mask, setsigdef=RESTORED_SIGNALS)


def found(name: str) -> str | None:
    """The file that `name` stands for: as given when it has a slash, else the first on PATH."""
    if "/" in name:
        return name
    paths = candidates(name)
    return next((path for path in paths if os.access(path, os.X_OK) and not os.path.isdir(path)), None)


def candidates(name: str) -> list[str]:
    """The files that `name` may stand for, in the order in which execvp(3) tries them; none when it is empty."""
    if "/" in name:
        return [name]
    places = os.environ.get("PATH", os.defpath).split(":") if name else []
    return [os.path.join(place or ".", name) for place in places]


def execute(programs: Sequence[str], argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """execve(2), on each program that the name may stand for, as execvp(3) goes through PATH; the errno if it fails."""
    denied = 0
    for program in programs:
        try:
            os.execve(program, list(argv), environment)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError:
            denied = errno.EACCES
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                return error.errno or errno.EIO
            # A script without #!: execvp(3) and every shell hand it to sh.
            os.execve("/bin/sh", ["/bin/sh", program, *argv[1:]], environment)
    return denied or errno.ENOENT


def exec_command(argv: Sequence[str]) -> NoReturn:
    """Become the command, in this process, with what Python changed put back. Raises CannotStart."""
    for each in RESTORED_SIGNALS:
        signal.signal(each, signal.SIG_DFL)
    code = execute(candidates(argv[0]), argv, os.environ)
    for each in RESTORED_SIGNALS:  # as they were: what is wrong is still to be told
        signal.signal(each, signal.SIG_IGN)
    raise cannot_start(argv[0], OSError(code, os.strerror(code)))


def cannot_start(name: str, error: OSError | ValueError) -> CannotStart:
    """The error in words, with the remedy and the status. A ValueError is what no argument can have (a NUL byte)."""
    if isinstance(error, ValueError):
        return CannotStart(f"cannot start {name!r}: {error}", EXIT_NOT_EXECUTABLE)
    why, status = explain_start_error(name, error)
    return CannotStart(f"cannot start {name!r}: {why}", status, error.errno)


def explain_start_error(name: str, error: OSError) -> tuple[str, int]:
    """Why a program cannot be started, and the status."""
    if error.errno in LIMITS:
        return LIMITS[error.errno], EXIT_INTERNAL
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return explain_not_found(name), EXIT_NOT_FOUND
    if os.path.isdir(name) and "/" in name:
        return "it is a directory; name a program", EXIT_NOT_EXECUTABLE
    if isinstance(error, PermissionError):
        return "permission denied; is it executable (chmod +x), and may you search its directory?", EXIT_NOT_EXECUTABLE
    if error.errno == errno.E2BIG:
        most, in_all = LONGEST_ARGUMENT, os.sysconf("SC_ARG_MAX")
        why = f"the kernel takes {most} bytes an argument, and {in_all} with all arguments and the environment (E2BIG)"
        return f"its arguments are too long: {why}", EXIT_NOT_EXECUTABLE
    return error.strerror or str(error), EXIT_NOT_EXECUTABLE


def explain_not_found(name: str) -> str:
    """Not found: the name, or the interpreter that its first line asks for."""
    if not name:
        return "the command is empty; name a program"
    if os.path.exists(name) and "/" in name:
        return "its interpreter (the #! line, or the ELF loader) was not found"
    return "not found" if "/" in name else "not found on PATH; check the spelling, or give its path"
