"""JPEG and PNG -> one `Radiograph`.

The bytes are checked whole before Pillow sees them, and Pillow may use no other decoder than the one named (G8).
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from cxrviewer.errors import NotFoundError, UnreadableError, UnsupportedError
from cxrviewer.studies.codestream import inspect_codestream
from cxrviewer.studies.colour import luminance
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
        raise UnsupportedError(
            f"A JPEG of {header.precision} bits and {header.components} channels is not read.",
            "Export it as PNG.",
        )
    if header.frame_marker not in (0xC0, 0xC1, 0xC2):
        raise UnsupportedError("This kind of JPEG is not read outside DICOM.", "Export it as PNG.")
    values = _decode(data, "JPEG")
    return _radiograph(values, frame, digest, "JPEG", 8, IDENTITY_8BIT, lossy=True)


def read_png(data: bytes, frame: int, digest: str) -> Radiograph:
    """Decode a PNG of 1 to 16 bits. 16 bits state no window, so percentiles show them. Raises as `read_jpeg`."""
    checked = check_png(data)
    bits = checked.header.depth
    values = _decode(checked.data, "PNG")
    deep = values.dtype == np.uint16
    warnings = ("A colour PNG of 16 bits is read with the upper 8.",) if bits == 16 and not deep else ()
    voi = None if deep else IDENTITY_8BIT
    return _radiograph(values, frame, digest, "PNG", bits, voi, lossy=False, warnings=warnings)


def _radiograph(
    values: NDArray[np.uint8] | NDArray[np.uint16], frame: int, digest: str, name: str, bits: int,
    voi: Window | None, lossy: bool, warnings: tuple[str, ...] = (),
) -> Radiograph:  # fmt: skip
    if frame != 1:
        raise NotFoundError(f"Frame {frame} does not exist; the file holds 1.", "Choose frame 1.")
    return Radiograph(
        pixels=np.ascontiguousarray(values, np.float32),
        digest=digest,
        metadata=Metadata(format=name, bits_stored=bits, lossy=lossy),
        voi=voi,
        warnings=warnings,
    )


def _decode(data: bytes, decoder: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Decode with one named Pillow decoder, turned upright; (H, W) uint8 or uint16, colour as luminance."""
    try:
        with Image.open(BytesIO(data), formats=(decoder,)) as image:
            image.load()
            upright = _upright(image)
            if upright.mode in ("I;16", "I;16B", "I"):
                return np.asarray(upright).astype(np.uint16)
            if upright.mode in ("L", "1", "LA"):
                return np.asarray(upright.convert("L"))
            return luminance(np.asarray(upright.convert("RGB"))).astype(np.uint8)
    except _FAULTS as error:
        raise UnreadableError(f"The {decoder} picture could not be decoded.", _CUT) from error


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; an EXIF block that makes no sense is passed over."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except _FAULTS:
        return image
    method = _TRANSPOSE.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)
