"""A map as a transparent layer for the viewport, and its legend in the viewport's words.

Colours and cuts are those of `explainers.overlay`, which is imported late: its package loads the network library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxrviewer.ui.pictures import png
from cxrviewer.ui.viewport import Legend

if TYPE_CHECKING:
    from cxrviewer.explainers.explainer import Explanation

SIDE = 512
"""Pixels of a layer along its longer side: maps are coarse, and the browser enlarges."""

COLOURS = ("magma", "cividis")
"""For maps without a sign; `explainers.overlay.UNSIGNED`, known here so that no network library is loaded."""


@dataclass(frozen=True)
class Layer:
    """An RGBA PNG in the radiograph's proportions, and what its colours mean."""

    png: bytes
    legend: Legend


def layer(explanation: Explanation, *, signed: bool, keep_top: int, colours: str) -> Layer:
    """The strongest `keep_top` percent of a map; what is weaker is transparent. Regions keep their edges."""
    how = Image.Resampling.BILINEAR if explanation.segments is None else Image.Resampling.NEAREST
    heatmap = explanation.heatmap_at(
        _fitting(explanation.shape), lambda grid, shape: _resized(grid, shape, how)
    )
    return _drawn(heatmap, signed, keep_top, colours)


def layer_of(grid: NDArray[np.float32], shape: tuple[int, int], *, keep_top: int, colours: str) -> Layer:
    """The same for an unsigned grid (h, w) of a radiograph of `shape` (H, W)."""
    heatmap = _resized(grid, _fitting(shape), Image.Resampling.BILINEAR)
    return _drawn(heatmap, False, keep_top, colours)


def _drawn(heatmap: NDArray[np.float32], signed: bool, keep_top: int, colours: str) -> Layer:
    from cxrviewer.explainers import overlay

    style = overlay.Style(opacity=1.0, keep=keep_top / 100, colours=colours)
    told = overlay.legend(heatmap, signed, style)
    high = f"{told.high:+.2g} raises"
    numbers = (f"{told.low:+.2g} lowers".replace("-", "\u2212", 1), "0", high) if signed else ("0", high)
    return Layer(png(overlay.tint(heatmap, signed, style)), Legend(told.stops, numbers))


def _fitting(shape: tuple[int, int]) -> tuple[int, int]:
    """The layer's height and width: the radiograph's proportions, at most SIDE."""
    factor = min(1.0, SIDE / max(shape))
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def _resized(grid: NDArray[np.float32], shape: tuple[int, int], how: Image.Resampling) -> NDArray[np.float32]:
    image = Image.fromarray(np.ascontiguousarray(grid), mode="F").resize(shape[::-1], how)
    return np.asarray(image, np.float32)
