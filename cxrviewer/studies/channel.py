"""The channel between the server and the decoding child: a JSON header and raw arrays, each of a stated size.

    message = length of the header (4 bytes, big endian) | header (JSON) | arrays, one behind the other

Where server and child share an arena, a header that says `shared` has its arrays there. The child works on hostile
bytes and may have been taken over by them: every size is checked before memory is taken.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cxrviewer.studies.arena import Arena
from cxrviewer.studies.limits import MAX_PIXELS, MIB

MAX_HEADER_BYTES: Final = MIB
_LENGTH: Final = struct.Struct(">I")
_DTYPES: Final = {"pixels": ("<f4", 2), "padding": ("|u1", 2), "table": ("<f4", 1)}
"""The arrays that a reply may hold -> their dtype and number of dimensions."""
_WHOLE: Final = frozenset({"|u1", "|i1", "<u2", "<i2"})
"""Other dtypes that pixels may come in, as the header's `whole`; they become float32 on the way."""
_PIECE: Final = 1 << 18
"""Whole numbers read at a time: they stay in the processor's cache until they are float32."""

Arrays = dict[str, NDArray[Any]]


class WireError(Exception):
    """The other side sent something that is not of this protocol."""


class Channel:
    """One end of the socket pair. `deadline` (of time.monotonic) bounds every wait; None waits for ever.

    arena: where arrays lie whose header says `shared`, on the server's side.

    Raises TimeoutError past the deadline, EOFError where the other side has gone, WireError for what is no message.
    """

    def __init__(self, sock: socket.socket, arena: Arena | None = None) -> None:
        self._socket, self._arena = sock, arena
        self.deadline: float | None = None

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def send(self, header: Mapping[str, Any], parts: Sequence[Any] = ()) -> None:
        """Send one message; `parts` are bytes or C-contiguous arrays, whose sizes the header tells."""
        text = json.dumps(header, separators=(",", ":")).encode()
        for part in (_LENGTH.pack(len(text)) + text, *parts):
            self._arm()
            self._socket.sendall(memoryview(part).cast("B"))

    def receive_header(self) -> dict[str, Any]:
        """Receive the JSON object that starts a message."""
        (length,) = _LENGTH.unpack(self.receive_bytes(_LENGTH.size))
        if length > MAX_HEADER_BYTES:
            raise WireError("header too long")
        try:
            header = json.loads(self.receive_bytes(length), parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise WireError("header is not JSON") from error
        if not isinstance(header, dict):
            raise WireError("header is no object")
        return header

    def receive_bytes(self, size: int) -> bytearray:
        """Receive exactly `size` bytes."""
        buffer = bytearray(size)
        self._fill(memoryview(buffer))
        return buffer

    def receive_arrays(self, header: Mapping[str, Any]) -> Arrays:
        """Receive the arrays that a header lists. Shapes and dtypes are checked before memory is taken."""
        listed = header.get("arrays")
        if not isinstance(listed, dict) or not set(listed) <= set(_DTYPES):
            raise WireError("unknown arrays")
        arrays: Arrays = {}
        arena = self._arena if header.get("shared") is True else None
        read = self._fill if arena is None else arena.reader()
        for name, shape in listed.items():
            dtype, dimensions = _DTYPES[name]
            if not isinstance(shape, list) or len(shape) != dimensions:
                raise WireError("array of another rank")
            sides = [whole_number(side, 1, MAX_PIXELS) for side in shape]
            if math.prod(sides) > (MAX_PIXELS if dimensions == 2 else 0x10000):
                raise WireError("array too large")
            array = arrays[name] = np.empty(sides, dtype)
            flat = array.reshape(-1)
            if name == "pixels" and "whole" in header:
                _read_whole(read, flat, str(header["whole"]))
            else:
                read(flat.view(np.uint8).data)
        return arrays

    def _fill(self, view: memoryview) -> None:
        while view:
            self._arm()
            count = self._socket.recv_into(view)
            if count == 0:
                raise EOFError
            view = view[count:]

    def _arm(self) -> None:
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)


def _read_whole(read: Callable[[memoryview], None], flat: NDArray[Any], dtype: str) -> None:
    """Fill float32 `flat` with whole numbers of `dtype`."""
    if dtype not in _WHOLE:
        raise WireError("pixels of another type")
    piece = np.empty(min(_PIECE, len(flat)), dtype)
    for start in range(0, len(flat), len(piece)):
        part = piece[: len(flat) - start]
        read(part.view(np.uint8).data)
        flat[start : start + len(part)] = part


def whole_number(value: object, low: int, high: int) -> int:
    """A whole number of JSON in that range. Raises WireError."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise WireError("whole number out of range")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(name)
