"""`ipcctl sem`: its checks, and what breaks the subject of each."""

from __future__ import annotations

ARGUMENTS = ["sem", "-n", "2", "--tasks", "5"]
IDS = [
    "sem.initial-value",
    "sem.acquire-decrements",
    "sem.release-increments",
    "sem.blocks-at-zero",
    "sem.at-most-n",
    "sem.all-finish",
]

# What the statement of a check speaks of, broken in one place: (check, the code, what stands there instead).
MUTATIONS = [
    ("initial-value", '.Semaphore(value)', '.Semaphore(value + 1)'),
    ("acquire-decrements", "        semaphore.acquire()\n        values", "        values"),
    ("release-increments", "                semaphore.release()\n", "                pass\n"),
    ("blocks-at-zero", "            semaphore.acquire()\n            channel.send(time",
     "            channel.send(time"),
    ("blocks-at-zero", "    semaphore = semaphore_of(0)\n    pid = os.fork()\n    if pid == 0:\n"
     "        with ending_child():\n            channel.send(sem",
     "    semaphore = semaphore_of(1)\n    pid = os.fork()\n"
     "    if pid == 0:\n        with ending_child():\n            channel.send(sem"),
    ("at-most-n", "        self.semaphore.acquire()\n", ""),
    ("at-most-n", "Turns(stage, semaphore_of(slots), tasks)", "Turns(stage, semaphore_of(slots - 1), tasks)"),
    ("at-most-n", "Turns(stage, semaphore_of(slots), tasks)", "Turns(stage, semaphore_of(slots + 1), tasks)"),
    ("all-finish", "                with semaphore:\n                    channel.send(number)",
     "                semaphore.acquire()\n                channel.send(number)"),
    ("all-finish", "                    channel.send(number)\n", "                    channel.send(0)\n"),
]  # fmt: skip
