"""Memory that large work leaves behind, given back to the system."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Return freed heap to the system; nothing where the C library has no such call.

    glibc keeps what the threads of an explanation have freed, each in an arena of its own: 150 MB after Integrated
    Gradients of a DenseNet-121, on top of what the next method takes.
    """
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
