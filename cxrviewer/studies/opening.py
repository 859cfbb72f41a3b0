"""Bytes -> `Radiograph`: look at the content, choose the reader, decode in the child.

A file's name and extension are never looked at (promise G8).
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Final

import numpy as np

from cxrviewer.errors import CxrError, NotFoundError, TooLargeError, UnreadableError, UnsupportedError
from cxrviewer.studies.codestream import PNG_SIGNATURE
from cxrviewer.studies.isolation import default_pool
from cxrviewer.studies.limits import MAX_FILE_BYTES, check_file_size
from cxrviewer.studies.radiograph import Radiograph


class Format(StrEnum):
    """The three kinds of content that are ever decoded."""

    DICOM = "DICOM"
    JPEG = "JPEG"
    PNG = "PNG"


Reader = Callable[[bytes, int, str], Radiograph]

READERS: Final[dict[Format, tuple[str, str]]] = {
    Format.DICOM: ("cxrviewer.studies.dicom", "read_dicom"),
    Format.JPEG: ("cxrviewer.studies.raster", "read_jpeg"),
    Format.PNG: ("cxrviewer.studies.raster", "read_png"),
}
"""Format -> module and function, a `Reader`. By name, so that the server itself never imports a decoder."""

_REFUSED: Final = (
    (0, b"BM", "a BMP picture"),
    (0, b"II*\0", "a TIFF picture"),
    (0, b"MM\0*", "a TIFF picture"),
    (0, b"II+\0", "a TIFF picture"),
    (0, b"MM\0+", "a TIFF picture"),
    (0, b"GIF87a", "a GIF picture"),
    (0, b"GIF89a", "a GIF picture"),
    (8, b"WEBP", "a WEBP picture"),
    (0, b"8BPS", "a Photoshop picture"),
    (0, b"\0\0\0\x0cjP  ", "a bare JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a bare JPEG 2000 picture"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (4, b"ftypheic", "a HEIC picture"),
    (4, b"ftypavif", "an AVIF picture"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive inside another, or one given where a picture was expected"),
    (0, b"PK\x05\x06", "an empty ZIP archive"),
    (0, b"\x1f\x8b", "a GZIP archive"),
    (0, b"\x5c\x01\x00\x00", "a NIfTI volume"),
)
"""Offset, bytes and name of content that is whole but never decoded."""

_EXPORT = "Export it as DICOM, PNG or JPEG."


def sniff(data: bytes) -> Format:
    """The format by content. Raises UnsupportedError for other pictures, UnreadableError for anything else."""
    if not data:
        raise UnreadableError("The file is empty.", "Copy or export it again.")
    if data[128:132] == b"DICM":
        return Format.DICOM
    if data[:3] == b"\xff\xd8\xff":
        return Format.JPEG
    if data.startswith(PNG_SIGNATURE):
        return Format.PNG
    for offset, magic, name in _REFUSED:
        if data[offset : offset + len(magic)] == magic:
            raise UnsupportedError(f"The file is {name}; DICOM, PNG and JPEG are read.", _EXPORT)
    if _is_bare_dicom(data):
        return Format.DICOM
    raise UnreadableError("The file is no DICOM, PNG or JPEG picture, or only a piece of one.", _EXPORT)


def _is_bare_dicom(data: bytes) -> bool:
    """A data set without preamble: its first element is of group 0002 or 0008, with a sane VR or length.

    The group length or one of the first attributes of SOP Common must stand first, so that text or another
    program's binary does not pass.
    """
    if len(data) < 16:
        return False
    group, element, vr = struct.unpack_from("<HH2s", data)
    if (group, element) not in {
        (2, 0),
        (2, 1),
        (2, 2),
        (2, 0x10),
        (8, 0),
        (8, 1),
        (8, 5),
        (8, 8),
        (8, 0x16),
        (8, 0x18),
    }:
        return False
    if vr in (b"UL", b"CS", b"UI", b"OB"):
        return True
    (length,) = struct.unpack_from("<I", data, 4)
    return bool(group == 8 and length <= min(256, len(data) - 8))


def decode(data: bytes, frame: int = 1, digest: str = "", whole: bool = False) -> Radiograph:
    """Sniff and decode in this process: what the child runs. Raises CxrError alone, whatever the bytes are.

    whole: leave pixels that nothing rescales as the integers that were stored. The child does, so that half as much
    has to be carried; the server turns them into float32.

    Screens and commands call `open_study`, which puts a process and its caps around this.
    """
    check_file_size(len(data))
    try:
        reader = _reader(sniff(data))
        radiograph = reader(data, frame, digest or hashlib.sha256(data).hexdigest())
        return radiograph if whole else replace(radiograph, pixels=radiograph.pixels.astype(np.float32))
    except CxrError:
        raise
    except MemoryError as error:
        raise TooLargeError(
            "Decoding takes more memory than allowed.", "Export the picture at a smaller size."
        ) from error
    except Exception as error:  # parsers of others on hostile bytes: whatever they raise means damaged
        raise UnreadableError(
            "The file is damaged and could not be decoded.", "Copy or export it again."
        ) from error


def _reader(format_: Format) -> Reader:
    module, function = READERS[format_]
    reader: Reader = getattr(import_module(module), function)
    return reader


def open_study(data: bytes, frame: int = 1) -> Radiograph:
    """Open one file from its bytes, in the isolated child. `frame` counts from 1.

    Raises UnreadableError, UnsupportedError, TooLargeError, DecodingTimeoutError, NotFoundError (no such frame).
    """
    check_file_size(len(data))
    sniff(data)  # what is refused by content needs no child
    return default_pool().open(data, frame)


def open_path(path: Path, frame: int = 1) -> Radiograph:
    """Open one file from disk. Raises as `open_study`; NotFoundError where there is no such file."""
    return open_study(read_capped(path), frame)


def read_capped(path: Path, follow: bool = True) -> bytes:
    """A file's bytes, never more than the cap; `follow` False refuses a link, and a pipe is never waited for.

    Messages do not repeat the path (it may name a patient).
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        with os.fdopen(os.open(path, flags), "rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFoundError("The file does not exist.", "Check the path.") from error
    except OSError as error:
        raise UnreadableError(
            "The file cannot be read from disk.", "Check its permissions and the disk."
        ) from error
    if len(data) > MAX_FILE_BYTES:
        check_file_size(max(len(data), path.stat().st_size))
    return data
