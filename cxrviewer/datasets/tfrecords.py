"""TFRecord files without TensorFlow: framing, checksums, and `tf.train.Example`, read strictly and within bounds.

A record is its length (uint64), a checksum of that, the bytes, and a checksum of these; all little endian, the
checksums CRC-32C and masked (tensorflow/core/lib/io/record_writer.h and hash/crc32c.h). The bytes are a protocol
buffer (tensorflow/core/example/example.proto and feature.proto), whose wire format is described at
https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from cxrviewer.errors import TooLargeError, UnreadableError
from cxrviewer.studies.limits import MAX_FILE_BYTES

MAX_FEATURES = 256
"""Features in a record; the published set has 17."""
_MASK_DELTA = 0xA282EAD8
_VARINT, _LENGTH = 0, 2
_AGAIN = "Fetch the file again."

Value = tuple[bytes, ...] | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """Where a record stands in its file."""

    path: Path
    offset: int
    length: int

    def read(self) -> bytes:
        """Its bytes. Raises UnreadableError where the checksum is wrong."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return _checked(file, self.length, self.path.name)


def records_of(path: Path) -> Iterator[tuple[Record, bytes]]:
    """Every record of a file. Raises UnreadableError (damaged or cut short) or TooLargeError."""
    with path.open("rb") as file:
        while head := file.read(12):
            if len(head) < 12:
                raise UnreadableError(f"{path.name} is cut short.", _AGAIN)
            length, checksum = struct.unpack("<QI", head)
            if masked_crc(head[:8]) != checksum:
                raise UnreadableError(f"{path.name} is damaged: a length has a wrong checksum.", _AGAIN)
            if length > MAX_FILE_BYTES:
                raise TooLargeError(f"A record of {path.name} is larger than any picture.", _AGAIN)
            offset = file.tell()
            yield Record(path, offset, length), _checked(file, length, path.name)


def _checked(file: BinaryIO, length: int, name: str) -> bytes:
    data, tail = file.read(length), file.read(4)
    if len(data) < length or len(tail) < 4:
        raise UnreadableError(f"{name} is cut short.", _AGAIN)
    if masked_crc(data) != struct.unpack("<I", tail)[0]:
        raise UnreadableError(f"{name} is damaged: a record has a wrong checksum.", _AGAIN)
    return data


def masked_crc(data: bytes) -> int:
    """CRC-32C, turned by 15 bits and shifted, so that a checksum of data with checksums in it stays sound."""
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def parse_example(data: bytes) -> dict[str, Value]:
    """`tf.train.Example` -> name -> bytes values or int64 values. Raises UnreadableError; floats are not read."""
    try:
        found: dict[str, Value] = {}
        for features in _messages(data, 1):
            for entry in _messages(features, 1):
                fields = dict(_fields(entry))
                name, feature = fields.pop(1), fields.pop(2)
                if fields or not isinstance(name, bytes) or not isinstance(feature, bytes):
                    raise ValueError("a map entry is a name and a feature")
                found[name.decode("utf-8")] = _values(feature)
                if len(found) > MAX_FEATURES:
                    raise ValueError("too many features")
    except (ValueError, KeyError, IndexError) as exc:
        raise UnreadableError("A record holds no tf.train.Example that can be read.", _AGAIN) from exc
    return found


def _values(feature: bytes) -> Value:
    """A Feature: bytes_list = 1, float_list = 2, int64_list = 3."""
    ((kind, content),) = _fields(feature)
    if kind == 1 and isinstance(content, bytes):
        return tuple(_messages(content, 1))
    if kind == 3 and isinstance(content, bytes):
        return tuple(_integers(content))
    raise ValueError("neither bytes nor int64")


def _integers(content: bytes) -> Iterator[int]:
    """Values of an Int64List, packed or one by one."""
    for number, value in _fields(content):
        if number != 1:
            raise ValueError("unknown field")
        if isinstance(value, int):
            yield _signed(value)
            continue
        place = 0
        while place < len(value):
            integer, place = _varint(value, place)
            yield _signed(integer)


def _messages(data: bytes, wanted: int) -> Iterator[bytes]:
    for number, value in _fields(data):
        if number != wanted or not isinstance(value, bytes):
            raise ValueError("unknown field")
        yield value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers with their values. Only varints and length-delimited fields are known."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, kind = key >> 3, key & 7
        value, place = _varint(data, place)
        if kind == _VARINT:
            yield number, value
        elif kind == _LENGTH and place + value <= len(data):
            yield number, data[place : place + value]
            place += value
        else:
            raise ValueError("unknown wire type, or a length past the end")


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Little endian groups of 7 bits, ten at most. Raises IndexError past the end."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number of more than 64 bits")


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
