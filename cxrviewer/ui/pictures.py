"""Pictures for the screen: a radiograph in the reader's window, as a JPEG of bounded size."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxrviewer.studies.radiograph import Radiograph, Voi, VoiLut, Window, WindowFunction

LONGEST_SIDE = 1400
"""Pixels sent to the browser along the longer side: about 250 KB as a JPEG."""
QUALITY = 90

FILE, AUTO, FULL, LUNG, BONE, CUSTOM = "file", "auto", "full range", "lung-like", "bone-like", "custom"

_SHARES = {LUNG: (0.0, 0.62), BONE: (0.35, 1.0)}
"""Part of the automatic window, from its dark end to its bright one, that a preset spreads over all greys."""


def reduced(radiograph: Radiograph, longest: int = LONGEST_SIDE) -> Radiograph:
    """The same radiograph with fewer pixels, box-averaged; as it is where it is small enough."""
    height, width = radiograph.shape
    factor = math.ceil(max(height, width)) / longest
    if factor <= 1:
        return radiograph
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    pixels = _resized(radiograph.pixels, size, Image.Resampling.BOX)
    padding = radiograph.padding
    if padding is not None:
        padding = _resized(padding.astype(np.float32), size, Image.Resampling.BOX) > 0.5
    return dataclasses.replace(radiograph, pixels=pixels, padding=padding, tags=())


def _resized(array: NDArray[np.float32], size: tuple[int, int], how: Image.Resampling) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(array, mode="F").resize(size, how), np.float32)


def presets(radiograph: Radiograph) -> Mapping[str, Voi]:
    """What the reader can choose from: the file's own, then ours. Names from the file are text, not markup."""
    found: dict[str, Voi] = {}
    if radiograph.voi is not None:
        found[FILE] = radiograph.voi
    for number, window in enumerate(radiograph.presets, 1):
        if window != radiograph.voi:
            found[f"file {number}: {window.name}" if window.name else f"file {number}"] = window
    auto = radiograph.auto_window()
    found[AUTO] = auto
    low, high = radiograph.full_range
    found[FULL] = Window((low + high) / 2, max(high - low, 1e-6), WindowFunction.LINEAR_EXACT, FULL)
    for name, share in _SHARES.items():
        found[name] = _part(auto, *share, inverted=radiograph.inverted, name=name)
    return found


def _part(auto: Window, dark: float, bright: float, *, inverted: bool, name: str) -> Window:
    """Between two shares of the automatic window; dark is where air is, so an inverted picture counts from above."""
    if inverted:
        dark, bright = 1 - bright, 1 - dark
    low = auto.center - auto.width / 2
    middle = low + auto.width * (dark + bright) / 2
    return Window(middle, auto.width * (bright - dark), WindowFunction.LINEAR_EXACT, name)


def codes(radiograph: Radiograph) -> tuple[bytes, float, float]:
    """Modality values as little-endian uint16 -> (codes, low, step): value = low + step * code.

    Whole numbers over at most 65,536 steps come back exactly; others to a 65,535th of their range.
    """
    pixels = radiograph.pixels
    low, high = float(pixels.min()), float(pixels.max())
    exact = high - low <= 65_535 and bool((pixels == np.rint(pixels)).all())
    step = 1.0 if exact or high == low else (high - low) / 65_535
    return np.rint((pixels - np.float32(low)) / np.float32(step)).astype("<u2").tobytes(), low, step


def as_window(voi: Voi) -> Window:
    """Centre and width that the sliders start from; a table's span where the transform is one."""
    if isinstance(voi, VoiLut):
        return Window(
            voi.first + len(voi.table) / 2, float(len(voi.table)), WindowFunction.LINEAR_EXACT, voi.name
        )
    return voi


def jpeg(pixels: NDArray[np.uint8], quality: int = QUALITY) -> bytes:
    """(H, W) or (H, W, 3) uint8 -> JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def png(pixels: NDArray[np.uint8]) -> bytes:
    """(h, w, 4) uint8, RGBA -> PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
