"""Memory that the server lends to one decoding child, so that files and pictures need not pass through a socket.

A socket carries 24 MB for a film of 2,048 pixels in pieces of 200 KB, each with a change of process. Here the server
writes the file, the child writes the pixels over it, and the socket carries the header alone. The server reads by
pread(2) into memory of its own before it checks anything: what the child changes afterwards changes nothing, and a
mapping that shrinks cannot end the server. Size and place are sealed (memfd_create(2)); where a system has no such
memory, everything passes through the socket.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cxrviewer.studies.limits import ARENA_BYTES, ARENA_KEPT_BYTES

_SEALS: Final = ("F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_SEAL")


class Arena:
    """The server's side."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._used = 0
        # Never touched, so it takes no memory: only through a mapping can pages be given back.
        self._mapping = mmap.mmap(descriptor, ARENA_BYTES)

    @classmethod
    def create(cls) -> Arena | None:
        """A new arena; None where the system has none to give."""
        if not hasattr(os, "memfd_create") or not hasattr(mmap, "MADV_REMOVE"):
            return None
        try:
            descriptor = os.memfd_create("cxr-decoding", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except OSError:
            return None
        try:
            os.ftruncate(descriptor, ARENA_BYTES)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, sum(getattr(fcntl, seal) for seal in _SEALS))
            return cls(descriptor)
        except (OSError, AttributeError):
            os.close(descriptor)
            return None

    def put(self, data: bytes) -> bool:
        """Write a file for the child; False where it has no room or there is no memory for it."""
        if len(data) > ARENA_BYTES:
            return False
        self._used = max(self._used, len(data))
        view, offset = memoryview(data), 0
        try:
            while offset < len(data):
                offset += os.pwrite(self.descriptor, view[offset:], offset)
        except OSError:
            return False
        return True

    def reader(self) -> Callable[[memoryview], None]:
        """What fills one buffer after another with what the child wrote, from the beginning. Raises EOFError."""
        position = 0

        def read(view: memoryview) -> None:
            nonlocal position
            while view:
                count = os.preadv(self.descriptor, [view], position)
                if count == 0:
                    raise EOFError
                view, position = view[count:], position + count
            self._used = max(self._used, position)

        return read

    def tidy(self) -> None:
        """After a job: give memory back where it was a large one."""
        if self._used > ARENA_KEPT_BYTES:
            self._mapping.madvise(mmap.MADV_REMOVE)
        self._used = 0

    def close(self) -> None:
        """Give everything back; safe to call twice."""
        if self.descriptor >= 0:
            self._mapping.close()
            os.close(self.descriptor)
            self.descriptor = -1


class Lent:
    """The child's side of an arena."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        # Written through a mapping: the child may write to no file (RLIMIT_FSIZE).
        self._mapping = np.frombuffer(mmap.mmap(descriptor, ARENA_BYTES), np.uint8)

    def take(self, size: int) -> bytes:
        """The file that the server put here, as a copy: the answer is written over it."""
        data = os.pread(self._descriptor, size, 0)
        if len(data) != size:
            raise EOFError
        return data

    def put(self, arrays: Sequence[NDArray[Any]]) -> bool:
        """Write C-contiguous arrays one behind the other; False where they have no room."""
        if sum(array.nbytes for array in arrays) > ARENA_BYTES:
            return False
        offset = 0
        for array in arrays:
            self._mapping[offset : offset + array.nbytes] = array.reshape(-1).view(np.uint8)
            offset += array.nbytes
        return True
