"""The small picture of a list row."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from cxrviewer.studies.radiograph import Radiograph

HEIGHT = 96
"""Twice what a row shows, for dense screens."""
_MAX_WIDTH = 4 * HEIGHT


def thumbnail_of(radiograph: Radiograph) -> bytes:
    """A grey PNG, 96 pixels high, as the file's own window shows it. It holds no text from the file."""
    pixels = radiograph.display()
    height, width = pixels.shape
    small = (min(max(1, round(width * HEIGHT / height)), _MAX_WIDTH), HEIGHT)
    # Every n-th pixel first: a 50-megapixel picture needs no exact reduction for this.
    step = max(1, height // (4 * HEIGHT))
    picture = Image.fromarray(np.ascontiguousarray(pixels[::step, ::step])).resize(
        small, Image.Resampling.BOX if step > 1 else Image.Resampling.BILINEAR
    )
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
