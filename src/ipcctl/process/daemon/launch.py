"""Start a daemon, and know that it started.  See daemon(7), setsid(2).

    ipcctl ──fork──► first child: setsid ──fork──► the daemon-to-be: streams, pidfile, user, directory ──► exec
      │ ◄── its PID ────────┤ waits                     │
      │ ◄── why there will be no daemon ────────────────┤  (the pipe's end, as it is close-on-exec: exec succeeded)
      │ ◄── how it ended ───┤ if it did so already
      │ is it ready? has it lived for so long?
      ├──── let go ────────►┴ _exit: the daemon falls to its adopter
      └─► what the kernel says of it now

The first child, which leads the session, stays until all is known: as the parent it can tell how the daemon ended, and
until it waits for it, at the very end, the kernel keeps its record, and gives its PID to nobody else. While the daemon
is waited for it keeps below it, as a child subreaper, all that the daemon starts, in sessions of their own as well: so
all of that can be ended when the start fails. When ipcctl ends, by kill -9 too, the first child goes by itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NoReturn

from ...errors import EXIT_FALSE, EXIT_INTERNAL, EXIT_TIMED_OUT, LIMITS, BadInput, IpcctlError
from ..procfs import Stat, children_of, is_there, require, stat_of
from ..signals import SIG, Arrived, send_on
from .child import EXEC, Account, DaemonSpec, become, tell

if TYPE_CHECKING:
    from ..session import Session
    from ..window import Window
    from .notify_socket import NotifySocket

NULL = "/dev/null"
ENDS_START = {SIG.SIGINT, SIG.SIGQUIT, SIG.SIGTERM}  # the daemon with it; a HUP is the daemon's to act on


class DidNotStart(IpcctlError):
    """There is no daemon: it ended too early, or was not ready in time and was ended."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Launch:
    """One start of a daemon; when `start` has returned, what is known of it.

    `record` is the kernel's, from its second parent on: of the daemon as it fell to its adopter, or of the zombie that
    it was by then. `wait_status` is there when it had ended. `out_of_reach` is what was left of a start that failed, as
    it may not be signalled. Times in seconds.
    """

    def __init__(self, spec: DaemonSpec, grace_s: float = 5.0) -> None:
        self.spec = spec
        self.grace_s = grace_s
        self.pid = 0
        self.record: Stat | None = None
        self.wait_status: int | None = None
        self.took_s = 0.0
        self.out_of_reach: list[Stat] = []
        self._sessions: list[Stat] = []  # that it and its descendants were in when the first child was let go
        self._begun = 0.0
        self._heard = b""
        self._first_child = 0
        self._news = self._failure = self._leash = -1

    def start(
        self,
        window: Window,
        ready: NotifySocket | None = None,
        ready_within_s: float | None = None,
        alive_for_s: float | None = None,
    ) -> None:
        """Start it, and return when it runs: or is ready, or has lived for so long, where that is asked for.

        `window` is entered, and gives `hand_on` its signals but for those of ENDS_START.
        Raises Interrupted, CannotStart, BadInput, AlreadyRunning, DidNotStart, NoProc; then nothing of it is left, nor
        a pidfile.
        """
        require("a daemon could not be found again")
        self._begun = time.monotonic()
        try:
            self._fork(adopts=ready is not None or alive_for_s is not None)
            self._see_exec(window)
            if ready is not None:
                self._see_ready(window, ready, ready_within_s)
            if alive_for_s is not None:
                self._see_alive(window, alive_for_s)
            self.took_s = round(time.monotonic() - self._begun, 6)
            self.record = record_of(self.pid, self._first_child)
            self._sessions = sessions_below(self._first_child)
            self._let_go()
        except BaseException:
            self.undo()
            raise

    def hand_on(self, info: Arrived) -> None:
        """Hand a signal to the daemon; not what the terminal sent, from which a daemon is detached.

        Only while the first child is there, which does not wait for it yet: the PID can be nobody else's.
        """
        if self.pid and self._first_child and self.wait_status is None and not info.from_terminal:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                send_on(info, self.pid)

    @property
    def adopted(self) -> Stat | None:
        """The daemon's record now that the first child is gone; None when it has ended since."""
        now = stat_of(self.pid)
        if now is None and self.record and is_there(self.pid):  # hidden
            from ..unseen import in_session

            return self.record if in_session(self.record) else None
        return now if now and self.record and now.start_ticks == self.record.start_ticks else None

    def _fork(self, adopts: bool) -> None:
        self._news, news = os.pipe()
        self._failure, failure = os.pipe()
        leash, self._leash = os.pipe()
        self._first_child = os.fork()
        if self._first_child == 0:
            os.close(self._leash)  # or the pipe would never come to its end
            first_child(self.spec, news, failure, leash, adopts)
        for each in (news, failure, leash):
            os.close(each)
        if self._hear():
            self.record = record_of(self.pid, self._first_child)

    def _hear(self) -> bool:
        """Take in what the first child has to tell: the daemon's PID, then its wait status. False at the end."""
        if self.wait_status is not None:  # that was all, though the pipe stays open
            return False
        raw = os.read(self._news, 64)
        self._heard += raw
        lines = self._heard.split(b"\n")[:-1]
        if lines:
            self.pid = int(lines[0])
        if len(lines) > 1:
            self.wait_status = int(lines[1])
        return bool(raw)

    def _see_exec(self, window: Window) -> None:
        """Return once exec succeeded; raise what kept the daemon from it."""
        told = b""
        while window.wait([self._failure]) and (raw := os.read(self._failure, 1 << 16)):
            told += raw
        if not told:
            return
        while self._hear():  # it ends now, and lets go of its pidfile
            pass
        kind, _, message = told.decode("utf-8", "surrogateescape").partition("\n")
        if kind == EXEC:
            from ..spawn import cannot_start

            raise cannot_start(self.spec.argv[0], OSError(int(message), os.strerror(int(message))))
        raise DidNotStart(message, int(kind))

    def _see_ready(self, window: Window, ready: NotifySocket, within_s: float | None) -> None:
        deadline = None if within_s is None else self._begun + within_s
        session = self.record.session if self.record else 0
        while not ready.ready:
            ended = self.wait_status is not None
            found = [self._news] if ended else window.wait([ready.fileno(), self._news], deadline)
            ready.receive(session)
            if not found:
                last = f"; its last word was {ready.message!r}" if ready.message else ""
                raise DidNotStart(f"not ready within {within_s:g} s, so it was ended{last}", EXIT_TIMED_OUT)
            if self._news in found and not ready.ready:
                self._ended_early("before it was ready")

    def _see_alive(self, window: Window, alive_for_s: float) -> None:
        if self.wait_status is not None or window.wait([self._news], self._begun + alive_for_s):
            self._ended_early(f"within {alive_for_s:g} s")

    def _ended_early(self, when: str) -> NoReturn:
        """Raise DidNotStart, with how it ended."""
        from ..wait_status import decode

        self._hear()
        if self.wait_status is None:
            raise IpcctlError("the process that waits for the daemon was killed; so the daemon was ended")
        code, name, _ = decode(self.wait_status)
        how = f"ended by {name}" if name else f"exited with {code}"
        hint = "; a command that goes to the background by itself must be told to stay" if code == 0 else ""
        log = f"; it may say why in {self.spec.log!r}" if self.spec.log and code != 0 else ""
        raise DidNotStart(f"{self.spec.argv[0]!r} {how} {when}{hint}{log}", EXIT_FALSE)

    def _let_go(self) -> None:
        """Let the first child go, which is waited for."""
        if not self._first_child:
            return
        os.close(self._leash)
        while self._hear():
            pass
        os.waitpid(self._first_child, 0)
        self._first_child = 0
        os.close(self._news)
        os.close(self._failure)

    def undo(self) -> None:
        """End the daemon and all that it started, and remove its pidfile."""
        from ..terminate import Descendants, end_set
        from .pidfile import remove

        if self._first_child:  # which is of the daemon's process group: it is not to be killed with that
            self.out_of_reach, _ = end_set(Descendants(of=self._first_child), self.grace_s, groups=False)
        self._let_go()
        for each in sessions_of((*self._sessions, *sessions_below(self.pid))):
            self.out_of_reach += end_set(each, self.grace_s)[0]
        if self.spec.pidfile is not None:
            with contextlib.suppress(IpcctlError):
                remove(self.spec.pidfile, self.pid)


def first_child(spec: DaemonSpec, news: int, failure: int, leash: int, adopts: bool) -> NoReturn:
    """Lead a new session, fork the daemon, and wait until it ends or `leash` comes to its end.

    `adopts`: be the adopter of what the daemon starts.
    """
    try:
        os.setsid()
        if adopts:
            from ..run import adopt_orphans

            adopt_orphans()
        ended = ends_of_children()
        daemon = os.fork()
        if daemon == 0:
            become(spec, failure)
        os.close(failure)
        os.write(news, b"%d\n" % daemon)
        wait_status = None
        while wait_status is None and leash not in select.select([leash, ended], [], [])[0]:
            os.read(ended, 64)
            wait_status = ended_with(daemon)
        wait_status = ended_with(daemon) if wait_status is None else wait_status
        if wait_status is not None:
            os.write(news, b"%d\n" % wait_status)
            select.select([leash], [], [])
            os.waitpid(daemon, 0)
    except OSError as error:
        tell(failure, str(EXIT_INTERNAL), LIMITS.get(error.errno or 0) or str(error.strerror))
    finally:
        os._exit(0)


def ends_of_children() -> int:
    """A descriptor that can be read when a child ended or stopped (signal(7), SIGCHLD)."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    return reading


def ended_with(pid: int) -> int | None:
    """Return the wait status of a child, which is not waited for yet; None while it lives. Reaps others till then."""
    from ..wait_status import wait_status_of

    while (other := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and other.si_pid != pid:
        os.waitpid(other.si_pid, 0)
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return None if found is None else wait_status_of(found)


def record_of(pid: int, ppid: int) -> Stat | None:
    """Return the record of a child of that parent; what is known of it without, where /proc hides it."""
    found = stat_of(pid)
    if found is None and is_there(pid):
        from ..unseen import unseen

        found = unseen(pid, ppid)
    return found


def sessions_below(pid: int) -> list[Stat]:
    """For each session that descendants of a process are in, one of them."""
    found: dict[int, Stat] = {}
    for each in descendants_of(pid):
        if each.session not in found or each.pid == each.session:  # where its leader is among them, that stands for it
            found[each.session] = each
    return list(found.values())


def sessions_of(processes: Iterable[Stat]) -> Iterator[Session]:
    """The sessions that these are, or were, in; none whose ID was given to another since, with a younger leader."""
    from ..session import Session

    for each in processes:
        leader = stat_of(each.session)
        if leader is None or leader.start_ticks <= each.start_ticks:
            yield Session(each)


def descendants_of(pid: int) -> Iterator[Stat]:
    """Every process below another, without a look at all others where the kernel lists the children of each."""
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        below = [found for child in children_of(parent) if (found := record_of(child, parent))]
        yield from below
        waiting += [each.pid for each in below]


def open_streams(stdout: str, stderr: str) -> list[int]:
    """Descriptors for a daemon's stdin, stdout and stderr: nothing to read, and two files to append to."""
    out = open_log(stdout)
    return [os.open(NULL, os.O_RDONLY | os.O_CLOEXEC), out, out if stderr == stdout else open_log(stderr)]


def open_log(path: str) -> int:
    """Open a file to append to, made if need be. Raises BadInput where that cannot be."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY | os.O_CLOEXEC
    try:
        log = os.open(path, flags | os.O_NONBLOCK, 0o666)  # or opening a FIFO would wait for its reader
    except (OSError, ValueError) as error:
        number = getattr(error, "errno", None)
        if number in LIMITS or number in (errno.ENOSPC, errno.EDQUOT):
            raise IpcctlError(f"cannot write to {path!r}: {LIMITS.get(number) or os.strerror(number)}") from None
        why = "it is a FIFO that nobody reads" if number == errno.ENXIO else getattr(error, "strerror", None) or error
        raise BadInput(f"cannot write to {path!r}: {why}; give a file in a directory you may write to") from None
    os.set_blocking(log, True)
    return log


def account_of(name: str) -> Account:
    """The user of that name or number, as USER or USER:GROUP. Raises BadInput for one that we cannot be."""
    import grp
    import pwd

    user, _, group = name.partition(":")
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
        gid = entry.pw_gid
        if group:
            gid = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except (KeyError, OverflowError):
        what = f"no user {user!r}" if not group else f"no user {user!r} or no group {group!r}"
        raise BadInput(f"{what}; `getent passwd` and `getent group` list those there are") from None
    if os.geteuid() not in (0, entry.pw_uid):
        raise BadInput(f"only root may start a daemon as {entry.pw_name!r}; leave `user` out, or do it as root")
    return Account(entry.pw_name, entry.pw_uid, gid, os.getgrouplist(entry.pw_name, gid))
