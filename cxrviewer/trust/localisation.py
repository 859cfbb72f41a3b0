"""Does a map point at what a reader marked? Three measures, and what they are worth by chance.

Pointing game (Zhang et al., IJCV 2018;126:1084-1102): is the peak inside? Energy (Wang et al., Score-CAM, CVPRW 2020):
which share of the positive values is inside? Overlap: intersection over union of the marked area and as large an area
of the map's highest values. A map that is right for the wrong reason scores as well, so these say where a map looks,
not whether it is true; and Saporta et al. (Nat Mach Intell 2022;4:867-878) found all methods below readers in it.

All on one square grid in fractions of the picture, so that coarse and fine maps are judged alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

SIDE = 64
MIDDLE_WIDTH = 0.2
"""Deviation of the bell in the middle of the picture, as a fraction of its side."""

Map = NDArray[np.float64]
Area = NDArray[np.bool_]


@dataclass(frozen=True)
class Localised:
    """pointing: share of the map's peak that is inside (a peak may be a plateau); energy: share of the positive values
    inside; iou: overlap of the top area. All in [0, 1], higher is better."""

    pointing: float
    energy: float
    iou: float


def on_grid(heatmap: NDArray[np.floating], side: int = SIDE) -> Map:
    """(H, W) signed -> (side, side) float64 of its positive part, antialiased; adds up to 1, or is all zero."""
    positive = torch.from_numpy(np.maximum(np.asarray(heatmap, np.float32), 0))[None, None]
    small = interpolate(positive, (side, side), mode="bilinear", antialias=True, align_corners=False)
    values = np.maximum(small[0, 0].double().numpy(), 0)
    return _normalised(values)


def _normalised(values: Map) -> Map:
    total = float(values.sum())
    return values / total if total > 0 else values


def box_area(left: float, top: float, width: float, height: float, side: int = SIDE) -> Area:
    """(side, side): cells whose centre is in a box of fractions; the nearest cell where it holds none."""
    centres = (np.arange(side) + 0.5) / side
    across = (centres >= left) & (centres < left + width)
    down = (centres >= top) & (centres < top + height)
    for inside, middle in ((across, left + width / 2), (down, top + height / 2)):
        if not inside.any():
            inside[np.abs(centres - middle).argmin()] = True
    return np.outer(down, across)


def mask_area(mask: NDArray[np.bool_], side: int = SIDE) -> Area:
    """(H, W) -> (side, side): cells that are marked by half or more; the most marked where none is."""
    share = interpolate(
        torch.from_numpy(mask.astype(np.float32))[None, None], (side, side), mode="bilinear", antialias=True
    )[0, 0].numpy()
    return np.asarray(share >= min(0.5, float(share.max())), np.bool_)


def localise(values: Map, area: Area) -> Localised:
    """Judge a map of `on_grid` by an area on the same grid. A map without a positive value points nowhere: all 0."""
    if not values.any():
        return Localised(0.0, 0.0, 0.0)
    peak = values == values.max()
    least = np.partition(values, -int(area.sum()), axis=None)[-int(area.sum())]
    top = (values >= least) & (values > 0)
    return Localised(
        pointing=float(area[peak].mean()),
        energy=float(values[area].sum() / values.sum()),
        iou=float((top & area).sum() / (top | area).sum()),
    )


def chance(area: Area) -> Localised:
    """What a map that knows nothing is worth: any cell as likely as another."""
    share = float(area.mean())
    return Localised(pointing=share, energy=share, iou=share / (2 - share))


def middle(side: int = SIDE) -> Map:
    """A bell in the middle of the picture: where the chest is."""
    away = ((np.arange(side) + 0.5) / side - 0.5) ** 2
    bell = np.exp(-away / (2 * MIDDLE_WIDTH**2))
    return _normalised(np.outer(bell, bell))


def means_of_others(values: Sequence[Map], people: Sequence[str]) -> list[Map]:
    """For each map, the mean over the maps of other people: what it shows whoever is looked at; zero where alone."""
    stack = np.stack(values)
    names = np.asarray(people)
    found = []
    for name in people:
        others = stack[names != name]
        found.append(_normalised(others.mean(0)) if len(others) else np.zeros_like(stack[0]))
    return found
