"""How this process shares cores and memory with other programs: set once, before anything large is imported."""

from __future__ import annotations

import ctypes
import os
import sys

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
"""Of `mallopt(3)`."""
_LARGE = 4 << 20
"""Bytes from which on a piece goes back to the system as soon as it is freed; smaller ones would cost time."""


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
    """Let all threads work on so many heaps instead of one each, and large pieces on none (docs/decisions/0016).

    The environment comes first. Nothing where the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    for name, option, value in (
        ("MALLOC_ARENA_MAX", _M_ARENA_MAX, most),
        ("MALLOC_MMAP_THRESHOLD_", _M_MMAP_THRESHOLD, _LARGE),
    ):
        if mallopt is not None and name not in os.environ:
            mallopt(option, value)
