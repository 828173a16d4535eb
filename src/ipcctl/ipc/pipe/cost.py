"""What it costs to send bytes from one process to another: by kind of pipe, and by the size of a message.

    throughput   this process ──"!"──► child;   child ──message, message, message …──► this process
    round trip   this process ──message──► child ──the same back──► this process

Each size is measured in an interpreter of its own, which a signal can end with all that it started.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import socket
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from ...errors import IpcctlError
from ...process.cost import measured_apart, timed

DEFAULT_SIZES = (64, 4 << 10, 64 << 10, 1 << 20)
LARGEST = 64 << 20
TRIES = 5
TRY_BYTES, TRY_MESSAGES = 16 << 20, 4000  # one way a try sends as much as reaches the first of the two
ROUND_TRIPS, ROUND_TRIP_BYTES = 200, 64 << 20  # and of round trips there are as many, but three at least


def rows_of_costs(sizes: Sequence[int] | None = None) -> Iterator[dict[str, Any]]:
    """For each size of a message, in bytes, and each kind of pipe: a row of what it costs.

    Raises IpcctlError where it cannot be measured: too little memory, no directory for a FIFO.
    """
    for size in sizes or DEFAULT_SIZES:
        try:
            yield from measured_apart(__name__, size)
        except IpcctlError as error:
            raise IpcctlError(f"cannot measure with messages of {size} bytes: {error}") from None


def measure(size: int) -> None:
    """In the fresh interpreter: measure each kind of pipe, and print the rows as JSON."""
    print(json.dumps([row_of(method, make, size) for method, make in METHODS.items()]))


class Descriptors:
    """One side of a connection made of descriptors: what it reads from, and what it writes to."""

    def __init__(self, reading: int, writing: int) -> None:
        self.reading, self.writing = reading, writing

    def send(self, message: bytes) -> None:
        """The whole message."""
        sent = os.write(self.writing, message)
        while sent < len(message):
            sent += os.write(self.writing, memoryview(message)[sent:])

    def receive(self, size: int) -> None:
        """A message of that size. Raises EOFError when the other side has ended."""
        while size:
            found = os.read(self.reading, size)
            if not found:
                raise EOFError
            size -= len(found)

    def close(self) -> None:
        """Let go of it."""
        for each in {self.reading, self.writing}:
            os.close(each)


class OfMultiprocessing:
    """One side of a multiprocessing.Pipe, which knows how long a message is."""

    def __init__(self, connection: Connection) -> None:
        self.send: Callable[[bytes], None] = connection.send_bytes
        self.close = connection.close
        self._receive = connection.recv_bytes

    def receive(self, size: int) -> None:
        """The next message."""
        self._receive()


Side = Descriptors | OfMultiprocessing


def of_os_pipe() -> tuple[Side, Side]:
    """Two pipes, one each way (pipe(2))."""
    return crosswise(os.pipe(), os.pipe())


def of_socketpair() -> tuple[Side, Side]:
    """A pair of sockets (socketpair(2))."""
    ours, theirs = (each.detach() for each in socket.socketpair())
    return Descriptors(ours, ours), Descriptors(theirs, theirs)


def of_multiprocessing() -> tuple[Side, Side]:
    """multiprocessing.Pipe(duplex=True)."""
    ours, theirs = multiprocessing.Pipe(duplex=True)
    return OfMultiprocessing(ours), OfMultiprocessing(theirs)


def of_fifo() -> tuple[Side, Side]:
    """Two FIFOs, one each way (fifo(7)); the names are gone as soon as both ends are open."""
    with tempfile.TemporaryDirectory(prefix="ipcctl-") as directory:
        return crosswise(*(opened_fifo(os.path.join(directory, name)) for name in ("there", "back")))


def opened_fifo(path: str) -> tuple[int, int]:
    """Both ends of a new FIFO: a reader that does not wait for a writer comes first."""
    os.mkfifo(path, 0o600)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writing = os.open(path, os.O_WRONLY)
    os.set_blocking(reading, True)
    return reading, writing


def crosswise(there: tuple[int, int], back: tuple[int, int]) -> tuple[Side, Side]:
    """The two sides of two pipes, each given as its reading and its writing end."""
    return Descriptors(back[0], there[1]), Descriptors(there[0], back[1])


METHODS: dict[str, Callable[[], tuple[Side, Side]]] = {
    "os.pipe": of_os_pipe,
    "socketpair": of_socketpair,
    "multiprocessing.Pipe": of_multiprocessing,
    "FIFO": of_fifo,
}


class Amounts(NamedTuple):
    """How much is sent, by the size of a message."""

    size: int
    messages: int  # one way, in each try
    round_trips: int


def amounts_of(size: int) -> Amounts:
    """So much that each takes some hundredths of a second."""
    messages = max(min(TRY_BYTES // size, TRY_MESSAGES), 1)
    return Amounts(size, messages, max(min(ROUND_TRIP_BYTES // size, ROUND_TRIPS), 3))


def row_of(method: str, make: Callable[[], tuple[Side, Side]], size: int) -> dict[str, Any]:
    """Measure one kind of pipe with one size of message."""
    amounts = amounts_of(size)
    with answered(make, amounts) as side:
        one_way = [timed(lambda: take_all(side, amounts)) for _ in range(TRIES)]
        message = bytes(size)
        back = [timed(lambda: there_and_back(side, message)) for _ in range(amounts.round_trips)]
    return {
        "method": method,
        "message_bytes": size,
        "throughput_bytes_per_s": round(amounts.messages * size / statistics.median(one_way), 1),
        "round_trip_s": round(statistics.median(back), 9),
        "fastest_round_trip_s": round(min(back), 9),
        "messages": amounts.messages * TRIES,
        "round_trips": amounts.round_trips,
    }


@contextlib.contextmanager
def answered(make: Callable[[], tuple[Side, Side]], amounts: Amounts) -> Iterator[Side]:
    """Our side of a new connection, with a child on the other."""
    ours, theirs = make()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            answer(theirs, amounts)
        finally:
            os._exit(0)
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        os.waitpid(pid, 0)


def answer(side: Side, amounts: Amounts) -> None:
    """The child's part: send all, as often as it is asked to; then send each message back."""
    message = bytes(amounts.size)
    for _ in range(TRIES):
        side.receive(1)
        for _ in range(amounts.messages):
            side.send(message)
    for _ in range(amounts.round_trips):
        side.receive(amounts.size)
        side.send(message)


def take_all(side: Side, amounts: Amounts) -> None:
    """Ask for all messages, and receive them."""
    side.send(b"!")
    for _ in range(amounts.messages):
        side.receive(amounts.size)


def there_and_back(side: Side, message: bytes) -> None:
    """One round trip."""
    side.send(message)
    side.receive(len(message))

