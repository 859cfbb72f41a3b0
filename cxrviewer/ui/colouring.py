"""A map as a transparent layer over the radiograph, and its legend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxrviewer.ui.viewport import Legend

if TYPE_CHECKING:
    from cxrviewer.explainers.explainer import Explanation

SIDE = 512
"""Pixels of a layer along its longer side: maps are coarse, and the browser enlarges."""

Colours = NDArray[np.float32]


def _stops(*colours: str) -> Colours:
    return np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colours], np.float32)


UNSIGNED: Mapping[str, Colours] = {
    "magma": _stops("#000004", "#3b0f70", "#8c2981", "#de4968", "#fe9f6d", "#fcfdbf"),
    "cividis": _stops("#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838"),
    "viridis": _stops("#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725"),
}
"""Perceptual maps, matplotlib's, by a few stops; from nothing to the strongest."""

LOWERS, RAISES = _stops("#9cc9f5", "#2f7fd6"), _stops("#f7c9a8", "#e0662a")
"""Signed maps: what lowered the logit, what raised it; weak to strong. Zero is transparent."""


@dataclass(frozen=True, eq=False)
class Layer:
    """rgba: (h, w, 4) uint8; largest: the size that has the full colour, in the map's own unit."""

    rgba: NDArray[np.uint8]
    largest: float


def layer(explanation: Explanation, *, signed: bool, keep_top: int, colours: str) -> Layer:
    """The strongest `keep_top` percent of a map's pixels; what is weaker is transparent."""
    how = Image.Resampling.BILINEAR if explanation.segments is None else Image.Resampling.NEAREST
    values = _sized(explanation.grid, explanation.shape, how)
    return _coloured(values, signed, keep_top, colours)


def layer_of(grid: NDArray[np.float32], shape: tuple[int, int], *, keep_top: int, colours: str) -> Layer:
    """The same for an unsigned grid (h, w) of a radiograph of `shape`."""
    return _coloured(_sized(grid, shape, Image.Resampling.BILINEAR), False, keep_top, colours)


def _coloured(values: NDArray[np.float32], signed: bool, keep_top: int, colours: str) -> Layer:
    if not signed:
        values = np.maximum(values, 0)
    strength = np.abs(values)
    largest = float(strength.max())
    if largest == 0:
        return Layer(np.zeros((*values.shape, 4), np.uint8), 0.0)
    share = np.asarray(strength / largest, np.float32)
    kept = (strength > 0) & (strength >= np.quantile(strength, 1 - keep_top / 100))
    if signed:
        rgb = np.where((values < 0)[..., None], _ramp(LOWERS, share), _ramp(RAISES, share))
    else:
        rgb = _ramp(UNSIGNED[colours], share)
    # The weaker the fainter, but what is kept stays visible.
    alpha = np.where(kept, 90 + 165 * np.sqrt(share), 0)
    return Layer(np.dstack([rgb, alpha]).astype(np.uint8), largest)


def legend(largest: float, *, signed: bool, colours: str) -> Legend:
    """The scale and its numbers, in logits."""
    top = f"{largest:.2g}"
    if not signed:
        return Legend(_css(UNSIGNED[colours]), ("0", top))
    return Legend(
        (*_css(LOWERS[::-1]), "transparent", *_css(RAISES)), (f"-{top} lowers", "0", f"+{top} raises")
    )


def _css(colours: Colours) -> tuple[str, ...]:
    return tuple("#" + "".join(f"{int(part):02x}" for part in colour) for colour in colours)


def _ramp(colours: Colours, share: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w) in [0, 1] -> (h, w, 3), linear between the stops."""
    places = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(share, places, colours[:, part]) for part in range(3)], -1).astype(np.float32)


def _sized(grid: NDArray[np.float32], shape: tuple[int, int], how: Image.Resampling) -> NDArray[np.float32]:
    """A small grid at the layer's size and the radiograph's proportions; regions (NEAREST) keep their edges."""
    factor = min(1.0, SIDE / max(shape))
    size = (max(1, round(shape[1] * factor)), max(1, round(shape[0] * factor)))
    return np.asarray(Image.fromarray(np.ascontiguousarray(grid), mode="F").resize(size, how), np.float32)
