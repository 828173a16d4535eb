"""Demonstrate pipes: two ends, between relatives.  See pipe(7), socketpair(2), multiprocessing.Pipe.

    Pipe(duplex=False), os.pipe       Pipe(duplex=True): two sockets, each of them both
    second ──────bytes──────► first   first ◄──────bytes──────► second
    (writes)         (reads)
    full: the writer waits            every writing end closed: the reader sees the end of file
    empty: the reader waits           every reading end closed: a write is refused, EPIPE
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import struct
import termios
import time
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from ..process.procfs import path_of
from ..process.signals import signal_name
from .channels import ending_child
from .columns import MESSAGE_COLUMNS
from .harness import Demonstration, Evidence, Stage, wait_for_state

KINDS = ("Pipe(duplex=True)", "Pipe(duplex=False)", "os.pipe")
IN_ORDER = 5
MODES = {os.O_RDONLY: "reads", os.O_WRONLY: "writes", os.O_RDWR: "reads and writes"}
End = Connection | int  # of multiprocessing.Pipe, or a descriptor of os.pipe
demonstration = Demonstration("pipe", MESSAGE_COLUMNS)


class MessageLog:
    """Sends and receives through one pipe; what each process did comes together in the rows.

    A row is one message. Who sent it and who received it say so on a channel of their own, each for itself.
    """

    def __init__(self, stage: Stage, pipe: str) -> None:
        self.stage = stage
        self.pipe = pipe
        self.channel = stage.channel()

    def send(self, end: End, message: str) -> None:
        """end.send(message), or os.write(end, …) of the bare bytes."""
        begun = time.monotonic()
        if isinstance(end, int):
            os.write(end, message.encode())
        else:
            end.send(message)
        self.told("sent", message, begun)

    def receive(self, end: End, most: int = 1 << 16) -> str:
        """end.recv(), or os.read(end, most) of whatever bytes there are."""
        message: str = os.read(end, most).decode() if isinstance(end, int) else end.recv()
        self.told("received", message, time.monotonic())
        return message

    def told(self, what: str, message: str, moment: float) -> None:
        """Note that this process has sent or received a message."""
        self.channel.send((what, os.getpid(), message, moment))

    def rows(self) -> None:
        """Put what the processes told together; they have all ended."""
        messages: dict[str, dict[str, tuple[int, float]]] = {}
        for what, pid, message, moment in sorted(self.channel.recv_all(), key=lambda told: told[3]):
            messages.setdefault(message, {})[what] = (pid, moment)
            self.stage.event(pid, what, f"{message!r} by {self.pipe}", at=moment)
        for message, told in messages.items():
            sender, sent = told.get("sent", (None, None))
            receiver, received = told.get("received", (None, None))
            self.stage.results.append({
                "check": self.stage.rows[-1]["check"], "pipe": self.pipe, "message": message,
                "sender_pid": sender, "sender": self.role(sender), "receiver_pid": receiver,
                "receiver": self.role(receiver),
                "sent_ms": self.at(sent), "received_ms": self.at(received)})  # fmt: skip

    def role(self, pid: int | None) -> str | None:
        """Which process of the concept it is."""
        return None if pid is None else "parent" if pid == self.stage.pid else "child"

    def at(self, moment: float | None) -> float | None:
        """A moment from the start of the demonstration."""
        return None if moment is None else self.stage.since_begun(moment)


@contextlib.contextmanager
def logging_messages(stage: Stage, pipe: str) -> Iterator[MessageLog]:
    """A post whose rows are made at the end of the block."""
    log = MessageLog(stage, pipe)
    yield log
    log.rows()


def ends_of(stage: Stage, kind: str) -> tuple[End, End]:
    """A new pipe of that kind: the end to receive from, and the end to send into."""
    if kind != "os.pipe":
        return Pipe(duplex=kind == "Pipe(duplex=True)")
    reading, writing = os.pipe()
    stage.closing(reading)
    stage.closing(writing)
    return reading, writing


def number_of(end: End) -> int:
    """The descriptor of an end."""
    return end if isinstance(end, int) else end.fileno()


def mode_of(end: End) -> str:
    """What the kernel lets one do with an end: its access mode (fcntl(2), F_GETFL)."""
    return MODES[fcntl.fcntl(number_of(end), fcntl.F_GETFL) & os.O_ACCMODE]


def error_of(call: Callable[[], object]) -> str:
    """The error that a call raises, by the kernel's name where it is the kernel's."""
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno] if error.errno else "OSError"
    except EOFError:
        return "EOFError"
    return "no error"


@demonstration.check("pipe.duplex", "both ends send and receive (the two-way exchange)")
def duplex(stage: Stage) -> Evidence:
    """Each side sends before it receives: two messages are under way at once, one each way."""
    first, second = Pipe(duplex=True)
    with logging_messages(stage, "Pipe(duplex=True)") as log:
        pid = os.fork()
        if pid == 0:
            with ending_child():
                log.send(second, "from the child")
                log.receive(second)
        stage.record_process(pid, "child")
        log.send(first, "from the parent")
        log.receive(first)
        stage.wait(pid)
    received = [f"the {row['receiver']} received {row['message']!r}" for row in stage.results[-2:]]
    return Evidence(
        "first reads and writes, second reads and writes;"
        " the child received 'from the parent', the parent received 'from the child'",
        f"first {mode_of(first)}, second {mode_of(second)}; {', '.join(sorted(received))}",
    )


@demonstration.check(
    "pipe.simplex",
    "with duplex=False the first end only receives, the second only sends: the other way raises OSError",
)
def simplex(stage: Stage) -> Evidence:
    """Python refuses the other way; and so does the kernel, where it is asked past Python."""
    first, second = Pipe(duplex=False)
    with logging_messages(stage, "Pipe(duplex=False)") as log:
        pid = os.fork()
        if pid == 0:
            with ending_child():
                log.send(second, "one way")
        stage.record_process(pid, "child")
        stage.wait(pid)
        received = log.receive(first)
    by_python = f"{error_of(lambda: first.send('back'))}, {error_of(second.recv)}"
    by_kernel = f"{error_of(lambda: os.write(first.fileno(), b'!'))}, {error_of(lambda: os.read(second.fileno(), 1))}"
    return Evidence(
        "first reads, second writes; received 'one way'; the other way: OSError, OSError, past Python EBADF, EBADF",
        f"first {mode_of(first)}, second {mode_of(second)}; received {received!r};"
        f" the other way: {by_python}, past Python {by_kernel}",
    )


@demonstration.check("pipe.recv-blocks-when-empty", "receiving from an empty pipe waits until something is sent")
def recv_blocks_when_empty(stage: Stage) -> Evidence:
    """The child is asleep in its recv, or read(2); only then is the message sent."""
    found = [f"{kind}: {state_while_empty(stage, kind)}" for kind in KINDS]
    expected = "asleep (S) while it is empty, then received what was sent"
    return Evidence("; ".join(f"{kind}: {expected}" for kind in KINDS), "; ".join(found))


def state_while_empty(stage: Stage, kind: str) -> str:
    """How a child waits for the first message of a new pipe."""
    receiving, sending = ends_of(stage, kind)
    channel = stage.channel()
    with logging_messages(stage, kind) as log:
        pid = os.fork()
        if pid == 0:
            with ending_child():
                channel.send("receiving")
                log.receive(receiving)
        stage.record_process(pid, "child")
        channel.recv()
        state = wait_for_state(pid, "S Z")
        log.send(sending, "at last")
        stage.wait(pid)
    row = stage.results[-1]
    in_turn = row["received_ms"] is not None and row["sent_ms"] <= row["received_ms"]
    what = "then received what was sent" if in_turn else "received nothing after that"
    return f"{'asleep' if state == 'S' else 'not asleep'} ({state}) while it is empty, {what}"


@demonstration.check(
    "pipe.send-blocks-when-full", "sending into a full pipe waits until there is room (with the capacity, in bytes)"
)
def send_blocks_when_full(stage: Stage) -> Evidence:
    """A pipe holds what the kernel says it does (F_GETPIPE_SZ), a socket what its buffers take."""
    expected, observed = [], []
    for kind in KINDS:
        receiving, sending = ends_of(stage, kind)
        capacity = fill(number_of(sending))
        size = capacity if kind == "Pipe(duplex=True)" else fcntl.fcntl(number_of(sending), fcntl.F_GETPIPE_SZ)
        expected.append(f"{kind}: full with {size} bytes, the next sender asleep (S) until they are read")
        observed.append(f"{kind}: full with {capacity} bytes, {state_while_full(stage, kind, receiving, sending)}")
    return Evidence("; ".join(expected), "; ".join(observed))


def fill(descriptor: int) -> int:
    """Write until nothing more is taken; returns how many bytes were."""
    os.set_blocking(descriptor, False)
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            count += os.write(descriptor, bytes(4096))
    os.set_blocking(descriptor, True)
    return count


def state_while_full(stage: Stage, kind: str, receiving: End, sending: End) -> str:
    """How a child waits to send one more message; then all is read, and the message arrives."""
    held = waiting_bytes(number_of(receiving))
    channel = stage.channel()
    with logging_messages(stage, kind) as log:
        log.told("sent", f"{held} bytes", time.monotonic())
        pid = os.fork()
        if pid == 0:
            with ending_child():
                channel.send("sending")
                log.send(sending, "one more")
        stage.record_process(pid, "child")
        channel.recv()
        state = wait_for_state(pid, "S Z")
        left = held
        while left:
            left -= len(os.read(number_of(receiving), left))
        log.told("received", f"{held} bytes", time.monotonic())
        last = log.receive(receiving)
        stage.wait(pid)
    asleep = "asleep" if state == "S" else "not asleep"
    return f"the next sender {asleep} ({state}) {'until they are read' if last == 'one more' else 'for ever'}"


def waiting_bytes(descriptor: int) -> int:
    """How many bytes are in a pipe or socket, waiting to be read (FIONREAD)."""
    count: int = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))[0]
    return count


@demonstration.check("pipe.order", "messages come out in the order they went in")
def order(stage: Stage) -> Evidence:
    """Of os.pipe it is bytes that do: it does not know where one write ended, so each is read by its length."""
    sent = [f"message {i}" for i in range(1, IN_ORDER + 1)]
    found = []
    for kind in KINDS:
        receiving, sending = ends_of(stage, kind)
        with logging_messages(stage, kind) as log:
            pid = os.fork()
            if pid == 0:
                with ending_child():
                    for message in sent:
                        log.send(sending, message)
            stage.record_process(pid, "child")
            stage.wait(pid)  # they all fit into the pipe
            received = [log.receive(receiving, len(message)) for message in sent]
        found.append(f"{kind}: {'in order' if received == sent else received}")
    return Evidence("; ".join(f"{kind}: in order" for kind in KINDS), "; ".join(found))


@demonstration.check(
    "pipe.eof", "recv raises EOFError once every other end is closed; a write with no reader gets EPIPE"
)
def eof(stage: Stage) -> Evidence:
    """A copy of the sending end that somebody still holds, be it the reader itself, keeps the end of file away."""
    found = []
    for duplex in (True, False):
        first, second = Pipe(duplex=duplex)
        pid = os.fork()
        if pid == 0:
            with ending_child():
                second.send("last words")
        stage.record_process(pid, "child")
        stage.wait(pid)
        first.recv()
        before = "EOFError" if first.poll(0) else "waits"
        second.close()
        found.append(f"Pipe(duplex={duplex}): {before} while one is open, then {error_of(first.recv)}")
    found.append(f"os.pipe: {' and '.join(writing_to_nobody(stage))}")
    expected = [f"Pipe(duplex={duplex}): waits while one is open, then EOFError" for duplex in (True, False)]
    return Evidence("; ".join([*expected, "os.pipe: EPIPE and SIGPIPE"]), "; ".join(found))


def writing_to_nobody(stage: Stage) -> tuple[str, str]:
    """What a write gets when nobody is left who could read: with SIGPIPE ignored, as Python does, and without."""
    reading, writing = os.pipe()
    stage.closing(writing)
    os.close(reading)
    pid = os.fork()
    if pid == 0:
        with ending_child():
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.write(writing, b"to nobody")
    stage.record_process(pid, "child")
    wait_status = stage.wait(pid)
    ended = signal_name(os.WTERMSIG(wait_status)) if os.WIFSIGNALED(wait_status) else "no signal"
    return error_of(lambda: os.write(writing, b"to nobody")), ended


NUMBER = 200  # of a descriptor, well above those that an interpreter opens for itself
STRANGER = f"""
import errno, os, sys
sys.stdin.readline()
try:
    print(os.write({NUMBER}, b"from a stranger"))
except OSError as error:
    print(errno.errorcode[error.errno])
"""


@demonstration.check("pipe.only-relatives", "a process that did not inherit the descriptor cannot use it")
def only_relatives(stage: Stage) -> Evidence:
    """A pipe has no name. The fork has the descriptor; a program started afresh knows its number, which is nothing."""
    reading, writing = os.pipe()
    stage.closing(reading)
    try:
        number = fcntl.fcntl(writing, fcntl.F_DUPFD_CLOEXEC, NUMBER)
    except OSError as error:
        if error.errno == errno.EINVAL:  # so fcntl(2) says that no descriptor may have that number
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE)) from None
        raise
    finally:
        os.close(writing)
    stage.closing(number)
    pipe = os.readlink(f"/proc/self/fd/{number}")
    stranger = stage.python(STRANGER.replace(str(NUMBER), str(number)), "stranger")
    has_it = pipe in links_of(stranger.pid)
    assert stranger.stdin is not None
    stranger.stdin.write("now\n")
    stranger.stdin.flush()
    said = stage.ran(stranger)[1].strip()
    with logging_messages(stage, "os.pipe") as log:
        pid = os.fork()
        if pid == 0:
            with ending_child():
                log.send(number, "from a relative")
        stage.record_process(pid, "child")
        stage.wait(pid)
        received = log.receive(reading)
    return Evidence(
        "received 'from a relative'; the stranger has not this pipe, and its write gets EBADF",
        f"received {received!r}; the stranger has {'' if has_it else 'not '}this pipe, and its write gets {said}",
    )


def links_of(pid: int) -> set[str]:
    """What a process's descriptors are: pipe:[4711], /dev/null (proc(5))."""
    found = set()
    for name in os.listdir(path_of(pid, "fd")):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(path_of(pid, f"fd/{name}")))
    return found
