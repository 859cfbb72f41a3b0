"""A PNG file checked chunk by chunk before it is decoded (promises G3 and G4; PNG third edition, W3C).

Decoders pass over checksums and fill missing rows with black, so both are looked at here.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Final

from cxrviewer.errors import UnreadableError, UnsupportedError
from cxrviewer.studies.codestream import PNG_SIGNATURE
from cxrviewer.studies.limits import MIB, check_pixels

_KEPT: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"eXIf"})
"""Text, profiles and gamma are dropped unread: nothing in them may change the pixels or inflate."""

_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type -> bit depths (clause 11.2.1) and channels."""

_ADAM7: Final = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""First column, first row, column step and row step of each interlaced pass (clause 8.2)."""

_CUT: Final = "Copy or export the file again: it is cut short or damaged."


@dataclass(frozen=True)
class PngHeader:
    """IHDR, clause 11.2.1. `depth` in bits a channel."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool

    @property
    def raw_bytes(self) -> int:
        """Bytes of the filtered rows: each starts with its filter type (clause 7.2)."""
        passes = _ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        total = 0
        for x, y, across, down in passes:
            columns, rows = -(-(self.width - x) // across), -(-(self.height - y) // down)
            if columns > 0 and rows > 0:
                total += rows * (1 + -(-columns * self.depth * _CHANNELS[self.colour] // 8))
        return total


@dataclass(frozen=True)
class CheckedPng:
    """A whole PNG: its header, and its bytes without what does not make the picture."""

    header: PngHeader
    data: bytes = field(repr=False)


def check_png(data: bytes) -> CheckedPng:
    """Check length, order and checksum of every chunk, and that the pixels are all there.

    Raises UnreadableError, UnsupportedError for animated ones, TooLargeError.
    """
    chunks = _chunks(data)
    header = _header(chunks[0][1])
    if sum(kind == b"IHDR" for kind, _ in chunks) != 1:
        raise UnreadableError("The PNG picture has two headers.", _CUT)
    if any(kind == b"acTL" for kind, _ in chunks):
        raise UnsupportedError("Animated PNG is not read.", "Export one picture as PNG or JPEG.")
    _check_pixel_bytes([body for kind, body in chunks if kind == b"IDAT"], header.raw_bytes)
    kept = [_chunk(kind, body) for kind, body in chunks if kind in _KEPT]
    return CheckedPng(header, b"".join([PNG_SIGNATURE, *kept]))


def _chunks(data: bytes) -> list[tuple[bytes, memoryview]]:
    """Type and body of every chunk up to IEND (clause 5.3)."""
    view, position = memoryview(data), len(PNG_SIGNATURE)
    chunks: list[tuple[bytes, memoryview]] = []
    while not chunks or chunks[-1][0] != b"IEND":
        if position + 12 > len(data):
            raise UnreadableError("The PNG picture is cut short.", _CUT)
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise UnreadableError("The PNG picture is cut short.", _CUT)
        if zlib.crc32(view[position + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise UnreadableError("The PNG picture is damaged: a checksum does not match.", _CUT)
        if not chunks and kind != b"IHDR":
            raise UnreadableError("The PNG picture does not start with its header.", _CUT)
        chunks.append((kind, view[position + 8 : end - 4]))
        position = end
    return chunks


def _chunk(kind: bytes, body: memoryview) -> bytes:
    content = kind + bytes(body)
    return struct.pack(">I", len(body)) + content + struct.pack(">I", zlib.crc32(content))


def _header(body: memoryview) -> PngHeader:
    if len(body) != 13:
        raise UnreadableError("The PNG header is damaged.", _CUT)
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
    if not width or not height or depth not in _DEPTHS.get(colour, ()) or interlace > 1:
        raise UnreadableError("The PNG header makes no sense.", _CUT)
    check_pixels(width, height)
    return PngHeader(width, height, depth, colour, interlace == 1)


def _check_pixel_bytes(parts: list[memoryview], expected: int) -> None:
    """Inflate the pixels without keeping them: they must fill the picture, and their own checksum must match."""
    inflater, found = zlib.decompressobj(), 0
    try:
        for part in parts:
            waiting: bytes | memoryview = part
            while waiting and not inflater.eof and found <= expected:
                found += len(inflater.decompress(waiting, MIB))
                waiting = inflater.unconsumed_tail
    except zlib.error as error:
        raise UnreadableError("The PNG picture is damaged.", _CUT) from error
    if found < expected or (found == expected and not inflater.eof):
        raise UnreadableError("The PNG picture is cut short: rows are missing.", _CUT)
