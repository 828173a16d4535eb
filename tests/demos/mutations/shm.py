"""`ipcctl shm`: its checks, and what breaks the subject of each."""

from __future__ import annotations

IDS = [
    "shm.child-write-visible",
    "shm.private-is-not",
    "shm.overwrites",
    "shm.lost-updates",
    "shm.lock-keeps-all",
    "shm.array-from-list",
    "shm.array-from-size",
    "shm.array-from-bytes",
    "shm.array-iterates",
    "shm.faster-than-pipe",
]

ELSEWHERE = ["lost-updates"]
# What the statement of a check speaks of, broken in one place: (check, the code, what stands there instead).
MUTATIONS = [
    (
        "child-write-visible",
        'number, numbers = Value("i", 0), Array("i", 3)',
        "number, numbers = ctypes.c_int(0), (ctypes.c_int * 3)(); number.get_obj = lambda: number",
    ),
    ("child-write-visible", "numbers[:] = [1, 2, 3]", "pass"),
    (
        "private-is-not",
        "number, numbers = ctypes.c_int(0), (ctypes.c_int * 3)()",
        'number, numbers = context.RawValue("i"), context.RawArray("i", 3)',
    ),
    ("overwrites", "    channel.send(number.value)\n    number.value = value", "    channel.send(number.value)"),
    ("overwrites", "number.value = value", "number.value += value"),
    (
        "lock-keeps-all",
        "        with balance.get_lock():\n            balance.value += amount",
        "        seen = balance.value\n        os.sched_yield()\n        balance.value = seen + amount",
    ),
    ("array-from-list", 'Array("i", [1, 2, 3]), stage.channel()', 'Array("i", [1, 2, 4]), stage.channel()'),
    ("array-from-list", "array[:] = [2 * each for each in array]", "list(array)[:] = [2 * each for each in array]"),
    ("array-from-size", 'Array("d", 5), stage.channel()', 'Array("d", 4), stage.channel()'),
    ("array-from-bytes", "array[0] = array[0].upper()", "array[1] = array[1].upper()"),
    ("array-iterates", "total += each", "total = each"),
    ("faster-than-pipe", "        memory[:] = data\n        given", "        memory[:-1] = data[1:]\n        given"),
    ("faster-than-pipe", "min(by_pipe) / min(by_memory)", "min(by_memory) / min(by_pipe)"),
]
