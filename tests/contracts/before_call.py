"""A signal in the instant before a system call: after whoever calls has looked for signals the last time.

    it sleeps in the call ─► stopped (ptrace(2)) ─► about to make the call again ─► the call is put off by one round:
    the kernel skips it, and the program is set back to the instruction that makes it ─► a signal is sent ─► let go

So the signal's handler has run, or the signal is pending, and the very next instruction is the call: a wait that relies
on being interrupted by the signal sleeps for ever. x86-64 alone; a process of ours must be ours to trace.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
from pathlib import Path

import pytest
from support import state_of, wait_until

CONT_STOP = 0x80  # PTRACE_O_TRACESYSGOOD: what is added to SIGTRAP at a system call
SEIZE, INTERRUPT, SYSCALL, DETACH = 0x4206, 0x4207, 24, 17
GETREGSET, SETREGSET, GET_SYSCALL_INFO, NT_PRSTATUS = 0x4204, 0x4205, 0x420E, 1
ENTRY = 1  # of struct ptrace_syscall_info
REGISTERS = 27  # of 8 bytes, in struct user_regs_struct
RAX, ORIG_RAX, RIP = 10, 15, 16
SYSCALL_BYTES = 2  # the instruction `syscall`
RESTART = 219  # restart_syscall(2): the kernel's, for a call that was interrupted
WAITS = {
    0: "read", 1: "write", 2: "open", 7: "poll", 23: "select", 35: "nanosleep", 61: "wait4", 72: "fcntl", 73: "flock",
    128: "rt_sigtimedwait", 202: "futex", 220: "semtimedop", 230: "clock_nanosleep", 232: "epoll_wait", 247: "waitid",
    257: "openat", 270: "pselect6", 271: "ppoll", 281: "epoll_pwait",
}  # fmt: skip


def needs_ptrace() -> None:
    """Skip where a process cannot be stopped like this."""
    if platform.machine() != "x86_64":
        pytest.skip("knows the registers of x86-64 alone")


class Tracer:
    """A child of ours, stopped and let go by ptrace(2)."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._libc = ctypes.CDLL(None, use_errno=True)

    def call(self, request: int, address: int = 0, data: object = 0) -> int:
        """ptrace(2). Raises OSError."""
        result: int = self._libc.ptrace(request, self.pid, ctypes.c_void_p(address), data)
        if result == -1:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result

    def seize(self) -> None:
        """Stop it, wherever it is."""
        try:
            self.call(SEIZE, 0, ctypes.c_void_p(1))  # TRACESYSGOOD
        except PermissionError:
            pytest.skip("a child may not be traced here")
        self.call(INTERRUPT)
        os.waitpid(self.pid, 0)

    def to_next_call(self) -> int | None:
        """Go on to where it makes, or has made, a system call: the number of one that it is about to make."""
        self.call(SYSCALL)
        _, status = os.waitpid(self.pid, 0)
        assert os.WIFSTOPPED(status), "it ended"
        if os.WSTOPSIG(status) != 5 | CONT_STOP:
            return None
        info = ctypes.create_string_buffer(96)
        self.call(GET_SYSCALL_INFO, len(info), info)
        kind, number = info.raw[0], struct.unpack_from("Q", info.raw, 24)[0]
        return int(number) if kind == ENTRY else None

    def registers(self) -> list[int]:
        """Its registers."""
        raw = ctypes.create_string_buffer(8 * REGISTERS)
        self._with(GETREGSET, raw)
        return list(struct.unpack(f"{REGISTERS}Q", raw.raw))

    def set_registers(self, values: list[int]) -> None:
        """Change them."""
        self._with(SETREGSET, ctypes.create_string_buffer(struct.pack(f"{REGISTERS}Q", *values), 8 * REGISTERS))

    def _with(self, request: int, raw: ctypes.Array[ctypes.c_char]) -> None:
        vector = (ctypes.c_size_t * 2)(ctypes.addressof(raw), len(raw))
        self.call(request, NT_PRSTATUS, vector)


def call_of(pid: int) -> int:
    """The system call that a process sleeps in; -1 for none (proc(5))."""
    try:
        words = Path(f"/proc/{pid}/syscall").read_text().split()
    except OSError:
        pytest.skip("the kernel does not tell in which system call a process is")
    return int(words[0]) if words and words[0].lstrip("-").isdigit() else -1


def until_waiting(pid: int) -> str:
    """Return the name of the call that it sleeps in, once it does so, and again and again a while later."""

    def asleep() -> str | None:
        first = call_of(pid), switches(pid)
        for _ in range(50):
            os.sched_yield()
        number = call_of(pid)
        settled = state_of(pid) == "S" and number in WAITS and first == (number, switches(pid))
        return WAITS[number] if settled else None

    found: str = wait_until(asleep, "that it waits")
    return found


def switches(pid: int) -> str:
    """How often it went to sleep."""
    return Path(f"/proc/{pid}/status").read_text().partition("voluntary_ctxt_switches:")[2].split()[0]


def signal_before_call(pid: int, number: int) -> str:
    """Send the signal in the instant before the call that it sleeps in; the name of that."""
    needs_ptrace()
    name = until_waiting(pid)
    tracer = Tracer(pid)
    tracer.seize()
    asleep_in = tracer.registers()[ORIG_RAX]
    while (about_to := tracer.to_next_call()) not in WAITS and about_to != RESTART:
        pass
    again = asleep_in if about_to == RESTART else about_to
    skipped = tracer.registers()
    skipped[ORIG_RAX] = (1 << 64) - 1
    tracer.set_registers(skipped)
    tracer.to_next_call()  # it has not made it
    back = tracer.registers()
    back[RAX], back[ORIG_RAX], back[RIP] = again, (1 << 64) - 1, back[RIP] - SYSCALL_BYTES
    tracer.set_registers(back)
    os.kill(pid, number)
    with contextlib.suppress(ProcessLookupError):
        tracer.call(DETACH)
    return name
