"""The size of a ZIP archive's central directory, looked at before it takes memory (APPNOTE 4.3.12)."""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

from cxrviewer.errors import TooLargeError, UnreadableError
from cxrviewer.studies.limits import MAX_ZIP_MEMBERS

MAX_DIRECTORY_BYTES: Final = MAX_ZIP_MEMBERS * 512
"""A directory entry is 46 bytes and a name; half a kilobyte each is plenty."""

_END: Final = struct.Struct("<4s4H2LH")
_END64_LOCATOR: Final = struct.Struct("<4sLQL")
_END64: Final = struct.Struct("<4sQ2H2L4Q")


def check_zip_directory(stream: BinaryIO, size: int) -> None:
    """Raise TooLargeError where the directory is above the caps, UnreadableError where there is none."""
    start = max(0, size - _END.size - 0xFFFF)
    stream.seek(start)
    tail = stream.read(size - start)
    # Every record that a reader could take for the end counts, and the largest of them decides.
    place, found = tail.rfind(b"PK\x05\x06"), False
    while place >= 0:
        if place + _END.size <= len(tail):
            found = True
            _, _, _, _, count, length, _, _ = _END.unpack_from(tail, place)
            _check(count, length)
            _check64(stream, start + place - _END64_LOCATOR.size)
        place = tail.rfind(b"PK\x05\x06", 0, place)
    if not found:
        raise UnreadableError("The ZIP archive has no directory: it is cut short.", "Copy or make it again.")


def _check64(stream: BinaryIO, locator: int) -> None:
    if locator < 0:
        return
    stream.seek(locator)
    head = stream.read(_END64_LOCATOR.size)
    if head[:4] != b"PK\x06\x07":
        return
    # Readers look for the record right before its locator, or where the locator points.
    for place in (_END64_LOCATOR.unpack(head)[2], locator - _END64.size):
        if place >= 0:
            stream.seek(place)
            record = stream.read(_END64.size)
            if len(record) == _END64.size and record[:4] == b"PK\x06\x06":
                fields = _END64.unpack(record)
                _check(fields[7], fields[8])


def _check(count: int, length: int) -> None:
    if count > MAX_ZIP_MEMBERS or length > MAX_DIRECTORY_BYTES:
        raise TooLargeError(f"The ZIP archive holds more than {MAX_ZIP_MEMBERS:,} members.", "Split it.")
