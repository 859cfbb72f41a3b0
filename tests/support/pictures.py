"""Pictures without anatomy that pass every check but the one that looks for a chest."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def png_of(seed: int, width: int = 160, height: int = 128) -> bytes:
    """Smooth noise: neither flat nor too small to be scored."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
