"""JPEG and PNG -> one `Radiograph`.

The bytes are checked whole before Pillow sees them, and Pillow may use no other decoder than the one named (G8).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile

from cxrviewer.errors import NotFoundError, UnreadableError, UnsupportedError
from cxrviewer.studies.codestream import inspect_codestream
from cxrviewer.studies.colour import luminance
from cxrviewer.studies.damage import decode_jpeg_8bit
from cxrviewer.studies.limits import check_pixels
from cxrviewer.studies.png_chunks import check_png
from cxrviewer.studies.radiograph import Metadata, Radiograph, Window, WindowFunction

IDENTITY_8BIT: Final = Window(127.5, 255.0, WindowFunction.LINEAR_EXACT, "as stored")
"""0..255 onto 0..1: an 8-bit picture is taken as already windowed."""

_TRANSPOSE: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF Orientation (0x0112) -> what brings the picture upright (CIPA DC-008 4.6.5)."""

_BLOCK_ROWS: Final = 256
"""Rows at a time, as in colour.py: the arithmetic takes several times the picture's memory otherwise."""


class _Deep(NamedTuple):
    """How Pillow is made to give the bytes of a PNG of 16 bits a channel: its mode, what it unpacks, what is kept."""

    mode: str
    raw: tuple[str, ...]
    channels: int


_DEEP: Final = {
    2: _Deep("RGB", ("RGB;16B", "RGB;16L"), 3),
    4: _Deep("RGBA", ("RGBA",), 2),
    6: _Deep("RGBA", ("RGBA;16B", "RGBA;16L"), 3),
}
"""By PNG colour type. The big-endian unpacker takes the first byte of a channel, the little-endian one the second."""

_CUT: Final = "Copy or export the file again: it is cut short or damaged."
_FAULTS: Final = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    struct.error,
    zlib.error,
    TypeError,
    KeyError,
    IndexError,
)
"""What Pillow raises on a damaged picture."""


def read_jpeg(data: bytes, frame: int, digest: str) -> Radiograph:
    """Decode a JPEG of 8 bits. Raises UnreadableError, UnsupportedError, TooLargeError, NotFoundError."""
    header = inspect_codestream(data)
    check_pixels(header.width, header.height)
    if header.precision != 8 or header.components not in (1, 3):
        # Of four channels (CMYK) writers keep either the ink or its absence and do not say which: it could be inverted.
        raise UnsupportedError(
            f"A JPEG of {header.precision} bits and {header.components} channels is not read.",
            "Export it as PNG.",
        )
    if header.frame_marker not in (0xC0, 0xC1, 0xC2):
        raise UnsupportedError("This kind of JPEG is not read outside DICOM.", "Export it as PNG.")
    values = _jpeg_values(data, colour=header.components == 3)
    return _radiograph(values, frame, digest, "JPEG", 8, IDENTITY_8BIT, lossy=True)


def read_png(data: bytes, frame: int, digest: str) -> Radiograph:
    """Decode a PNG of 1 to 16 bits. 16 bits state no window, so percentiles show them. Raises as `read_jpeg`."""
    checked = check_png(data)
    bits, colour = checked.header.depth, checked.header.colour
    deep = _DEEP.get(colour) if bits == 16 else None
    values = _decode_png(checked.data) if deep is None else _decode_deep_png(checked.data, deep)
    voi = None if bits == 16 else IDENTITY_8BIT
    return _radiograph(values, frame, digest, "PNG", bits, voi, lossy=False)


def _radiograph(
    values: NDArray[np.uint8] | NDArray[np.uint16], frame: int, digest: str, name: str, bits: int,
    voi: Window | None, lossy: bool,
) -> Radiograph:  # fmt: skip
    if frame != 1:
        raise NotFoundError(f"Frame {frame} does not exist; the file holds 1.", "Choose frame 1.")
    return Radiograph(
        pixels=np.ascontiguousarray(values),  # whole numbers: see `opening.decode`
        digest=digest,
        metadata=Metadata(format=name, bits_stored=bits, lossy=lossy),
        voi=voi,
    )


def _decode_png(data: bytes) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(H, W) uint8, or uint16 for grey of 16 bits, turned upright, colour as luminance."""
    with _opened(data, "PNG") as image:
        image.load()
        upright = _upright(image)
        if upright.mode in ("I;16", "I;16B", "I"):
            return np.asarray(upright).astype(np.uint16)
        if upright.mode in ("L", "1", "LA"):
            return np.asarray(upright.convert("L"))
        return luminance(np.asarray(upright.convert("RGB"))).astype(np.uint8)


def _decode_deep_png(data: bytes, deep: _Deep) -> NDArray[np.uint16]:
    """(H, W) uint16 of a PNG of several channels of 16 bits, turned upright, colour as luminance.

    Pillow keeps no such picture, but it unpacks either byte of each channel on demand: high and low come one by one.
    """
    bytes_ = []
    for raw in deep.raw:
        with _opened(data, "PNG") as image:
            assert isinstance(image, ImageFile.ImageFile)
            image._mode = deep.mode
            image.tile = [tile._replace(args=raw) for tile in image.tile]
            image.load()
            bytes_.append(np.asarray(_upright(image))[..., : deep.channels])
    if len(bytes_) == 1:  # grey with alpha, all four bytes of a pixel side by side
        return np.asarray((bytes_[0][..., 0].astype(np.uint16) << 8) | bytes_[0][..., 1], np.uint16)
    values = np.empty(bytes_[0].shape[:2], np.uint16)
    for top in range(0, len(values), _BLOCK_ROWS):
        block = slice(top, top + _BLOCK_ROWS)
        high, low = (part[block] for part in bytes_)
        values[block] = luminance((high.astype(np.uint16) << 8) | low)
    return values


@contextmanager
def _opened(data: bytes, decoder: str) -> Iterator[Image.Image]:
    """A picture under one named Pillow decoder. What Pillow raises on damage becomes UnreadableError."""
    try:
        with Image.open(BytesIO(data), formats=(decoder,)) as image:
            yield image
    except _FAULTS as error:
        raise UnreadableError(f"The {decoder} picture could not be decoded.", _CUT) from error


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation."""
    method = _turn(image)
    return image if method is None else image.transpose(method)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What brings a picture upright; an EXIF block that makes no sense is passed over."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except _FAULTS:
        return None
    return _TRANSPOSE.get(orientation) if isinstance(orientation, int) else None


def _jpeg_values(data: bytes, colour: bool) -> NDArray[np.uint8]:
    """(H, W) uint8, turned upright, colour as luminance. Pillow reads the EXIF block and decodes nothing."""
    with _opened(data, "JPEG") as image:
        method = _turn(image)
    values = decode_jpeg_8bit(data, colour)
    grey = luminance(values).astype(np.uint8) if colour else values
    return grey if method is None else np.asarray(Image.fromarray(grey).transpose(method))
