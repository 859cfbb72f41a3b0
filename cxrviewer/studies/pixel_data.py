"""One frame of Pixel Data (7FE0,0010) -> stored values (PS3.3 C.7.6.3, PS3.5 clause 8 and annex A)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID

from cxrviewer.errors import NotFoundError, UnreadableError, UnsupportedError
from cxrviewer.studies.codestream import Codestream, inspect_codestream
from cxrviewer.studies.damage import decode_jpeg_8bit, heeding_complaints, heeding_surplus
from cxrviewer.studies.extended_jpeg import decode_extended
from cxrviewer.studies.limits import MAX_FRAMES, check_pixels
from cxrviewer.studies.structure import Anatomy

NATIVE: Final = frozenset(
    {
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.DeflatedExplicitVRLittleEndian,
    }
)

PLUGINS: Final[dict[UID, str]] = {
    uid.RLELossless: "pydicom",
    uid.JPEGBaseline8Bit: "pillow",
    uid.JPEGExtended12Bit: "pillow",  # of 8 bits; 12 bits go to GDCM, see extended_jpeg.py
    uid.JPEGLossless: "gdcm",
    uid.JPEGLosslessSV1: "gdcm",
    uid.JPEGLSLossless: "gdcm",
    uid.JPEGLSNearLossless: "gdcm",
    uid.JPEG2000Lossless: "pylibjpeg",
    uid.JPEG2000: "pylibjpeg",
    uid.HTJ2KLossless: "pylibjpeg",
    uid.HTJ2KLosslessRPCL: "pylibjpeg",
    uid.HTJ2K: "pylibjpeg",
}
"""One decoder a transfer syntax, so that a file gives the same pixels wherever it is opened."""

LOSSY: Final = frozenset(
    {uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless, uid.JPEG2000, uid.HTJ2K}
)
"""Syntaxes that may lose something; whether a given JPEG 2000 file did is in (0028,2110)."""

GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})
COLOUR: Final = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR"})

_DCT: Final = frozenset({0xC0, 0xC1, 0xC2})
"""Frame markers of baseline, extended and progressive Huffman JPEG (T.81 table B.1)."""

_HEEDING: Final[dict[str, Callable[[], AbstractContextManager[None]]]] = {
    "gdcm": heeding_complaints,
    "pydicom": heeding_surplus,
}
"""Plugin -> what listens to it. The others fail by themselves or say nothing."""

_DECODER_FAULTS: Final = (RuntimeError, ValueError, NotImplementedError, OSError, AttributeError, KeyError,
                          IndexError, EOFError, TypeError, ArithmeticError)  # fmt: skip
_EXPORT = "Export the image as Explicit VR Little Endian."


@dataclass(frozen=True)
class PixelFormat:
    """The Image Pixel module, checked: every number is in range for what this program reads."""

    rows: int
    columns: int
    samples: int
    photometric: str
    allocated: int
    stored: int
    signed: bool
    planar: int
    frames: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one native frame; YBR_FULL_422 keeps every second colour sample (PS3.3 C.7.6.3.1.2)."""
        samples = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return self.rows * self.columns * samples * self.allocated // 8


@dataclass(frozen=True, eq=False)
class StoredFrame:
    """values: (H, W) for grey, (H, W, 3) for colour, integers. photometric: what they mean once decoded; YBR stays
    YBR, so that the first channel is the luminance (C.7.6.3.1.2)."""

    values: NDArray[Any]
    photometric: str


def number(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """A whole number from the header. Raises UnreadableError naming the tag where it is missing or no number."""
    element = dataset.get(keyword)
    label = _label(keyword)
    if element is None or element == "":
        if default is not None:
            return default
        raise UnreadableError(
            f"{label} is missing, so the pixels cannot be laid out.", "Export the image again."
        )
    try:
        return int(element)
    except (TypeError, ValueError) as error:
        raise UnreadableError(f"{label} is not a number.", "Export the image again.") from error


def _label(keyword: str) -> str:
    tag = tag_for_keyword(keyword) or 0
    return f"{dictionary_description(tag)} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


def pixel_format(dataset: Dataset) -> PixelFormat:
    """Check the Image Pixel module. Raises UnreadableError, UnsupportedError, TooLargeError."""
    rows, columns = number(dataset, "Rows"), number(dataset, "Columns")
    allocated = number(dataset, "BitsAllocated")
    stored = number(dataset, "BitsStored", allocated)
    samples = number(dataset, "SamplesPerPixel", 1)
    frames = number(dataset, "NumberOfFrames", 1) or 1
    if rows < 1 or columns < 1:
        raise UnreadableError("Rows (0028,0010) or Columns (0028,0011) is zero.", "Export the image again.")
    if not 1 <= frames <= MAX_FRAMES:
        raise UnreadableError("Number of Frames (0028,0008) makes no sense.", "Export the image again.")
    check_pixels(columns, rows)
    photometric = str(dataset.get("PhotometricInterpretation") or "").strip().upper()
    if not photometric:
        raise UnreadableError("Photometric Interpretation (0028,0004) is missing.", "Export the image again.")
    if allocated not in (8, 16):
        raise UnsupportedError(
            f"Pixels of {allocated} bits are not read, only 8 and 16.", "Export a plain image."
        )
    if not 1 <= stored <= allocated:
        raise UnreadableError(
            "Bits Stored (0028,0101) exceeds Bits Allocated (0028,0100).", "Export the image again."
        )
    if number(dataset, "HighBit", stored - 1) != stored - 1:
        raise UnsupportedError("High Bit (0028,0102) is not Bits Stored less one.", _EXPORT)
    expected = 1 if photometric in GREY or photometric == "PALETTE COLOR" else 3
    if photometric not in GREY | COLOUR:
        raise UnsupportedError(f"The photometric interpretation {photometric[:16]!r} is not read.", _EXPORT)
    if samples != expected:
        raise UnreadableError(
            f"Samples per Pixel (0028,0002) is {samples} under {photometric}; {expected} was expected.",
            _EXPORT,
        )
    signed = number(dataset, "PixelRepresentation", 0) == 1
    planar = number(dataset, "PlanarConfiguration", 0)
    if planar not in (0, 1):
        raise UnreadableError(
            "Planar Configuration (0028,0006) is neither 0 nor 1.", "Export the image again."
        )
    return PixelFormat(rows, columns, samples, photometric, allocated, stored, signed, planar, frames)


def decode_frame(dataset: Dataset, anatomy: Anatomy, layout: PixelFormat, frame: int) -> StoredFrame:
    """Stored values of frame `frame` (from 1); palette colours are looked up. Only this frame is decoded."""
    if not 1 <= frame <= layout.frames:
        raise NotFoundError(
            f"Frame {frame} does not exist; the file holds {layout.frames}.", "Choose another frame."
        )
    assert anatomy.pixels is not None, "read_dicom has looked"
    first, behind = anatomy.pixels
    syntax = anatomy.transfer_syntax
    if syntax in NATIVE:
        if behind - first < layout.frame_bytes * layout.frames:
            raise UnreadableError(
                f"Pixel Data (7FE0,0010) holds {behind - first:,} bytes, where "
                f"{layout.frame_bytes * layout.frames:,} were stated.", "Export the image again."
            )  # fmt: skip
        # A view on this frame alone: the other frames are never copied.
        source, vr = memoryview(anatomy.data)[first:behind], anatomy.pixel_vr
        if layout.allocated == 8 and vr == "OW" and not anatomy.little:
            source, vr = _swapped(source), "OB"
        offset = (frame - 1) * layout.frame_bytes
        array, photometric = _run(syntax, source[offset : offset + layout.frame_bytes], layout, vr, "")
    elif syntax in PLUGINS:
        array, photometric = _decode_encapsulated(dataset, anatomy, layout, frame)
    else:
        raise UnsupportedError(f"The transfer syntax {_name(syntax)} is not read.", _EXPORT)
    if array.shape[:2] != (layout.rows, layout.columns):
        raise UnreadableError(
            "The decoded picture has another size than its header.", "Export the image again."
        )
    if photometric == "PALETTE COLOR":
        array, photometric = apply_color_lut(array, dataset)[..., :3], "RGB"
    return StoredFrame(array, photometric)


def _swapped(source: memoryview) -> memoryview:
    """Bytes that were written as big-endian words, in order (PS3.5 8.1.1); a frame may start inside a word."""
    return memoryview(np.frombuffer(source[: len(source) // 2 * 2], "<u2").byteswap().tobytes())


def _name(syntax: UID) -> str:
    return syntax.name if syntax.is_transfer_syntax else "of this file"


def _decode_encapsulated(
    dataset: Dataset, anatomy: Anatomy, layout: PixelFormat, frame: int
) -> tuple[NDArray[Any], str]:
    assert anatomy.pixels is not None
    syntax = anatomy.transfer_syntax
    offsets = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    try:
        stream = get_frame(
            anatomy.data[slice(*anatomy.pixels)],
            frame - 1,
            number_of_frames=layout.frames,
            extended_offsets=offsets if all(isinstance(table, bytes) for table in offsets) else None,
        )
    except _DECODER_FAULTS as error:
        raise UnreadableError(f"Frame {frame} of the compressed pixels is missing.", _EXPORT) from error
    if syntax != uid.RLELossless:
        header = inspect_codestream(stream)
        _compare(header, layout)
        if header.precision > 8 and header.frame_marker == 0xC1:
            with heeding_complaints():
                return decode_extended(stream, layout), layout.photometric
        if header.precision == 8 and header.frame_marker in _DCT:
            grey = decode_jpeg_8bit(stream, colour=False)  # of colour only to hear whether it is whole
            if layout.samples == 1:
                return grey, layout.photometric
    plugin = PLUGINS[syntax]
    with _HEEDING.get(plugin, nullcontext)():
        return _run(syntax, _encapsulated(stream), layout, "OB", plugin)


def _encapsulated(stream: bytes) -> bytes:
    """One frame as a value of its own: an empty offset table and a single fragment (PS3.5 A.4)."""
    stream += b"\0" * (len(stream) % 2)
    return b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0" + len(stream).to_bytes(4, "little") + stream


def _compare(header: Codestream, layout: PixelFormat) -> None:
    check_pixels(header.width, header.height)
    inside = (header.height, header.width, header.components)
    outside = (layout.rows, layout.columns, layout.samples)
    if inside != outside:
        raise UnreadableError(
            f"The header says {outside[1]} x {outside[0]} pixels of {outside[2]} samples, the compressed picture "
            f"{inside[1]} x {inside[0]} of {inside[2]}.", _EXPORT
        )  # fmt: skip
    if header.precision > 16 or header.precision > layout.allocated:
        raise UnreadableError(
            "The compressed picture has more bits than Bits Allocated (0028,0100).", _EXPORT
        )


def _run(
    syntax: UID, source: bytes | memoryview, layout: PixelFormat, pixel_vr: str, plugin: str
) -> tuple[NDArray[Any], str]:
    """Decode one frame with pydicom; returns the values and the photometric interpretation they are in."""
    options: dict[str, Any] = {
        "rows": layout.rows,
        "columns": layout.columns,
        "samples_per_pixel": layout.samples,
        "photometric_interpretation": layout.photometric,
        "bits_allocated": layout.allocated,
        "bits_stored": layout.stored,
        "pixel_representation": int(layout.signed),
        "planar_configuration": layout.planar,
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
        "pixel_vr": pixel_vr or ("OB" if layout.allocated == 8 else "OW"),
    }
    try:
        array, properties = get_decoder(syntax).as_array(
            source, index=0, raw=True, decoding_plugin=plugin, **options
        )
    except _DECODER_FAULTS as error:
        raise UnreadableError(f"The pixels ({_name(syntax)}) could not be decoded.", _EXPORT) from error
    return array, str(properties["photometric_interpretation"])
