"""`ipcctl pipe`: its checks, and what breaks the subject of each."""

from __future__ import annotations

IDS = [
    "pipe.duplex", "pipe.simplex", "pipe.recv-blocks-when-empty", "pipe.send-blocks-when-full", "pipe.order",
    "pipe.eof", "pipe.only-relatives",
]  # fmt: skip

# What the statement of a check speaks of, broken in one place: (check, the code, what stands there instead).
MUTATIONS = [
    ("duplex", "Pipe(duplex=True)\n", "Pipe(duplex=False)\n"),
    ("duplex", 'log.send(second, "from the child")', 'log.send(second, "from nobody")'),
    ("simplex", "Pipe(duplex=False)\n    with", "Pipe(duplex=True)\n    with"),
    (
        "recv-blocks-when-empty",
        'channel.send("receiving")\n                log.receive(receiving)',
        'channel.send("receiving")',
    ),
    ("send-blocks-when-full", "while True:\n            count +=", "for _ in range(1):\n            count +="),
    ("order", "for message in sent:\n", "for message in reversed(sent):\n"),
    ("eof", 'second.send("last words")', 'second.send("last words"); second.send("and more")'),
    ("eof", "    os.close(reading)\n    pid", "    pid"),
    ("eof", "signal.signal(signal.SIGPIPE, signal.SIG_DFL)", "pass"),
    ("only-relatives", "os.write({NUMBER},", 'os.write(os.open(f"/proc/{{os.getppid()}}/fd/{NUMBER}", os.O_WRONLY),'),
]
