"""Which process works on a run, told so that another one that later gets its number is never taken for it (G19)."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_PROC = Path("/proc")
_DEAD = ("Z", "X")
_START_FIELD = 19
"""proc(5): field 22 of /proc/PID/stat, counted here from the state, which follows the name in brackets."""


@dataclass(frozen=True)
class Process:
    """A process of some machine. born: when it started, in that machine's own words; host: which machine, by digest."""

    pid: int
    born: str
    host: str

    @property
    def here(self) -> bool:
        """True where its number means something to this process: same machine, same boot, same container."""
        return self.host == this_host()

    @property
    def alive(self) -> bool:
        """True where it is here, not dead, and still the one that was meant."""
        return self.here and born_at(self.pid) == self.born


def this_process() -> Process:
    """The one that asks."""
    return process_of(os.getpid())


def process_of(pid: int) -> Process:
    """A process that runs here now. A dead one gets an empty birth, which no living one has."""
    return Process(pid, born_at(pid) or "", this_host())


def born_at(pid: int) -> str | None:
    """When a process started; None where there is none, or only what is left of one that has ended."""
    if pid <= 0:
        return None
    if not sys.platform.startswith("linux"):
        return _asked_of_ps(pid)
    try:
        stat = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    # The name in brackets may hold blanks and brackets itself.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in _DEAD else fields[_START_FIELD]


def _asked_of_ps(pid: int) -> str | None:
    """macOS and other Unixes; to the second only, which is still no number that comes twice soon."""
    if sys.platform == "win32":
        return None
    asked = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = asked.stdout.strip().partition(" ")
    return None if not started or state[:1] in _DEAD else " ".join(started.split())


@lru_cache(maxsize=1)
def this_host() -> str:
    """16 hexadecimal digits that change with the machine, with every boot, and with the container."""
    try:
        words = [
            (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip(),
            str((_PROC / "self/ns/pid").readlink()),
        ]
    except OSError:
        words = [platform.node()]
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]


def memory_bytes() -> int | None:
    """Memory that this process holds now, shared libraries included; None where that cannot be told."""
    try:
        pages = int((_PROC / "self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
