"""`ipcctl zombie`: its checks, and what breaks the subject of each."""

from __future__ import annotations

ARGUMENTS = ["zombie", "-n", "4"]
OPTIONS = {"count": 3}
IDS = [
    "zombie.seen",
    "zombie.keeps-record-only",
    "zombie.cannot-be-killed",
    "zombie.wait-reaps",
    "zombie.avoid-wait",
    "zombie.avoid-waitpid-handler",
    "zombie.avoid-double-fork",
    "zombie.avoid-sigchld-ignored",
    "zombie.unreaped-accumulate",
    "zombie.parent-exit-clears",
]

# What the statement of a check speaks of, broken in one place: (check, the code, what stands there instead).
MUTATIONS = [
    (
        "seen",
        "    state = state_of(pid)\n    stage.wait(pid)\n    return Evidence(\"state Z\"",
        "    stage.wait(pid)\n    state = state_of(pid)\n    return Evidence(\"state Z\"",
    ),
    (
        "keeps-record-only",
        "    barrier.open()\n    exit_status = decode(wait_until_zombie(pid))[0]\n",
        "    exit_status = 7\n",
    ),
    ("keeps-record-only", "with ending_child(7):", "with ending_child(8):"),
    (
        "cannot-be-killed",
        '        os._exit(3)\n    stage.record_process(pid, "child")\n    wait_until_zombie(pid)\n',
        '        signal.pause()\n    stage.record_process(pid, "child")\n',
    ),
    ("wait-reaps", "channel.send(os.wait())", "channel.send(os.waitpid(pid, os.WNOHANG))"),
    ("wait-reaps", "with ending_child(5):", "with ending_child(6):"),
    ("avoid-wait", "os.wait() for _ in range(family.count)", "os.wait() for _ in range(family.count - 1)"),
    ("avoid-waitpid-handler", "while (ended := os.waitpid(-1, os.WNOHANG))[0]:", "if (ended := os.wait())[0]:"),
    ("avoid-waitpid-handler", "    signal.signal(signal.SIGCHLD, collect)\n", ""),
    (
        "avoid-double-fork",
        "            if os.fork() == 0:\n                family.child(number)\n            os._exit(0)\n"
        "        began = time.monotonic()\n        os.waitpid(first, 0)\n",
        "            family.child(number)\n        began = time.monotonic()\n",
    ),
    ("avoid-sigchld-ignored", "    signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n", ""),
    ("unreaped-accumulate", "    family.have_children()\n    family.send([])", "    family.have_children()\n"
     "    family.send([os.wait()])"),
    ("parent-exit-clears", "    family.have_children()\n    family.send([])", "    family.have_children()\n"
     "    family.send([os.wait()])"),
    ("parent-exit-clears", "    family.ended()\n    adopters", "    adopters"),
]  # fmt: skip
