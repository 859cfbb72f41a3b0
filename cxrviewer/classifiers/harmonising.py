"""Less of what differs between machines and hospitals: the grey values of the network's square, in [0, 1].

Both work on the reduced square, inside the picture only: black that was added around it says nothing about the film.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cxrviewer.classifiers.architecture import InputSpec

Array = NDArray[np.float32]

FLAT = 1e-3
"""A square whose greys span less shows nothing; stretching it would show rounding."""
CLIP, TILES = 0.01, 8
"""scikit-image's own clip limit and number of tiles a side."""


def quantiles(square: Array, levels: int) -> Array:
    """The grey values at `levels` equal steps of rank, float32, from the darkest to the brightest."""
    return np.asarray(np.quantile(square, np.linspace(0, 1, levels)), np.float32)


def match_histogram(square: Array, spec: InputSpec) -> Array:
    """Each grey becomes the stored histogram's grey of the same rank, linear between the stored steps."""
    reference = np.asarray(spec.reference, np.float32)
    # A grey that fills several steps (a black rim) takes their mean.
    known, step = np.unique(quantiles(square, len(reference)), return_inverse=True)
    wanted = np.bincount(step, reference) / np.bincount(step)
    return np.asarray(np.interp(square, known, wanted), np.float32)


def equalise(square: Array, _spec: InputSpec) -> Array:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld, Graphics Gems IV, 1994), by scikit-image."""
    from skimage.exposure import equalize_adapthist  # here: most models do without it

    if float(np.ptp(square)) < FLAT:
        return square
    tile = tuple(max(side // TILES, 1) for side in square.shape)
    return np.asarray(equalize_adapthist(square.astype(np.float64), tile, CLIP), np.float32).clip(0, 1)


HARMONISE: dict[str, Callable[[Array, InputSpec], Array]] = {
    "none": lambda square, _spec: square,
    "histogram": match_histogram,
    "clahe": equalise,
}
"""By `InputSpec.harmonise`: (h, w) float32 in [0, 1] -> the same."""
