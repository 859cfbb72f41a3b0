"""How the libraries' threads share the cores with other programs."""

from __future__ import annotations

import os


def share_cores() -> None:
    """Let OpenMP's threads wait for each other by spinning only briefly, unless the environment says otherwise.

    By default they spin for a millisecond or more. Beside another program on the same cores the thread that holds
    the work up is often not running while the others spin, and torch advances by the scheduler's slices: a hundred
    times slower (docs/decisions/0017-threads-that-sleep.md). To be called before torch is loaded: GNU OpenMP, which
    torch brings on Linux, reads the environment once.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "5000")
