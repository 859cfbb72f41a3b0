"""The skeleton of a DICOM file, walked without building anything (PS3.5 clause 7, PS3.10 clause 7).

Three questions are answered before a parser sees the bytes: is every element whole (a cut file never gives pixels,
promise G4), are depth and number of elements within the caps (G3), and where do the pixels lie.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Final

from pydicom.datadict import dictionary_VR
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from cxrviewer.errors import TooLargeError, UnreadableError, UnsupportedError
from cxrviewer.studies.limits import MAX_ELEMENTS, MAX_INFLATED_BYTES, MAX_SEQUENCE_DEPTH, MIB

UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = (0xFFFE, 0xE000)
_ITEM_END: Final = (0xFFFE, 0xE00D)
_SEQUENCE_END: Final = (0xFFFE, 0xE0DD)
_PIXEL_DATA: Final = (0x7FE0, 0x0010)
_LONG_FORM: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
"""Value representations with a length of 32 bits, PS3.5 7.1.2."""
_BULK: Final = frozenset({b"OB", b"OW"})

_CUT = "Copy or export the file again: it is cut short or damaged."


@dataclass(frozen=True)
class Anatomy:
    """Where things lie in a DICOM file.

    data: the bytes to parse: those received, or the inflated ones of a deflated file. `start` and `end` bound the data
    set; `pixels` is the value of Pixel Data (7FE0,0010) in `data` (for encapsulated pixels the items, without the
    sequence delimiter), None where there is none. `pixel_vr` is its explicit VR or empty.
    """

    data: bytes = field(repr=False)
    transfer_syntax: UID
    start: int
    end: int
    implicit: bool
    little: bool
    pixels: tuple[int, int] | None
    pixel_vr: str


def dissect(data: bytes) -> Anatomy:
    """Walk a whole DICOM file, with or without preamble. Raises UnreadableError, TooLargeError, UnsupportedError."""
    syntax, start = _file_meta(data)
    if syntax == DeflatedExplicitVRLittleEndian:
        data, start = _inflate(data, start), 0
    elif syntax is not None and not syntax.is_transfer_syntax:
        # A private syntax cannot be told from a damaged one; neither is read.
        raise UnsupportedError(
            "The transfer syntax (0002,0010) is not a DICOM one.", "Export as Explicit VR Little Endian."
        )
    if start >= len(data):
        raise UnreadableError("The DICOM file ends after its header.", _CUT)
    little = syntax is None or syntax.is_little_endian
    # Some writers put implicit elements under an explicit syntax and the other way round: the first element decides,
    # as it does in the parser that comes after.
    implicit = not _is_vr(data[start + 4 : start + 6])
    walker = _Walker(data, implicit, little)
    end = walker.top(start)
    if syntax is None:
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    return Anatomy(data, syntax, start, end, implicit, little, walker.pixels, walker.pixel_vr)


def _is_vr(two: bytes) -> bool:
    return len(two) == 2 and b"AA" <= two <= b"ZZ" and two.isupper()


def _file_meta(data: bytes) -> tuple[UID | None, int]:
    """Transfer Syntax UID (0002,0010), None where not stated, and the offset after the File Meta Information."""
    position = 132 if data[128:132] == b"DICM" else 0
    syntax: UID | None = None
    while data[position : position + 2] == b"\x02\x00":
        if len(data) < position + 12:
            raise UnreadableError("The DICOM header is cut short.", _CUT)
        element, vr = struct.unpack_from("<H2s", data, position + 2)
        if not _is_vr(vr):
            raise UnreadableError("The DICOM file meta information (group 0002) is damaged.", _CUT)
        if vr in _LONG_FORM:
            (length,), header = struct.unpack_from("<I", data, position + 8), 12
        else:
            (length,), header = struct.unpack_from("<H", data, position + 6), 8
        value = data[position + header : position + header + length]
        if len(value) < length:
            raise UnreadableError("The DICOM header is cut short.", _CUT)
        if element == 0x0010:
            syntax = UID(value.decode("ascii", "replace").strip("\0 "))
        position += header + length
    return syntax, position


def _inflate(data: bytes, start: int) -> bytes:
    """The data set of Deflated Explicit VR Little Endian (PS3.5 A.5), never more than the cap."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = inflater.decompress(memoryview(data)[start:], MAX_INFLATED_BYTES + 1)
    except zlib.error as error:
        raise UnreadableError("The deflated data set is damaged.", _CUT) from error
    if len(plain) > MAX_INFLATED_BYTES:
        raise TooLargeError(
            f"The data set inflates to more than {MAX_INFLATED_BYTES // MIB} MB.",
            "Export it without compression.",
        )
    if not inflater.eof:
        raise UnreadableError("The deflated data set is cut short.", _CUT)
    return plain


class _Walker:
    """Steps from element to element; keeps a count, and the place of the pixels of the top level."""

    def __init__(self, data: bytes, implicit: bool, little: bool) -> None:
        self.data = data
        self.implicit = implicit
        order = "<" if little else ">"
        self._tag = struct.Struct(order + "HH")
        self._short = struct.Struct(order + "H")
        self._long = struct.Struct(order + "I")
        self.count = 0
        self.pixels: tuple[int, int] | None = None
        self.pixel_vr = ""

    def top(self, start: int) -> int:
        """Walk the top level; returns where it ends (before zero padding behind the last element, if any)."""
        position, total = start, len(self.data)
        while position < total:
            if self.data[position : position + 4] == bytes(4) and not any(self.data[position:]):
                return position
            position = self._element(position, total, 0, self.implicit)
        return position

    def _element(self, position: int, end: int, depth: int, implicit: bool) -> int:
        """Step over one element; returns the offset behind it."""
        self.count += 1
        if self.count > MAX_ELEMENTS:
            raise TooLargeError(
                f"The DICOM file holds more than {MAX_ELEMENTS:,} elements.", "Export one image at a time."
            )
        tag, vr, length, value = self._header(position, end, implicit)
        if depth == 0 and tag == _PIXEL_DATA:
            behind = self._fragments(value, end) if length == UNDEFINED else value + length
            self.pixels = (value, behind - 8 if length == UNDEFINED else behind)
            self.pixel_vr = vr.decode("ascii")
        elif length == UNDEFINED:
            if vr in _BULK:
                behind = self._fragments(value, end)
            else:
                # An undefined length of VR UN holds implicit little endian items (PS3.5 6.2.2, note 4).
                behind = self._items(value, end, depth + 1, implicit or vr == b"UN", delimited=True)
        elif vr == b"SQ" or (vr in (b"", b"UN") and _is_sequence(tag)):
            behind = self._items(value, value + length, depth + 1, implicit or vr == b"UN", delimited=False)
        else:
            behind = value + length
        if behind > end:
            raise self._cut(tag)
        return behind

    def _header(self, position: int, end: int, implicit: bool) -> tuple[tuple[int, int], bytes, int, int]:
        """Tag, explicit VR or b"", length, offset of the value."""
        if position + 8 > end:
            raise UnreadableError("The DICOM file ends inside an element.", _CUT)
        tag: tuple[int, int] = self._tag.unpack_from(self.data, position)
        vr = b"" if implicit else self.data[position + 4 : position + 6]
        if not _is_vr(vr):
            vr, value = b"", position + 8
            (length,) = self._long.unpack_from(self.data, position + 4)
        elif vr in _LONG_FORM:
            if position + 12 > end:
                raise self._cut(tag)
            (length,), value = self._long.unpack_from(self.data, position + 8), position + 12
        else:
            (length,), value = self._short.unpack_from(self.data, position + 6), position + 8
        if length != UNDEFINED and value + length > end:
            raise self._cut(tag)
        return tag, vr, length, value

    def _items(self, position: int, end: int, depth: int, implicit: bool, delimited: bool) -> int:
        """Step over the items of a sequence (PS3.5 7.5)."""
        if depth > MAX_SEQUENCE_DEPTH:
            raise TooLargeError(
                f"The DICOM file nests sequences deeper than {MAX_SEQUENCE_DEPTH}.", "Export the image again."
            )
        while position < end or delimited:
            tag, length, position = self._item_header(position, end)
            if tag == _SEQUENCE_END:
                return position
            if tag != _ITEM:
                raise UnreadableError("A DICOM sequence holds something that is not an item.", _CUT)
            self.count += 1
            if length == UNDEFINED:
                while self._tag.unpack_from(self.data, self._room(position, end)) != _ITEM_END:
                    position = self._element(position, end, depth, implicit)
                position += 8
            else:
                stop = position + length
                if stop > end:
                    raise self._cut(tag)
                while position < stop:
                    position = self._element(position, stop, depth, implicit)
        return position

    def _fragments(self, position: int, end: int) -> int:
        """Step over encapsulated fragments (PS3.5 A.4) up to the sequence delimiter."""
        while True:
            tag, length, position = self._item_header(position, end)
            if tag == _SEQUENCE_END:
                return position
            if tag != _ITEM or position + length > end:
                raise self._cut(_PIXEL_DATA)
            position += length

    def _item_header(self, position: int, end: int) -> tuple[tuple[int, int], int, int]:
        tag: tuple[int, int] = self._tag.unpack_from(self.data, self._room(position, end))
        (length,) = self._long.unpack_from(self.data, position + 4)
        return tag, length, position + 8

    def _room(self, position: int, end: int) -> int:
        if position + 8 > end:
            raise UnreadableError("The DICOM file ends inside a sequence.", _CUT)
        return position

    def _cut(self, tag: tuple[int, int]) -> UnreadableError:
        return UnreadableError(
            f"The DICOM element ({tag[0]:04X},{tag[1]:04X}) is longer than the file.", _CUT
        )


def _is_sequence(tag: tuple[int, int]) -> bool:
    """Whether the dictionary calls a tag without a stated VR a sequence."""
    number = (tag[0] << 16) | tag[1]
    try:
        return str(dictionary_VR(number)) == "SQ"
    except KeyError:
        return False
