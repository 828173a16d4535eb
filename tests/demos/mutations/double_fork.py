"""`ipcctl double-fork`: its checks, and what breaks the subject of each."""

from __future__ import annotations

IDS = [
    "double-fork.parent-waits-first-child-only",
    "double-fork.grandchild-is-orphan",
    "double-fork.both-jobs-run",
    "double-fork.no-zombie",
    "double-fork.detached",
]

WAIT = "    reaped, wait_status = os.waitpid(first, 0)\n"
SECOND_FORK = "                    grandchild = os.fork()\n"
SETSID = "                    os.setsid()\n                    grandchild"
UNTIL_PARENT_ENDED = "os.waitid(os.P_PID, family.parent, os.WEXITED | os.WNOWAIT)"
# What the statement of a check speaks of, broken in one place: (check, the code, what stands there instead).
MUTATIONS = [
    ("parent-waits-first-child-only", WAIT, "    reaped, wait_status = first, 0\n"),
    ("parent-waits-first-child-only", SECOND_FORK, "                    grandchild = os.getpid()\n"),
    ("parent-waits-first-child-only", "looked_at.wait()", "os._exit(3)"),
    ("parent-waits-first-child-only", "looked_at.wait()", "looked_at.wait(); os.waitpid(grandchild, 0)"),
    ("grandchild-is-orphan", SECOND_FORK, "                    grandchild = os.getpid()\n"),
    ("grandchild-is-orphan", "with ending_child(STATUS):", "with ending_child():"),
    ("grandchild-is-orphan", "looked_at.wait()", "channel.send(0) or looked_at.wait(); os.waitpid(grandchild, 0)"),
    ("both-jobs-run", "grandchilds_s), nothing)", 'grandchilds_s), lambda: job("parent", parents_s))'),
    ("both-jobs-run", 'lambda: job("grandchild", grandchilds_s)', "nothing"),
    ("both-jobs-run", "done.send((who, start, time.monotonic()))", "done.send((who, start, start))"),
    ("no-zombie", WAIT, "    reaped, wait_status = first, 0\n"),
    ("no-zombie", "    stage.wait(family.grandchild)\n    zombies", "    zombies"),
    ("no-zombie", "    zombies = sum(", f"    stay.open()\n    {UNTIL_PARENT_ENDED}\n    zombies = sum("),
    ("detached", SETSID, "                    grandchild"),
    ("detached", SECOND_FORK, SECOND_FORK + "                    grandchild or os.setsid()\n"),
    ("detached", "        os.setsid()\n        os.open(parents", "        os.open(parents"),
    ("detached", "os.open(parents_terminal, os.O_RDWR)", "os.open(parents_terminal, os.O_RDWR | os.O_NOCTTY)"),
]
