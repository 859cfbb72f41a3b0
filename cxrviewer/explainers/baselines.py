"""Where a path of Integrated Gradients begins: a picture that says nothing, in some sense of nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from cxrviewer.classifiers.preparing import MIN_STD, InputSpec, normalise
from cxrviewer.errors import ConfigurationError

BLUR = 0.1
"""The blurred baseline's standard deviation, as a share of the picture's side."""


def _black(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.zeros_like(picture)


def _blur(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(picture, BLUR * picture.shape[0], mode="nearest"), np.float32)


def _mean(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.full_like(picture, picture.mean())


BASELINES: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "black": _black,
    "blur": _blur,
    "mean": _mean,
}
"""Each: (S, S) float32 in [0, 1] -> the same. Black: air everywhere. Blur: no detail. Mean: one flat grey."""


def baseline(name: str, picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """The baseline of that name. Raises ConfigurationError with the names there are."""
    if name not in BASELINES:
        raise ConfigurationError(f"There is no baseline {name}.", f"Choose one of {', '.join(BASELINES)}.")
    return BASELINES[name](picture)


def endpoints(picture: NDArray[np.float32], name: str, spec: InputSpec) -> tuple[torch.Tensor, torch.Tensor]:
    """Baseline and picture as network inputs, (1, C, S, S) float32 each.

    Where the network's pictures are standardised one by one, both are by the *picture's* constants.

    Were every picture on the path standardised by its own, a path from black would not move at all: dimmed by any
    factor, the picture comes back the same, and the whole change would sit in a jump at its first point.
    """
    start = baseline(name, picture)
    if spec.normalisation != "per-image":
        fixed = normalise(torch.from_numpy(np.stack([start, picture]))[:, None], spec)
        return fixed[:1], fixed[1:]
    mean, std = float(picture.mean(dtype=np.float64)), max(float(picture.std(dtype=np.float64)), MIN_STD)
    ends = torch.from_numpy((np.stack([start, picture]).astype(np.float64) - mean) / std).float()
    both = ends[:, None].repeat(1, spec.channels, 1, 1)
    return both[:1], both[1:]
