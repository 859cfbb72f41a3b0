"""Colour -> luminance, the same for DICOM secondary captures, JPEG and PNG."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def luminance(rgb: NDArray[Any]) -> NDArray[np.float32]:
    """(H, W, 3) unsigned RGB of 8 or 16 bits -> (H, W) float32 in the same range, ITU-R BT.601 weights.

    In whole numbers (0.299, 0.587, 0.114 as parts of 65,536), so that equal channels come back exactly as they were.
    """
    red, green, blue = (rgb[..., channel].astype(np.uint32) for channel in range(3))
    red *= 19595
    red += green * np.uint32(38470)
    red += blue * np.uint32(7471)
    red += np.uint32(0x8000)
    red >>= np.uint32(16)
    return red.astype(np.float32)
