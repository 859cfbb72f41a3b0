"""Training pictures made of two: another one's surroundings around the lungs, and two pictures blended.

Pure functions of the batch and the pictures' own random numbers, so a resumed run repeats them.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import avg_pool2d, max_pool2d

_MARGIN = 0.04
"""Of the side: how far beyond the lung mask a picture keeps its own pixels, and over how much it fades out."""


def swap_surroundings(
    pictures: torch.Tensor,
    masks: torch.Tensor,
    has_mask: NDArray[np.bool_],
    takes_part: NDArray[np.bool_],
    plain: NDArray[np.bool_],
) -> torch.Tensor:
    """Put the lungs of some pictures into the surroundings of others, so that these say nothing about the label.

    pictures, masks: (N, 1, S, S) in [0, 1], masks with 1 inside the lungs; has_mask, takes_part: (N,); plain: (N,),
    surroundings of even grey instead, that of the lungs' own mean. Partners are pictures with a mask of the same
    batch, each used once.
    """
    partners = np.flatnonzero(has_mask)
    takes = np.flatnonzero(has_mask & takes_part)
    if len(partners) < 2 or not len(takes):
        return pictures
    following = dict(zip(partners.tolist(), np.roll(partners, 1).tolist(), strict=True))
    others = torch.tensor([following[int(index)] for index in takes], device=pictures.device)
    chosen = torch.from_numpy(takes).to(pictures.device)
    own, inside, lungs = pictures[chosen], masks[chosen], _soft(masks[chosen])
    grey = (own * inside).sum((1, 2, 3), keepdim=True) / inside.sum((1, 2, 3), keepdim=True).clamp_min(1)
    around = torch.where(
        torch.from_numpy(plain[takes]).to(grey.device)[:, None, None, None], grey, pictures[others]
    )
    out = pictures.clone()
    out[chosen] = lungs * own + (1 - lungs) * around
    return out


def _soft(masks: torch.Tensor) -> torch.Tensor:
    """A mask grown by the margin, with an edge that fades: a sharp one would be a feature of its own."""
    width = 2 * max(1, round(_MARGIN * masks.shape[-1])) + 1
    grown = max_pool2d(masks, width, 1, width // 2)
    return avg_pool2d(grown, width, 1, width // 2, count_include_pad=False)


def blend(
    pictures: torch.Tensor,
    masks: torch.Tensor,
    has_mask: NDArray[np.bool_],
    targets: torch.Tensor,
    share: NDArray[np.float32],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mixup (Zhang et al., ICLR 2018) among pictures that state the same; returns pictures, masks, targets.

    pictures, masks: (N, 1, S, S); has_mask: (N,); targets: (N, K) of 1, 0, NaN; share: (N,) in [0, 1], how much of
    the partner comes in. NaN stays where it was, since a partner states exactly what the picture states.
    """
    stated = np.column_stack([~targets.isnan().numpy(), has_mask])
    partner = np.arange(len(stated))
    for pattern in np.unique(stated, axis=0):
        alike = np.flatnonzero((stated == pattern).all(1))
        partner[alike] = np.roll(alike, 1)
    other, narrow = torch.from_numpy(partner), torch.from_numpy(share)[:, None]
    there, wide = other.to(pictures.device), narrow[:, :, None, None].to(pictures.device)
    return (
        pictures + wide * (pictures[there] - pictures),
        masks + wide * (masks[there] - masks),
        targets + narrow * (targets[other] - targets),
    )
