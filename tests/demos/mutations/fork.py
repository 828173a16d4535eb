"""`ipcctl fork`: its checks, and what breaks the subject of each."""

from __future__ import annotations

ARGUMENTS = ["fork", "--trials", "7"]
OPTIONS = {"trials": 3}
IDS = [
    "fork.returns-twice",
    "fork.failure-is-oserror",
    "fork.continues-after-fork",
    "fork.order-not-fixed",
    "fork.inherits-memory",
    "fork.memory-is-separate",
    "fork.copy-on-write",
    "fork.identity",
    "fork.process-record",
    "fork.states",
    "fork.os-exit-skips-cleanup",
    "fork.sys-exit-text",
    "fork.systemexit-can-be-caught",
    "fork.Process-attributes",
    "fork.Process-join-timeout",
    "fork.Process-own-memory",
    "fork.Process-daemon",
]

# What the statement of a check speaks of, broken in one place: (check, the code, what stands there instead).
MUTATIONS = [
    ("returns-twice", "channel.send(returned)", "channel.send(os.getpid())"),
    ("returns-twice", "returned = os.fork()", "returned = os.fork() and 1"),
    ("failure-is-oserror", "(0, 0))", "resource.getrlimit(resource.RLIMIT_NPROC))"),
    ("failure-is-oserror", "os._exit(errno_of_fork())", "errno_of_fork() and os.kill(os.getpid(), signal.SIGKILL)"),
    (
        "continues-after-fork",
        '    channel.send(("after", os.getpid()))\n    if pid == 0:\n        os._exit(0)\n',
        '    if pid == 0:\n        os._exit(0)\n    channel.send(("after", os.getpid()))\n',
    ),
    (
        "continues-after-fork",
        '    channel.send(("before", os.getpid()))\n    pid = os.fork()\n',
        '    pid = os.fork()\n    channel.send(("before", os.getpid()))\n',
    ),
    ("order-not-fixed", 'b"parent " if pid else b"child "', 'b"parent "'),
    (
        "order-not-fixed",
        'os._exit(0)\n    stage.record_process(pid, "child of a trial")',
        'os._exit(1)\n    stage.record_process(pid, "child of a trial")',
    ),
    (
        "inherits-memory",
        "    made = secrets.token_hex(8)\n    pid = os.fork()\n",
        "    pid = os.fork()\n    made = secrets.token_hex(8)\n",
    ),
    ("memory-is-separate", "            a = 10000\n", "            pass\n"),
    (
        "memory-is-separate",
        "    a = 1\n    pid = os.fork()\n",
        "    a = 1\n    a = 10000\n    pid = os.fork()\n",
    ),
    ("copy-on-write", "mmap.MAP_PRIVATE | ", "mmap.MAP_SHARED | "),
    ("copy-on-write", "write_each_page(memory, written_kib)", "write_each_page(memory, inherited_kib)"),
    (
        "identity",
        "channel.send((os.getpid(), os.getppid()))",
        "os.fork() and (os.wait(), os._exit(0))\n            channel.send((os.getpid(), os.getppid()))",
    ),
    ("process-record", "write_each_page(memory, filled_kib)", "pass"),
    (
        "process-record",
        "    earliest = time.clock_gettime(time.CLOCK_BOOTTIME)\n    pid = os.fork()\n",
        "    pid = os.fork()\n    signal.sigtimedwait([], 0.1)\n"
        "    earliest = time.clock_gettime(time.CLOCK_BOOTTIME)\n",
    ),
    ("states", "    os.kill(pid, signal.SIGSTOP)\n    wait_until_stopped(pid)\n", ""),
    ("states", "    while not end_of_spin.is_open():\n        pass\n", "    end_of_spin.wait()\n"),
    ("states", "    empty.wait()\n", "    while not empty.is_open():\n        pass\n"),
    ("states", "    wait_until_zombie(pid)\n    see", "    stage.wait(pid)\n    see"),
    ("os-exit-skips-cleanup", "    {leave}(7)", "    sys.exit(7)"),
    ("os-exit-skips-cleanup", "    {leave}(7)", "    os._exit(7)"),
    ("os-exit-skips-cleanup", 'end=" ")', 'end=" ", flush=True)'),
    ("os-exit-skips-cleanup", "    {leave}(7)", "    {leave}(8)"),
    ("sys-exit-text", "import sys; {call}", "import sys; sys.stderr = sys.stdout; {call}"),
    ("sys-exit-text", "import sys; {call}", "import os; os._exit(0); {call}"),
    ("systemexit-can-be-caught", "except SystemExit as", "except ValueError as"),
    ("systemexit-can-be-caught", '"and went on")', '"and went on")\n    raise'),
    ("Process-attributes", "sys.exit(a + b)", "sys.exit(a)"),
    ("Process-attributes", "sys.exit(a + b)", "os.kill(os.getpid(), signal.SIGTERM)"),
    ("Process-attributes", '    barrier.wait()\n    sys.exit', "    sys.exit"),
    ("Process-join-timeout", "process.join(timeout)", "barrier.open() or process.join()"),
    (
        "Process-own-memory",
        "process = Process(target=count_up, args=(channel,))",
        "count_up(channel)\n    process = Process(target=int)",
    ),
    ("Process-own-memory", "    counter += 1\n", ""),
    ("Process-daemon", "signal.pause, daemon=True", "signal.pause"),
    ("Process-daemon", "other = Process(target=work)", "other = Process(target=work, daemon=True)"),
]  # fmt: skip
