"""The same weights from the same numbers on a GPU as well, as far as torch can promise it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """While inside, torch uses the algorithms alone that give the same bits every time; it raises where it has none.

    On the CPU a run repeats without it. On a GPU it forbids the sums whose order changes from run to run, and the trial
    of several convolutions for the fastest (cuDNN's benchmark): slower, by how much depends on network and card.
    """
    if not wanted:
        yield
        return
    # cuBLAS reads it when it is first used; without it torch refuses matrix products in this mode.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
