"""`ipcctl ps states`: its checks, and what breaks the subject of each."""

from __future__ import annotations

import os

ARGUMENTS = ["ps", "states"]
IDS = ["ps.tree", "ps.states", "ps.parallel-concurrent"]

LOWER = "os.setpriority(os.PRIO_PROCESS, pid, lowered)"
NOT_HERE = {LOWER: "all has a low priority here"} if os.getpriority(os.PRIO_PROCESS, 0) > 0 else {}
# What the statement of a check speaks of, broken in one place: (check, the code, what stands there instead).
MUTATIONS = [
    ("tree", "if len(line) == generations:\n", "if len(line) < 3: os._exit(0)\n            else:\n"),
    ("tree", "setdefault(each, []).append(parent)", "setdefault(each, []).extend([parent, 1])"),
    ("tree", "(parent := stats[path[-1]].ppid) in stats", "(parent := stats[path[-1]].pgrp) in stats"),
    ("states", "        os.posix_spawn(", "        os.open(fifo, os.O_RDONLY)\n        os.posix_spawn("),
    ("states", "        opening = (os.POS", "        signal.pause()\n        opening = (os.POS"),
    ("states", "pid, signal.SIGSTOP)\n    os.waitid", "pid, signal.SIGCONT)\n    0 and os.waitid"),
    ("states", "    return child(spin)", "    return sleeping(kept)"),
    ("states", "    pid = child(lambda ready: ready())\n    wait_until_zombie(pid)", "    pid = child(idle)"),
    ("states", "pid, terminal = os.forkpty()",
     "terminal, tty = os.openpty(); pid = os.fork() or os.dup2(tty, 1) - 1"),
    ("states", "os.setpriority(os.PRIO_PROCESS, pid, -5)", "pass"),
    ("states", LOWER, "pass"),
    ("states", "threading.Thread(target=threading.Event().wait, daemon=True).start()", "pass"),
    ("states", "        os.setsid()\n", "        os.setpgid(0, 0)\n"),
    ("states", "    shown = marked_state(stat, locked=False)", "    shown = stat.state"),
    ("parallel-concurrent", "        if after == before:", "        if True:"),
    ("parallel-concurrent", "    while not flag[0]:", "    while signal.pause():"),
    # For less than a time slice, however many want the processor: nobody is switched out so often.
    ("parallel-concurrent", "    while any(times_switched_out(pid)", "    while 0 and any(times_switched_out(pid)",
     "    while not flag[0]:", "    for _ in range(99):"),
    ("parallel-concurrent", "for _ in range(2 * processors + 1)]", "for _ in range(processors)]"),
]  # fmt: skip
