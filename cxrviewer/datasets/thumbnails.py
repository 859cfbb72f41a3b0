"""A data set's picture, small: for a page of samples and for comparing many of them."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cxrviewer.datasets.dataset import Dataset, Row
from cxrviewer.datasets.rle import decode
from cxrviewer.errors import CxrError, UnreadableError
from cxrviewer.studies.opening import Format, open_study, sniff

MOST_PIXELS = 64_000_000
"""A picture that says it has more is not opened: it would not be a radiograph."""
LUNG = 255
"""Inside, in a mask of the lungs."""

Grey = NDArray[np.uint8]


def small_grey(data: bytes, side: int, name: str = "the picture") -> Grey:
    """A whole JPEG, PNG or DICOM file -> uint8, upright, its longer side `side` at most. Raises CxrError.

    A JPEG is decoded at an eighth, a quarter or half of its size where that is enough. DICOM goes through the
    decoding child, as everything that a reader opens does.
    """
    try:
        if sniff(data) is Format.DICOM:
            pixels = open_study(data).presentation()
            image = Image.fromarray(np.rint(pixels * 255).astype(np.uint8))
        else:
            image = _raster(data, side)
        image.thumbnail((side, side), Image.Resampling.BOX)
        return np.asarray(image.convert("L"), np.uint8)
    except CxrError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as exc:
        raise UnreadableError(f"{name} cannot be read.", "Fetch it again, or leave it out.") from exc


def _raster(data: bytes, side: int) -> Image.Image:
    image = Image.open(BytesIO(data), formats=("JPEG", "PNG"))
    if image.width * image.height > MOST_PIXELS:
        raise ValueError("too many pixels")
    image.draft("L", (2 * side, 2 * side))
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        return Image.fromarray((np.asarray(upright, np.float32) / 257).clip(0, 255).astype(np.uint8))
    return upright.convert("L")


def sample(dataset: Dataset, row: Row, side: int) -> Grey:
    """A row's picture, its longer side `side` at most. Raises CxrError."""
    try:
        return small_grey(dataset.picture(row).read_bytes(), side)
    except OSError as exc:
        raise UnreadableError("A picture cannot be read.", "Fetch it again, or leave it out.") from exc


def marked(row: Row, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """What a row's masks mark, on a grid of that shape (H, W): its lesions where there are some, else its lungs.

    None where nothing is marked. Lesions are kept at the owner's 1024 x 1024 (SIIM-ACR).
    """
    if row.lesions:
        whole = np.zeros((LESION_SIDE, LESION_SIDE), np.bool_)
        for text in row.lesions:
            whole |= decode(text, LESION_SIDE, LESION_SIDE)
        return _resized(whole, shape)
    if row.mask is not None:
        with Image.open(row.mask, formats=("JPEG", "PNG")) as image:
            return _resized(np.asarray(image.convert("L")) == LUNG, shape)
    return None


LESION_SIDE = 1024


def _resized(mask: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    image = Image.fromarray(mask.astype(np.uint8) * 255).resize((shape[1], shape[0]), Image.Resampling.BOX)
    return np.asarray(image) >= 128
