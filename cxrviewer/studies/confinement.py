"""What the decoding child gives up before it sees a file: memory, core dumps, writing, the network, other programs.

All of it goes through the standard library and the C library; where the system has no such door, that part is left
out and `Confinement` says so.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from dataclasses import dataclass
from typing import Final

_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2
_RETURN_ALLOW: Final = 0x7FFF0000
_RETURN_EPERM: Final = 0x00050001

_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True)
class _Calls:
    """System call numbers of one architecture (include/uapi/linux/audit.h and the syscall tables of Linux).

    denied: socket, connect, bind, listen, accept, accept4, execve, execveat, ptrace, kill, io_uring_setup, openat2,
    and what changes a folder or a file by name (unlink, rename, link, symlink, mkdir, chmod, truncate and their
    relatives). opening: number of a call that opens a file -> offset of its flags in struct seccomp_data.
    """

    arch: int
    denied: tuple[int, ...]
    opening: tuple[tuple[int, int], ...]


_CALLS: Final = {
    "x86_64": _Calls(
        0xC000003E,
        (41, 42, 49, 50, 43, 288, 59, 322, 101, 62, 425, 437,
         76, 82, 83, 84, 85, 86, 87, 88, 90, 258, 263, 264, 265, 266, 268, 316),
        ((257, 32), (2, 24)),
    ),
    "aarch64": _Calls(
        0xC00000B7,
        (198, 203, 200, 201, 202, 242, 221, 281, 117, 129, 425, 437,
         34, 35, 36, 37, 38, 45, 53, 276),
        ((56, 32),),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Confinement:
    """What took hold: `memory` cap set; `namespace`: a network namespace of its own, without any interface;
    `filter`: sockets, other programs, signals to others and writing are refused by the kernel."""

    memory: bool
    namespace: bool
    filter: bool

    @property
    def offline(self) -> bool:
        """Whether the network is out of reach."""
        return self.namespace or self.filter


def leave_network() -> bool:
    """Move into a fresh, empty network namespace; to be called while the process has one thread (unshare(2))."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    unshare = getattr(libc, "unshare", None)
    return unshare is not None and unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0


def cap_memory(limit: int) -> bool:
    """Cap what the process can write to (RLIMIT_DATA: heap and private mappings, not mapped libraries); no cores."""
    try:
        import resource
    except ImportError:
        return False
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    except (OSError, ValueError):
        return False
    return True


def forbid_writing() -> None:
    """No file may grow (RLIMIT_FSIZE). Called once everything is imported."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def filter_calls() -> bool:
    """Refuse sockets, other programs, signals and writing from now on (seccomp(2)); True where the kernel took it."""
    calls = _CALLS.get(platform.machine())
    if not sys.platform.startswith("linux") or calls is None:
        return False
    program = _program(calls)
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    pointer = ctypes.create_string_buffer(header, len(header))
    zero = ctypes.c_ulong(0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero) != 0:
        return False
    mode = ctypes.c_ulong(_SECCOMP_MODE_FILTER)
    return bool(libc.prctl(_PR_SET_SECCOMP, mode, ctypes.byref(pointer), zero, zero) == 0)


def _program(calls: _Calls) -> bytes:
    """A classic BPF program over struct seccomp_data: another architecture or a denied call -> EPERM, else allow."""
    load, equal, at_least, any_bit, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    # Operation, operand; a test that holds jumps to the refusal at the end. x86-64 has a second set of numbers
    # (x32) from 0x40000000 on.
    tests = [(at_least, 0x40000000), *((equal, number) for number in calls.denied)]
    tail = 4 * len(calls.opening) + 1
    steps = [(load, 0, 0, 4), (equal, 1, 0, calls.arch), (answer, 0, 0, _RETURN_EPERM), (load, 0, 0, 0)]
    for i, (operation, operand) in enumerate(tests):
        steps.append((operation, len(tests) - i - 1 + tail, 0, operand))
    for i, (number, offset) in enumerate(calls.opening):
        left = 4 * (len(calls.opening) - i - 1) + 1
        steps += [
            (equal, 0, 3, number),
            (load, 0, 0, offset),
            (any_bit, 1 + left, 0, _WRITING),
            (load, 0, 0, 0),
        ]
    steps += [(answer, 0, 0, _RETURN_ALLOW), (answer, 0, 0, _RETURN_EPERM)]
    return b"".join(struct.pack("<HBBI", *step) for step in steps)
