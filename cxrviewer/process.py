"""How this process shares cores and memory with other programs: set once, before anything large is imported."""

from __future__ import annotations

import ctypes
import os
import sys

_M_ARENA_MAX = -8
"""Of `mallopt(3)`."""


def share_cores() -> None:
    """Let OpenMP's threads wait for each other by spinning only briefly, unless the environment says otherwise.

    By default they spin for a millisecond or more. Beside another program on the same cores the thread that holds
    the work up is often not running while the others spin, and torch advances by the scheduler's slices: a hundred
    times slower (docs/decisions/0017-threads-that-sleep.md). To be called before torch is loaded: GNU OpenMP, which
    torch brings on Linux, reads the environment once.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "5000")


def share_heaps(most: int = 2) -> None:
    """Let all threads work on so many heaps instead of one each (docs/decisions/0016-memory.md).

    The environment (MALLOC_ARENA_MAX) comes first. Nothing where the C library is not glibc.
    """
    if sys.platform.startswith("linux") and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, most)
