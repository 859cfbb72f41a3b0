"""Damage inside compressed pixels: what decoders would only warn of makes a picture unreadable (promise G4).

JPEG has no checksum, and libjpeg paints over what it cannot decode and goes on. It counts a warning when it does, which
most libraries drop: simplejpeg tells it for pictures of 8 bits, GDCM prints it for those of 12 bits and lossless ones.
pydicom warns where RLE code decodes to too much. docs/decisions/0003 says what is seen that way and what is not.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from cxrviewer.errors import UnreadableError

_REMEDY: Final = "Copy or export the file again."
_SURPLUS: Final = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_COMPLAINT: Final = re.compile(rb"Corrupt JPEG data|Premature end of JPEG")
"""libjpeg's jerror.h, JWRN_*: code that makes no sense, too much or too little of it."""
_RLE_SURPLUS: Final = re.compile(r"non-conformant padding - (\d+) vs\. (\d+) bytes")
_STDERR: Final = 2


def decode_jpeg_8bit(data: bytes, colour: bool) -> NDArray[np.uint8]:
    """One baseline or progressive JPEG of 8 bits -> uint8 (H, W), or (H, W, 3) RGB where `colour`.

    The values are those of Pillow to the last bit: both are libjpeg-turbo with the exact transform. Raises
    UnreadableError where libjpeg has the least doubt, but for zeros that a writer left before the end marker.
    """
    space = "RGB" if colour else "GRAY"
    try:
        try:
            values: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, space, strict=True)
        except ValueError as doubt:
            values = simplejpeg.decode_jpeg(_without_padding(data, str(doubt)), space, strict=True)
    except ValueError as error:
        raise damaged("JPEG") from error
    return values if colour else values[..., 0]


def _without_padding(data: bytes, doubt: str) -> bytes:
    """The stream without the surplus bytes that libjpeg speaks of, where all of them are zero. Raises ValueError."""
    surplus, end = _SURPLUS.search(doubt), data.rfind(b"\xff\xd9")
    count = int(surplus[1]) if surplus else 0
    if not count or any(data[end - count : end]):
        raise ValueError(doubt)
    return data[: end - count] + data[end:]


def damaged(name: str) -> UnreadableError:
    """What is said of a stream that ends properly and whose inside makes no sense."""
    return UnreadableError(f"The {name} picture is damaged: part of its code makes no sense.", _REMEDY)


@contextmanager
def heeding_complaints() -> Iterator[None]:
    """Around a decoder that prints libjpeg's warnings to standard error: raises UnreadableError where it did.

    Standard error belongs to the process, so this is for the decoding child, which has one thread.
    """
    if sys.platform == "win32":
        yield
        return
    reading, writing = os.pipe()
    for end in (reading, writing):
        os.set_blocking(end, False)  # a full pipe loses lines and stops nobody
    kept = os.dup(_STDERR)
    os.dup2(writing, _STDERR)
    try:
        yield
        try:
            printed = os.read(reading, 1 << 16)
        except BlockingIOError:
            printed = b""
    finally:
        os.dup2(kept, _STDERR)
        for end in (reading, writing, kept):
            os.close(end)
    if _COMPLAINT.search(printed):
        raise damaged("JPEG")


@contextmanager
def heeding_surplus() -> Iterator[None]:
    """Around pydicom's RLE decoder: raises UnreadableError where a segment decodes to more than the padding of one byte
    (PS3.5 G.3.1), which is code that has lost its step."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield
    for warning in told:
        surplus = _RLE_SURPLUS.search(str(warning.message))
        if surplus and int(surplus[1]) - int(surplus[2]) > 1:
            raise damaged("RLE")
