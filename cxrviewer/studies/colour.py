"""Colour -> luminance, the same for DICOM secondary captures, JPEG and PNG."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_BLOCK_ROWS: Final = 256
"""Rows at a time: the arithmetic takes three times the picture's memory otherwise."""


def luminance(rgb: NDArray[Any]) -> NDArray[np.float32]:
    """(H, W, 3) unsigned RGB of 8 or 16 bits -> (H, W) float32 in the same range, ITU-R BT.601 weights.

    In whole numbers (0.299, 0.587, 0.114 as parts of 65,536), so that equal channels come back exactly as they were.
    """
    result = np.empty(rgb.shape[:2], np.float32)
    for top in range(0, len(rgb), _BLOCK_ROWS):
        block = slice(top, top + _BLOCK_ROWS)
        red, green, blue = (rgb[block, :, channel].astype(np.uint32) for channel in range(3))
        result[block] = (
            red * np.uint32(19595) + green * np.uint32(38470) + blue * np.uint32(7471) + 0x8000
        ) >> 16
    return result
