"""Cutting a picture into regions for LIME, hiding some of them, and showing the strongest ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cxrviewer.errors import ConfigurationError
from cxrviewer.explainers.baselines import BASELINES, baseline
from cxrviewer.explainers.explainer import Explanation

SEGMENTATIONS = ("slic", "grid")
FILLS = ("region", *BASELINES)


def cut(picture: NDArray[np.float32], how: str, count: int) -> NDArray[np.int32]:
    """(S, S) float32 in [0, 1] -> (S, S) int32 region numbers 0 .. n - 1, n about `count`. Deterministic.

    `slic`: regions of like brightness (Achanta et al., TPAMI 2012); `grid`: equal squares.
    Raises ConfigurationError for an unknown way.
    """
    if how == "slic":
        # Here and not above: scikit-image and lime take seconds to import, and most pages need neither.
        from skimage.segmentation import slic

        labels = slic(picture, n_segments=count, compactness=0.1, sigma=1, start_label=0, channel_axis=None)
        # SLIC may drop a number when it joins small regions; LIME counts columns, so close the gaps.
        return np.unique(labels, return_inverse=True)[1].reshape(picture.shape).astype(np.int32)
    if how == "grid":
        side = max(round(count**0.5), 1)
        rows, columns = (np.arange(size) * side // size for size in picture.shape)
        return np.asarray(rows[:, None] * side + columns[None, :], np.int32)
    raise ConfigurationError(
        f"LIME cannot cut a picture by {how}.", f"Choose one of {', '.join(SEGMENTATIONS)}."
    )


def filling(picture: NDArray[np.float32], segments: NDArray[np.int32], fill: str) -> NDArray[np.float32]:
    """What hidden regions show: (S, S) float32 in [0, 1].

    `region`: each region's own mean, as in the lime package; it hides texture, and not how bright a region is.
    `black`, `blur`, `mean`: the baselines of Integrated Gradients. Raises ConfigurationError for any other.
    """
    if fill != "region":
        return baseline(fill, picture)
    total = np.bincount(segments.ravel(), picture.ravel())
    mean = total / np.bincount(segments.ravel())
    return np.asarray(mean[segments], np.float32)


def hide(
    picture: NDArray[np.float32],
    filled: NDArray[np.float32],
    segments: NDArray[np.int32],
    kept: NDArray[np.int64],
) -> NDArray[np.float32]:
    """(N, n) rows of 1 (kept) and 0 (hidden) -> (N, S, S) pictures in [0, 1]."""
    return np.where(kept.astype(bool)[:, segments], picture, filled)


def top_regions(explanation: Explanation, positive: int = 5, negative: int = 0) -> Explanation:
    """The same explanation with only the strongest regions left, as LIME's users know it.

    positive, negative: how many regions to keep that raised and lowered the logit. Raises ConfigurationError where
    the method works on no regions.
    """
    if explanation.segments is None:
        raise ConfigurationError(
            f"{explanation.method} has no regions to choose from.", "Use a LIME explanation."
        )
    _, first = np.unique(explanation.segments, return_index=True)
    weights = explanation.grid.ravel()[first]
    order = np.argsort(-weights, kind="stable")
    raised = [i for i in order[: max(positive, 0)] if weights[i] > 0]
    lowered = [i for i in order[::-1][: max(negative, 0)] if weights[i] < 0]
    chosen = np.zeros(len(weights), bool)
    chosen[raised + lowered] = True
    grid = np.where(chosen[explanation.segments], explanation.grid, np.float32(0))
    return replace(explanation, grid=np.asarray(grid, np.float32))
