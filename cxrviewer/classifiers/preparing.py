"""Radiograph -> network input, and heat map -> radiograph grid. Training and serving both pass through here.

The picture is squashed to one square: its aspect is dropped on purpose, because height and aspect alone predict
the label in published data sets. Both directions use half-pixel centres, so a map lands where it was seen.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from cxrviewer.classifiers.architecture import InputSpec

__all__ = [
    "MIN_STD",
    "InputSpec",
    "enlarge",
    "normalise",
    "prepare",
    "prepare_small",
    "reduce",
    "standardise",
]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's red, green and blue, as torchvision's weights want them."""
IMAGENET_GREY = (0.449, 0.226)
"""Their means, for a network whose first layer was summed into one channel."""

MIN_STD = 1e-3
"""Below this a picture is flat; dividing by less would turn rounding noise into signal."""


def reduce(picture: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """(H, W) float32 in [0, 1] -> (size, size) float32 in [0, 1], antialiased."""
    tensor = torch.from_numpy(np.ascontiguousarray(picture, np.float32))[None, None]
    small = interpolate(tensor, (size, size), mode="bilinear", antialias=True, align_corners=False)
    return np.asarray(small[0, 0].clamp_(0, 1).numpy())


def standardise(pictures: torch.Tensor) -> torch.Tensor:
    """(N, C, S, S) in [0, 1] -> zero mean and unit deviation for every picture; a flat one becomes zeros."""
    std, mean = torch.std_mean(pictures, dim=(1, 2, 3), keepdim=True, correction=0)
    return (pictures - mean) / std.clamp_min(MIN_STD)


NORMALISE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "per-image": standardise,
    "zero-one": lambda pictures: pictures,
    "minus-one-one": lambda pictures: 2 * pictures - 1,
    "imagenet": lambda pictures: (pictures - IMAGENET_GREY[0]) / IMAGENET_GREY[1],
    "xrv": lambda pictures: 2048 * pictures - 1024,
}
"""By `InputSpec.normalisation`: (N, 1, S, S) in [0, 1] -> (N, 1, S, S)."""


def normalise(pictures: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    """(N, 1, S, S) in [0, 1] -> (N, C, S, S), what the network is given. Works on any device."""
    if spec.normalisation == "imagenet" and spec.channels == 3:
        mean, std = (pictures.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
        return (pictures - mean) / std
    return NORMALISE[spec.normalisation](pictures).repeat(1, spec.channels, 1, 1)


def prepare_small(small: NDArray[np.float32], spec: InputSpec) -> torch.Tensor:
    """(S, S) in [0, 1], already reduced -> (1, C, S, S) float32."""
    return normalise(torch.from_numpy(np.ascontiguousarray(small, np.float32))[None, None], spec)


def prepare(picture: NDArray[np.float32], spec: InputSpec) -> torch.Tensor:
    """A radiograph's `presentation()` (H, W) float32 in [0, 1], squashed -> (1, C, S, S) float32.

    For networks that take the whole picture as it is (scope, lungs); a classifier's go through `preparer.Preparer`.
    """
    return prepare_small(reduce(picture, spec.size), spec)


def enlarge(heatmap: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """(h, w) on the network's grid -> (H, W) on the radiograph's, bilinear; values are kept, not rescaled."""
    tensor = torch.from_numpy(np.ascontiguousarray(heatmap, np.float32))[None, None]
    return np.asarray(interpolate(tensor, shape, mode="bilinear", align_corners=False)[0, 0].numpy())
