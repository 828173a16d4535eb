"""`ipcctl queue`: its checks, and what breaks the subject of each."""

from __future__ import annotations

ARGUMENTS = ["queue", "--maxsize", "2", "--messages", "5"]
IDS = [
    "queue.fifo", "queue.request-handle", "queue.maxsize", "queue.empty", "queue.qsize",
    "queue.each-message-once", "queue.close",
]  # fmt: skip

# What the statement of a check speaks of, broken in one place: (check, the code, what stands there instead).
MUTATIONS = [
    ("fifo", "put_all, queue, range(count))\n    received", "put_all, queue, range(count)[::-1])\n    received"),
    ("request-handle", "responses.put(message(a + b))", "responses.put(message(a - b))"),
    ("request-handle", "a, b = requests.get(timeout=TIMEOUT_S)", "a, b = requests.get(timeout=TIMEOUT_S / 20)"),
    ("maxsize", "queue, channel, barrier = new_queue(size)", "queue, channel, barrier = new_queue(size + 1)"),
    ("maxsize", "    got(stage, queue.get())\n    barrier.open()", "    barrier.open()"),
    ("maxsize", "timeout=TIMEOUT_S)\n    early = ", "timeout=TIMEOUT_S / 20)\n    early = "),
    ("empty", 'seen = f"{emptiness(queue)}', 'queue.put(0); seen = f"{emptiness(queue)}'),
    ("empty", 'put_all, queue, ["one"]', 'put_all, queue, ["two"]'),
    ("qsize", "put_all, queue, range(count)))", "put_all, queue, range(count + 1)))"),
    ("each-message-once", "(len(found), *found)", "(len(found) + 1, *found, *found[:1])"),
    ("each-message-once", "(len(found), *found)", "(len(found) - 1, *found[1:])"),
    ("close", "    queue.close()\n", ""),
    ("close", 'queue.put(message("arrived"))', 'queue.put(message("another"))'),
]
