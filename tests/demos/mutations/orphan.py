"""`ipcctl orphan`: its checks, and what breaks the subject of each."""

from __future__ import annotations

from support import IPCCTL

# Orphans fall to the nearest subreaper above: here that is `ipcctl orphan -- …`, which waits for them as an init does.
INIT = ["orphan", "-q", "--", IPCCTL]
ARGUMENTS = [*INIT, "orphan"]
WRAPPER = [IPCCTL, "orphan", "-q", "--"]
IDS = ["orphan.adopted", "orphan.runs-on", "orphan.adopter-reaps", "orphan.subreaper"]

# What the statement of a check speaks of, broken in one place: (check, the code, what stands there instead).
MUTATIONS = [
    ("adopted", "self.channel.send(time.monotonic())", "self.channel.send(time.monotonic()) or self.barrier.wait()"),
    ("adopted", "self.channel.send((os.getpid(), os.getppid()))", "self.channel.send((os.getpid(), 1))"),
    (
        "adopted",
        "self.channel.send((time.monotonic(), os.getppid()))",
        "self.channel.send((time.monotonic(), os.getpid()))",
    ),
    ("runs-on", "self.channel.send(sum(range(1001)))", "pass"),
    ("runs-on", "self.channel.send(sum(range(1001)))", "self.channel.send(sum(range(1000)))"),
    (
        "adopter-reaps",
        "    orphan.finish()\n    state = orphan.reaped()\n    if",
        "    state = orphan.reaped()\n    if",
    ),
    ("subreaper", "    set_child_subreaper()\n    orphan", "    set_child_subreaper(False)\n    orphan"),
    ("subreaper", "with ending_child(7):\n            signal", "with ending_child(8):\n            signal"),
]
