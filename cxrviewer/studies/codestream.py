"""What a compressed picture says of itself, read from its markers without decoding (promises G3 and G4).

A decoder takes its memory by the codestream, not by the DICOM header, and most decoders fill the rest of a cut stream
with grey. So the size is compared, and the stream's end is looked for, before any decoder runs.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

from cxrviewer.errors import UnreadableError

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_JPEG_START: Final = b"\xff\xd8"
_J2K_START: Final = b"\xff\x4f\xff\x51"
_END: Final = b"\xff\xd9"
"""EOI of JPEG and JPEG-LS (T.81 B.1.1.3), EOC of JPEG 2000 (T.800 A.4.4): the same two bytes."""

_FRAME_MARKERS: Final = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
"""SOF0-SOF15 without DHT, JPG and DAC (T.81 table B.1), and SOF55 of JPEG-LS (T.87 C.1.1)."""
_BARE_MARKERS: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_NEXT_MARKER: Final = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")
"""A marker that ends entropy-coded data: neither a stuffed byte (FF00; below FF80 in JPEG-LS) nor RST."""

_REMEDY = "Copy or export the file again: it is cut short or damaged."


@dataclass(frozen=True)
class Codestream:
    """`frame_marker` is the second byte of the JPEG SOF marker, 0 for JPEG 2000. `precision` in bits a sample."""

    width: int
    height: int
    components: int
    precision: int
    frame_marker: int


def inspect_codestream(data: bytes) -> Codestream:
    """Size and precision of one JPEG, JPEG-LS or JPEG 2000 picture. Raises UnreadableError where it is not whole."""
    try:
        if data[:2] == _JPEG_START:
            return _jpeg(data)
        start = data.find(_J2K_START, 0, 4096)  # 0 for a bare codestream, further on inside JP2 boxes
        if start >= 0:
            return _jpeg2000(data, start)
    except (struct.error, IndexError) as error:
        raise UnreadableError("The compressed picture ends inside its header.", _REMEDY) from error
    raise UnreadableError("The compressed picture has no start marker.", _REMEDY)


def _jpeg(data: bytes) -> Codestream:
    """T.81 annex B: segments up to EOI."""
    position, found = 2, None
    while True:
        if data[position] != 0xFF:
            raise UnreadableError("The JPEG picture has a damaged segment.", _REMEDY)
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte, T.81 B.1.1.2
            position += 1
            continue
        if marker == 0xD9:
            break
        position += 2
        if marker in _BARE_MARKERS:
            continue
        (length,) = struct.unpack_from(">H", data, position)
        if length < 2:
            raise UnreadableError("The JPEG picture has a damaged segment.", _REMEDY)
        if marker in _FRAME_MARKERS and found is None:
            precision, height, width, components = struct.unpack_from(">BHHB", data, position + 2)
            found = Codestream(width, height, components, precision, marker)
        position += length
        if marker == 0xDA:
            following = _NEXT_MARKER.search(data, position)
            if following is None:
                raise UnreadableError("The JPEG picture is cut short.", _REMEDY)
            position = following.start()
    if found is None:
        raise UnreadableError("The JPEG picture has no frame header.", _REMEDY)
    return found


def _jpeg2000(data: bytes, start: int) -> Codestream:
    """T.800 A.5.1 (SIZ), A.4.2 (SOT), A.4.4 (EOC)."""
    x, y, left, top = struct.unpack_from(">4I", data, start + 8)
    components, depth = struct.unpack_from(">HB", data, start + 40)
    # EOC, and perhaps one byte that makes the length even.
    if not (_END in data.rstrip(b"\0")[-3:] or _tile_parts_whole(data, start)):
        raise UnreadableError("The JPEG 2000 picture is cut short.", _REMEDY)
    return Codestream(x - left, y - top, components, (depth & 0x7F) + 1, 0)


def _tile_parts_whole(data: bytes, start: int) -> bool:
    """Whether every tile-part is as long as it says and the last one ends with the data (some writers omit EOC)."""
    position = start + 2
    while data[position : position + 2] != b"\xff\x90":
        (length,) = struct.unpack_from(">H", data, position + 2)
        position += 2 + length
    while data[position : position + 2] == b"\xff\x90":
        (length,) = struct.unpack_from(">I", data, position + 6)
        if length < 14:
            return False
        position += length
    return position <= len(data) <= position + 1
