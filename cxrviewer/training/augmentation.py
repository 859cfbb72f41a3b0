"""Random changes to training pictures: pure functions of (seed, epoch, index), so a resumed run repeats them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import affine_grid, grid_sample

from cxrviewer.training.config import Augmentation
from cxrviewer.training.mixing import blend, swap_surroundings

_COLUMNS = 21
_FLIP = 20
"""The last column: drawn after the others, which keep the values that they had before it came."""

_PLAIN = 0.25
"""Of the pictures whose surroundings are changed, the share that gets none at all: even grey."""


def draw(seed: int, epoch: int, indices: NDArray[np.int64]) -> NDArray[np.float32]:
    """float32 (N, 21) in [-1, 1): one row of random numbers a picture, the same for the same arguments."""
    rows = [
        np.random.default_rng((seed, epoch, int(index))).random(_COLUMNS, np.float32) for index in indices
    ]
    return np.stack(rows) * 2 - 1


def move(pictures: torch.Tensor, numbers: NDArray[np.float32], how: Augmentation) -> torch.Tensor:
    """Rotate, scale, stretch, shift and perhaps mirror (N, C, S, S); outside is 0. Masks take the same numbers."""
    angle = np.deg2rad(how.degrees) * numbers[:, 0]
    scale = 1 + how.scale * numbers[:, 1]
    stretch = np.sqrt(1 + how.aspect * numbers[:, 2])
    theta = np.zeros((len(numbers), 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 0, 1] = np.cos(angle) * scale * stretch, -np.sin(angle) * scale
    theta[:, 1, 0], theta[:, 1, 1] = np.sin(angle) * scale, np.cos(angle) * scale / stretch
    theta[:, :, 2] = 2 * how.shift * numbers[:, 3:5]
    if how.flip:
        theta[numbers[:, _FLIP] < 0, 0] *= -1  # where x is read from changes sign
    grid = affine_grid(torch.from_numpy(theta).to(pictures.device), list(pictures.shape), align_corners=False)
    return grid_sample(pictures, grid, align_corners=False)


def shade(pictures: torch.Tensor, numbers: NDArray[np.float32], how: Augmentation) -> torch.Tensor:
    """Gamma, contrast, noise and an erased rectangle on (N, C, S, S) in [0, 1]."""
    columns = torch.from_numpy(numbers).to(pictures.device)[:, :, None, None, None]
    pictures = pictures.clamp(1e-4, 1) ** torch.exp(how.gamma * columns[:, 5])
    contrast = 1 + how.contrast * columns[:, 6]
    pictures = ((pictures - 0.5) * contrast + 0.5 + how.contrast / 2 * columns[:, 7]).clamp(0, 1)
    if how.noise > 0:
        noise = torch.stack([_noise(pictures.shape[1:], row[8], pictures.device) for row in numbers])
        pictures = (pictures + how.noise * columns[:, 9].abs() * noise).clamp(0, 1)
    return _erase(pictures, numbers, how.erase)


def mix(
    pictures: torch.Tensor,
    masks: torch.Tensor,
    has_mask: NDArray[np.bool_],
    targets: torch.Tensor,
    numbers: NDArray[np.float32],
    how: Augmentation,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Other surroundings, then blends, as often as asked for; returns pictures, masks and targets (see mixing.py)."""
    unit = (numbers + np.float32(1)) / np.float32(2)
    if how.surroundings > 0:
        takes_part, plain = unit[:, 16] < how.surroundings, unit[:, 19] < _PLAIN
        pictures = swap_surroundings(pictures, masks, has_mask, takes_part, plain)
    if how.blend > 0:
        # At most half of the partner, and most often little of it: the picture stays the one that it was.
        share = np.where(unit[:, 17] < how.blend, 0.5 * unit[:, 18] ** 1.5, 0).astype(np.float32)
        pictures, masks, targets = blend(pictures, masks, has_mask, targets, share)
    return pictures, masks, targets


def _noise(shape: torch.Size, number: np.float32, device: torch.device) -> torch.Tensor:
    """Gaussian noise that depends on the picture's own random number alone, not on its neighbours in the batch."""
    generator = torch.Generator(device).manual_seed(int((float(number) + 1) * 2**31))
    return torch.randn(shape, generator=generator, device=device)


def _erase(pictures: torch.Tensor, numbers: NDArray[np.float32], share: float) -> torch.Tensor:
    """Grey rectangles of up to a third of the side, in about `share` of them (Zhong et al., AAAI 2020)."""
    side = pictures.shape[-1]
    unit = (numbers + 1) / 2
    for picture, row in zip(pictures, unit, strict=True):
        if row[10] < share:
            height, width = (max(2, int(side * (0.08 + 0.25 * row[k]))) for k in (11, 12))
            top, left = int(row[13] * (side - height)), int(row[14] * (side - width))
            picture[:, top : top + height, left : left + width] = float(row[15])
    return pictures
