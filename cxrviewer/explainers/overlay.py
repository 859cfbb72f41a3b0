"""Radiograph + heat map -> RGB. Colours are tables of numbers, so no plotting library is loaded.

Zero is transparent in every map: colour means something or is not there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrviewer.errors import ConfigurationError
from cxrviewer.explainers.explainer import Explanation
from cxrviewer.studies.radiograph import Radiograph

Grid = NDArray[np.float32]
Bytes = NDArray[np.uint8]

NOT_EVIDENCE = "A map shows what moved this network's answer. It is not evidence of disease."

# Blue below, orange above: told apart by readers with any of the common colour vision deficiencies.
BLUE_ORANGE = (
    "#b9e2ff", "#6bb3f2", "#4c9be8", "#2b6cb8", "#1d4a80", "#30343b",
    "#7a4420", "#b8632e", "#e8804c", "#f5a878", "#ffdcc4",
)  # fmt: skip
# matplotlib's tables (CC0), every tenth of their length.
MAGMA = (
    "#000004", "#140e36", "#3b0f70", "#641a80", "#8c2981", "#b73779",
    "#de4968", "#f7705c", "#fe9f6d", "#fecf92", "#fcfdbf",
)  # fmt: skip
CIVIDIS = (
    "#00224e", "#083370", "#35456c", "#4f576c", "#666970", "#7d7c78",
    "#948e77", "#aea371", "#c8b866", "#e5cf52", "#fee838",
)  # fmt: skip

COLOUR_MAPS = {"magma": MAGMA, "cividis": CIVIDIS, "blue-orange": BLUE_ORANGE}
UNSIGNED = ("magma", "cividis")
SIGNED = ("blue-orange",)

_SAMPLE = 512
"""Quantiles come from at most about this many rows and columns."""


@dataclass(frozen=True)
class Style:
    """How maps are drawn; the same for all that stand side by side.

    opacity: of the strongest value, in [0, 1]; it falls in proportion towards zero. keep: share of all pixels to
    show, the strongest ones, in (0, 1]. colours: a map for values that are not signed (signed ones are blue-orange).
    """

    opacity: float = 0.6
    keep: float = 1.0
    colours: str = "magma"

    def __post_init__(self) -> None:
        if not 0 <= self.opacity <= 1 or not 0 < self.keep <= 1:
            raise ConfigurationError(
                "Opacity or kept share is out of range.", "Use 0 to 1, and more than 0 to 1."
            )
        if self.colours not in UNSIGNED:
            raise ConfigurationError(
                f"There is no colour map {self.colours}.", f"Choose {' or '.join(UNSIGNED)}."
            )

    def colour_map(self, signed: bool) -> str:
        """The name of the table in use."""
        return SIGNED[0] if signed else self.colours


@dataclass(frozen=True)
class Legend:
    """What a legend says. low, high: values at its ends (in logits); stops: colours `#rrggbb`, evenly spaced.

    cut: values nearer to zero than this are not shown.
    """

    low: float
    high: float
    stops: tuple[str, ...]
    low_words: str
    high_words: str
    cut: float
    kept: float
    note: str = NOT_EVIDENCE


def scale_of(heatmap: Grid, signed: bool) -> float:
    """The value that gets the strongest colour: the 99.5th percentile of the size, so that one pixel rules nothing.

    1.0 for a map of nothing but zeros.
    """
    size = _size(_sampled(heatmap), signed)
    return float(np.quantile(size, 0.995)) or float(size.max()) or 1.0


def cut_of(heatmap: Grid, signed: bool, keep: float) -> float:
    """The smallest size that is among the strongest `keep` of all pixels; 0.0 keeps everything."""
    return 0.0 if keep >= 1 else float(np.quantile(_size(_sampled(heatmap), signed), 1 - keep))


def tint(heatmap: Grid, signed: bool, style: Style | None = None) -> Bytes:
    """(H, W) float32 -> (H, W, 4) uint8, red, green, blue, alpha; alpha is 0 at zero and below the cut."""
    style = style or Style()
    values = np.asarray(heatmap, np.float32) if signed else np.maximum(heatmap, np.float32(0))
    level = np.clip(values / np.float32(scale_of(heatmap, signed)), -1, 1)
    colours = _table(style.colour_map(signed))[_entries(level, signed)]
    shown = _size(values, signed) >= np.float32(cut_of(heatmap, signed, style.keep))
    alpha = np.rint(np.abs(level) * np.float32(255 * style.opacity)) * shown
    return np.concatenate([colours, alpha.astype(np.uint8)[..., None]], axis=-1)


def blend(display: Bytes, heatmap: Grid, signed: bool, style: Style | None = None) -> Bytes:
    """A radiograph's `display()` (H, W) uint8 and a map (H, W) float32 on the same grid -> (H, W, 3) uint8.

    Raises ConfigurationError where the two have different shapes.
    """
    if display.shape != heatmap.shape:
        remedy = "Use Explanation.heatmap()."
        raise ConfigurationError(f"The map is {heatmap.shape} and the picture {display.shape}.", remedy)
    tinted = tint(heatmap, signed, style)
    alpha = tinted[..., 3:].astype(np.float32) / 255
    grey = display[..., None].astype(np.float32)
    return np.rint(grey + (tinted[..., :3] - grey) * alpha).astype(np.uint8)


def overlay(radiograph: Radiograph, explanation: Explanation, style: Style | None = None) -> Bytes:
    """The radiograph in its own window under the explanation: (H, W, 3) uint8."""
    return blend(radiograph.display(), explanation.heatmap(), explanation.signed, style)


def legend(heatmap: Grid, signed: bool, style: Style | None = None) -> Legend:
    """The legend that belongs to `tint(heatmap, signed, style)`."""
    style = style or Style()
    scale = scale_of(heatmap, signed)
    return Legend(
        low=-scale if signed else 0.0,
        high=scale,
        stops=tuple(COLOUR_MAPS[style.colour_map(signed)]),
        low_words="lowered the logit" if signed else "no part in the logit",
        high_words="raised the logit",
        cut=cut_of(heatmap, signed, style.keep),
        kept=style.keep,
    )


def _sampled(heatmap: Grid) -> Grid:
    rows, columns = (max(side // _SAMPLE, 1) for side in heatmap.shape)
    return heatmap[::rows, ::columns]


def _size(values: Grid, signed: bool) -> Grid:
    return np.abs(values) if signed else np.maximum(values, np.float32(0))


def _entries(level: Grid, signed: bool) -> Bytes:
    """[-1, 1] (signed: 0 in the middle) or [0, 1] -> an entry of the table."""
    return np.asarray(np.rint((level + 1) * np.float32(127.5) if signed else level * 255).astype(np.uint8))


def _table(name: str) -> Bytes:
    """(256, 3) uint8."""
    stops = np.array([[int(code[i : i + 2], 16) for i in (1, 3, 5)] for code in COLOUR_MAPS[name]])
    at, entries = np.linspace(0, 255, len(stops)), np.arange(256)
    return np.asarray(
        np.rint(np.stack([np.interp(entries, at, stops[:, c]) for c in range(3)], -1)), np.uint8
    )
