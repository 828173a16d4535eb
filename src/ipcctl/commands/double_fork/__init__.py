"""`ipcctl double-fork`: the concept shown, or a daemon started, asked after, and stopped."""

from ..concept import Concept

command = Concept(
    __name__,
    """See the double fork: a grandchild that nobody needs to wait for.

    Alone, it forks twice for real and checks every statement of the concept against what the kernel shows.

    With COMMAND, it starts COMMAND as a daemon: in a session of its own, without a terminal, its input empty, no
    descriptor of ours open, signals at their defaults, the environment kept. It returns when COMMAND was executed (or
    is ready, or has lived for so long) and reports its PID on stdout. With --pidfile, a second start says that it runs
    already (status 1).
    """,
    use="start",
    verbs={
        "status": "Say whether the daemon of a pidfile runs: status 0, or 1 if not.",
        "stop": "End the daemon of a pidfile and its session; returns when they are gone.",
    },
    manual="""
    Status 126 or 127 says that COMMAND could not be executed. After any status but 0 nothing of it is left, unless
    nobody was there to read the report (141) or ipcctl was itself ended by SIGKILL: then the daemon runs on.

    While ipcctl waits for the daemon (--ready, --alive-for), TERM, INT and QUIT end it and all that it started. Any
    other signal that can be caught is handed on to it, a HUP too, but for CHLD, and what the terminal sends.
    """,
)
