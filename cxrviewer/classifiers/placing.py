"""Where the lungs are, and which box of a picture brings them to where a network expects them.

All boxes here are fractions (top, left, bottom, right) of the whole picture; they may reach beyond it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import grid_sample

Array = NDArray[np.float32]
Box = tuple[float, float, float, float]

MIN_LUNGS, MAX_LUNGS = 0.05, 0.8
"""Share of the picture that a pair of lungs covers."""
MIN_SIDE = 0.25
"""Of the picture's side: a pair of lungs is no narrower and no lower."""
MIN_PIECE = 0.01
"""Share of the picture: smaller pieces of a mask are stray."""
MARGIN = 0.08
"""Of the lungs' box: what `crop` leaves around it, so that the pleura is not cut."""
SCALES = (0.5, 1.6)
"""The square may show this much of the picture's side, from and to; else the lungs were not found where they are."""

LOOK = 64
"""Side of the picture that a template is sought in."""
MIN_LIKENESS = 0.3
"""Correlation with the mean chest below which none was found."""
MIN_SHOWN = 0.7
"""Share of the mean chest that must lie inside the picture."""
STAY = 1.5
"""What a move costs, in correlation for each square of it: of two like places the nearer one is right."""


def lungs_box(mask: Array) -> Box | None:
    """(h, w) in [0, 1], how sure each pixel is lung -> the box around both lungs, or None where none are found."""
    from scipy import ndimage  # here: most models do without it

    pieces, count = ndimage.label(mask >= 0.5)
    areas = np.bincount(pieces.ravel(), minlength=count + 1)[1:] / mask.size
    largest = [int(piece) for piece in np.argsort(-areas, kind="stable")[:2] if areas[piece] >= MIN_PIECE]
    inside = np.isin(pieces, [piece + 1 for piece in largest])
    if not MIN_LUNGS <= float(inside.mean()) <= MAX_LUNGS:
        return None
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    box = (
        float(rows[0] / mask.shape[0]),
        float(columns[0] / mask.shape[1]),
        float((rows[-1] + 1) / mask.shape[0]),
        float((columns[-1] + 1) / mask.shape[1]),
    )
    return box if min(box[2] - box[0], box[3] - box[1]) >= MIN_SIDE else None


def with_margin(box: Box) -> Box:
    """The box and a little around it, inside the picture."""
    down, across = MARGIN * (box[2] - box[0]), MARGIN * (box[3] - box[1])
    return (
        max(box[0] - down, 0.0),
        max(box[1] - across, 0.0),
        min(box[2] + down, 1.0),
        min(box[3] + across, 1.0),
    )


def bringing(box: Box, place: tuple[float, ...]) -> Box | None:
    """The part of the picture whose square shows `box` at `place`; None where that is far too much or too little."""
    height = (box[2] - box[0]) / (place[2] - place[0])
    width = (box[3] - box[1]) / (place[3] - place[1])
    if not (SCALES[0] <= height <= SCALES[1] and SCALES[0] <= width <= SCALES[1]):
        return None
    top, left = box[0] - place[0] * height, box[1] - place[1] * width
    return (top, left, top + height, left + width)


@lru_cache(4)
def template_of(text: str) -> torch.Tensor:
    """The mean chest from its hexadecimal text: (T, T) float32 in [0, 1]."""
    values = np.frombuffer(bytes.fromhex(text), np.uint8)
    side = int(len(values) ** 0.5)
    return torch.from_numpy(values.reshape(side, side).astype(np.float32) / np.float32(255))


def find_chest(look: Array, template: torch.Tensor) -> Box | None:
    """The box of a picture, (LOOK, LOOK) in [0, 1], that is most like the mean chest; None where nothing is like it.

    One scale and two shifts are tried, coarse and then fine; likeness is the correlation over what lies inside.
    """
    coarse = [(s, y, x) for s in _steps(1.0, 0.1, 3) for y in _steps(0, 0.05, 4) for x in _steps(0, 0.05, 4)]
    best, _ = _most_alike(look, template, coarse)
    fine = [
        (s, y, x)
        for s in _steps(best[0], 0.025, 3)
        for y in _steps(best[1], 0.02, 2)
        for x in _steps(best[2], 0.02, 2)
    ]
    (scale, down, across), likeness = _most_alike(look, template, fine)
    if not likeness >= MIN_LIKENESS:
        return None
    top, left = 0.5 + down - scale / 2, 0.5 + across - scale / 2
    return (top, left, top + scale, left + scale)


def _steps(middle: float, step: float, count: int) -> list[float]:
    return [middle + step * k for k in range(-count, count + 1)]


Move = tuple[float, float, float]


def _most_alike(look: Array, template: torch.Tensor, moves: list[Move]) -> tuple[Move, float]:
    """Of moves (scale, down, across) the one with the highest correlation, and that."""
    side = len(template)
    places = (torch.arange(side, dtype=torch.float32) + 0.5) / side * 2 - 1
    scales, down, across = torch.tensor(moves).T
    rows = scales[:, None] * places + 2 * down[:, None]
    columns = scales[:, None] * places + 2 * across[:, None]
    grid = torch.stack(
        [columns[:, None, :].expand(-1, side, -1), rows[:, :, None].expand(-1, -1, side)], -1
    ).reshape(1, -1, side, 2)
    source = torch.from_numpy(np.ascontiguousarray(look, np.float32))[None, None]
    seen = grid_sample(source, grid, padding_mode="border", align_corners=False).reshape(-1, side * side)
    shown = ((rows.abs() < 1).float()[:, :, None] * (columns.abs() < 1).float()[:, None, :]).flatten(1)
    likeness = _correlation(seen, template.reshape(1, -1), shown)
    likeness[shown.mean(1) < MIN_SHOWN] = -1
    best = int((likeness - STAY * ((scales - 1) ** 2 + down**2 + across**2)).argmax())
    return moves[best], float(likeness[best])


def _correlation(first: torch.Tensor, second: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(N, P), (1, P) and weights (N, P) -> (N,) in [-1, 1]; 0 where either is flat."""
    total = weights.sum(1, keepdim=True).clamp_min(1)
    one = (first - (weights * first).sum(1, keepdim=True) / total) * weights
    two = (second - (weights * second).sum(1, keepdim=True) / total) * weights
    size = one.square().sum(1).sqrt() * two.square().sum(1).sqrt()
    return (one * two).sum(1) / size.clamp_min(1e-6)
