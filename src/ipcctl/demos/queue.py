"""Demonstrate the queue: first in, first out, between processes.  See pipe(7), sem_overview(7).

    producer ──put()──► feeder thread ──► pipe ──► get() ──► consumer
                ▲                                   │
                └── a semaphore of maxsize ◄────────┘  a message that is in takes one, a get gives it back

put() only hands the message to a thread of its process, which writes it into the pipe. So here the processes that put
are children: they have ended, with all that they put in the pipe, when they were joined; and nobody forks a process
that has threads.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from queue import Empty, Full
from typing import Any

from .channels import Barrier, Channel
from .columns import QUEUED_COLUMNS
from .harness import Demonstration, Evidence, Skip, Stage

MAXSIZE, MESSAGES = 3, 12  # where no other numbers are asked for
TIMEOUT_S = 0.02
PRODUCERS = CONSUMERS = 2

demonstration = Demonstration("queue", QUEUED_COLUMNS)
context = multiprocessing.get_context("fork")
Message = tuple[object, int, float]  # what it is, who put it, and when (time.monotonic)


def new_queue(maxsize: int = 0) -> Queue[Any]:
    """A queue; its semaphores want a /dev/shm."""
    try:
        return context.Queue(maxsize)
    except (OSError, ImportError) as error:
        raise Skip(f"no POSIX semaphores here: {error}; a sandbox without /dev/shm has none") from None


def start(stage: Stage, role: str, target: Callable[..., None], *args: object) -> BaseProcess:
    """A process that runs the function."""
    process = context.Process(target=target, args=args)
    process.start()
    stage.record_process(process.pid, role)
    return process


def message(what: object) -> Message:
    """A message that says who put it, and when."""
    return what, os.getpid(), time.monotonic()


def put_all(queue: Queue[Any], what: Iterable[object]) -> None:
    """A target: put each."""
    for each in what:
        queue.put(message(each))


def got(stage: Stage, found: Message, consumer: int | None = None, at: float | None = None) -> Any:
    """Keep a row of a message that was got, now and here unless said otherwise; returns what it is."""
    what, producer, put_at = found
    now = time.monotonic() if at is None else at
    stage.results.append(
        {"check": stage.rows[-1]["check"], "message": str(what), "producer_pid": producer,
         "consumer_pid": consumer or stage.pid, "put_ms": stage.since_begun(put_at), "got_ms": stage.since_begun(now)}
    )  # fmt: skip
    return what


def outcome(call: Callable[..., object], *args: object, **how: Any) -> str:
    """What a call comes to: done, or the name of the exception that it raises."""
    try:
        call(*args, **how)
    except (Empty, Full, ValueError) as error:
        return type(error).__name__
    return "done"


def after_timeout(call: Callable[..., object], *args: object) -> str:
    """What a call with a timeout comes to, and whether it took that long."""
    began = time.monotonic()
    result = outcome(call, *args, timeout=TIMEOUT_S)
    early = "" if time.monotonic() - began >= TIMEOUT_S else ", too early"
    return f"{result} after its timeout{early}" if result != "done" else result


@demonstration.check("queue.fifo", "first in, first out")
def fifo(stage: Stage) -> Evidence:
    """One process puts numbers, another gets them."""
    queue, count = new_queue(), stage.options.get("messages", MESSAGES)
    producer = start(stage, "producer", put_all, queue, range(count))
    received = [got(stage, queue.get()) for _ in range(count)]
    stage.join(producer)
    return Evidence(in_short(list(range(count))), in_short(received))


def in_short(numbers: list[int]) -> str:
    """A list of numbers, told in a line: those that follow each other as a range."""
    rising = numbers == list(range(len(numbers)))
    return f"0 … {len(numbers) - 1} in order" if rising and len(numbers) > 1 else str(numbers)


@demonstration.check(
    "queue.request-handle", "pairs in, sums out; the handler ends after its timeout when no request comes any more"
)
def request_handle(stage: Stage) -> Evidence:
    """A client puts pairs on one queue and gets their sums from another; between them a handler."""
    requests, responses = new_queue(), new_queue()
    channel, told = stage.channel(), stage.channel()
    handler = start(stage, "handler", handle, requests, responses, told)
    client = start(stage, "client", ask, requests, responses, channel)
    pairs = channel.recv()
    for response in channel.recv():
        got(stage, response, client.pid)
    sums = [what for what, _, _ in channel.recv()]
    stage.join(client)
    ended = told.recv()
    stage.join(handler)
    return Evidence(
        f"sums {', '.join(str(a + b) for a, b in pairs)}; handler: Empty after its timeout, exit status 0",
        f"sums {', '.join(map(str, sums))}; handler: {ended}, exit status {handler.exitcode}",
    )


def ask(requests: Queue[Any], responses: Queue[Any], channel: Channel) -> None:
    """The client's part: three pairs."""
    pairs = [(1, 2), (30, 40), (500, -600)]
    for pair in pairs:
        requests.put(pair)
    found = [responses.get() for _ in pairs]
    for value in (pairs, found, found):
        channel.send(value)


def handle(requests: Queue[Any], responses: Queue[Any], told: Channel) -> None:
    """The handler's part: a sum for each pair, until the client is done and no pair has come for the timeout."""
    a, b = requests.get()
    while True:
        responses.put(message(a + b))
        began = time.monotonic()
        try:
            a, b = requests.get(timeout=TIMEOUT_S)
        except Empty:
            break
    early = "" if time.monotonic() - began >= TIMEOUT_S else ", too early"
    told.send(f"Empty after its timeout{early}")


@demonstration.check(
    "queue.maxsize",
    "full() is true at maxsize; put(block=False) raises Full; put(timeout) raises Full after the timeout",
)
def maxsize(stage: Stage) -> Evidence:
    """A producer fills the queue. Then one message is got, and one more can be put."""
    size = stage.options.get("maxsize", MAXSIZE)
    queue, channel, barrier = new_queue(size), stage.channel(), stage.barrier()
    producer = start(stage, "producer", fill, queue, size, channel, barrier)
    seen = channel.recv()
    got(stage, queue.get())
    barrier.open()
    then = channel.recv()
    stage.join(producer)
    return Evidence(
        f"after {size} put: full; put(block=False): Full; put(timeout): Full after its timeout; after 1 got: done",
        f"after {seen}; after 1 got: {then}",
    )


def fill(queue: Queue[Any], size: int, channel: Channel, barrier: Barrier) -> None:
    """The producer's part: put until it is full, see that it is, and try once more when it is not."""
    count = 0
    while count < size and not queue.full():
        queue.put(message(count))
        count += 1
    state = "full" if queue.full() else "not full"
    at_once = outcome(queue.put, message("too many"), block=False)
    later = after_timeout(queue.put, message("too many"))
    channel.send(f"{count} put: {state}; put(block=False): {at_once}; put(timeout): {later}")
    barrier.wait()
    channel.send(outcome(queue.put, message("one more"), block=False))


@demonstration.check(
    "queue.empty", "empty() is true; get(block=False) raises Empty; get(timeout) raises Empty after the timeout"
)
def empty(stage: Stage) -> Evidence:
    """An empty queue; then one message is put, and it is empty no more."""
    queue = new_queue()
    seen = f"{emptiness(queue)}; get(block=False): {outcome(queue.get, block=False)}"
    seen += f"; get(timeout): {after_timeout(queue.get)}"
    stage.join(start(stage, "producer", put_all, queue, ["one"]))
    then = emptiness(queue)
    found = got(stage, queue.get())
    return Evidence(
        "empty; get(block=False): Empty; get(timeout): Empty after its timeout; after 1 put: not empty, get: one",
        f"{seen}; after 1 put: {then}, get: {found}",
    )


def emptiness(queue: Queue[Any]) -> str:
    """What empty() says."""
    return "empty" if queue.empty() else "not empty"


@demonstration.check("queue.qsize", "qsize() counts what is waiting")
def qsize(stage: Stage) -> Evidence:
    """Several are put, and got one by one."""
    queue, count = new_queue(), 3
    sizes = [queue.qsize()]
    stage.join(start(stage, "producer", put_all, queue, range(count)))
    for _ in range(count):
        sizes.append(queue.qsize())
        got(stage, queue.get())
    sizes.append(queue.qsize())
    return Evidence("0; after 3 put: 3, 2, 1, 0", "{}; after 3 put: {}, {}, {}, {}".format(*sizes))


@demonstration.check(
    "queue.each-message-once", "several producers and consumers: every message is received exactly once"
)
def each_message_once(stage: Stage) -> Evidence:
    """Each consumer tells what it got; every producer's messages are counted over all of them."""
    queue, count = new_queue(), stage.options.get("messages", MESSAGES)
    channels = [stage.channel() for _ in range(CONSUMERS)]
    consumers = [start(stage, "consumer", consume, queue, channel) for channel in channels]
    wanted = [[f"{number}.{each}" for each in range(count)] for number in range(PRODUCERS)]
    producers = [start(stage, "producer", put_all, queue, each) for each in wanted]
    for each in producers:
        stage.join(each)
    stage.join(start(stage, "last producer", put_ends, queue))
    received: list[str] = []
    for consumer, channel in zip(consumers, channels, strict=True):
        for _ in range(channel.recv()):
            found, at = channel.recv()
            received.append(got(stage, found, consumer.pid, at))
        stage.join(consumer)
    lost = len({each for part in wanted for each in part} - set(received))
    twice = len(received) - len(set(received))
    return Evidence(
        f"{PRODUCERS * count} put, {PRODUCERS * count} received, 0 lost, 0 twice",
        f"{PRODUCERS * count} put, {len(received)} received, {lost} lost, {twice} twice",
    )


def consume(queue: Queue[Any], channel: Channel) -> None:
    """A consumer's part: get until the end is told; then tell how many there were, each message and when it came."""
    found = []
    while (each := queue.get()) is not None:
        found.append((each, time.monotonic()))
    for value in (len(found), *found):
        channel.send(value)


def put_ends(queue: Queue[Any]) -> None:
    """A target: tell every consumer that nothing comes any more."""
    for _ in range(CONSUMERS):
        queue.put(None)


@demonstration.check("queue.close", "a put after close raises")
def close(stage: Stage) -> Evidence:
    """What was put before the close still arrives."""
    queue, channel = new_queue(), stage.channel()
    producer = start(stage, "producer", put_and_close, queue, channel)
    after = channel.recv()
    stage.join(producer)
    return Evidence("ValueError; before it: arrived", f"{after}; before it: {got(stage, queue.get())}")


def put_and_close(queue: Queue[Any], channel: Channel) -> None:
    """The producer's part."""
    queue.put(message("arrived"))
    queue.close()
    channel.send(outcome(queue.put, message("refused")))
