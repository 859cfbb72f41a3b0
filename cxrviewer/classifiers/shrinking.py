"""A whole film -> the small squares that networks are given, in one pass over its pixels.

The same function as `preparing.reduce` of `presentation()`, to float32's rounding (a test holds them to 1e-5), without
a copy of the film in between: a piece of rows is windowed and weighted while it lies in the processor's cache. An
antialiased bilinear reduction is two matrix products, and a piece of rows touches few rows of the small picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from cxrviewer.classifiers.framing import Frame
from cxrviewer.studies.radiograph import Radiograph

ROWS = 64
"""Rows in a piece: 512 KB of a film of 2,048 columns."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Part:
    """What is asked for: this box of the film as a square of `size`. Outside the film it is black."""

    size: int
    frame: Frame


@dataclass(frozen=True, eq=False)
class Shrunk:
    """squares: one (S, S) float32 in [0, 1] for each part asked for. deviation: of the whole presented film."""

    squares: tuple[Array, ...]
    deviation: float


def shrink(radiograph: Radiograph, *wanted: int | Part) -> Shrunk:
    """The network's pictures of a radiograph: each the whole film at a size, or a part of it."""
    height, width = radiograph.shape
    parts = [want if isinstance(want, Part) else Part(want, Frame.whole((height, width))) for want in wanted]
    down = [axis_weights(part.frame.height, part.size) for part in parts]
    tall = [torch.zeros(part.size, width) for part in parts]
    total = squares = 0.0
    for first, rows in radiograph.presented_rows(ROWS):
        # torch's products and not numpy's: those keep threads of their own, which wait by spinning and so take a core
        # from the network that runs next.
        piece, last = torch.from_numpy(rows), first + len(rows)
        for part, axis, result in zip(parts, down, tall, strict=True):
            top = part.frame.top
            low, high = max(first - top, 0), min(last - top, part.frame.height)  # rows of the box
            if low < high:
                start, stop = axis.touched(low, high)
                seen = piece[low + top - first : high + top - first]
                result[start:stop].addmm_(axis.matrix[start:stop, low:high], seen)
        total += float(piece.sum())
        squares += float(torch.dot(piece.view(-1), piece.view(-1)))
    mean = total / (height * width)
    small = [_across(part, rows, (height, width)) for part, rows in zip(parts, tall, strict=True)]
    return Shrunk(tuple(small), math.sqrt(max(squares / (height * width) - mean * mean, 0.0)))


def _across(part: Part, rows: torch.Tensor, shape: tuple[int, int]) -> Array:
    """The second product: (S, W) -> (S, S)."""
    seen, covered = part.frame.within(shape)[1], part.frame.covered(shape)[1]
    matrix = axis_weights(part.frame.width, part.size).matrix[:, covered]
    return np.asarray((rows[:, seen] @ matrix.T).clamp_(0, 1).numpy())


@dataclass(frozen=True, eq=False)
class Axis:
    """One direction of the reduction: matrix (size, pixels) float32, each row adding up to 1; where its rows begin and
    end, (size,) each, both growing."""

    matrix: torch.Tensor
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]

    def touched(self, first: int, last: int) -> tuple[int, int]:
        """The small picture's rows, from and to, that the film's rows `first` to `last` have a part in."""
        start = int(np.searchsorted(self.ends, first, "right"))
        return start, max(start, int(np.searchsorted(self.begins, last, "left")))


@lru_cache(16)
def axis_weights(pixels: int, size: int) -> Axis:
    """A triangle around each half-pixel centre, as wide as the reduction is strong (torch's `antialias=True`).

    In float32 and in torch's order: where a small picture is enlarged, the rounding of the centres shows.
    """
    half, one = np.float32(0.5), np.float32(1)
    scale = np.float32(pixels) / np.float32(size)
    reach = max(scale, one)
    centres = scale * (np.arange(size, dtype=np.float32) + half)
    begins = np.maximum((centres - reach + half).astype(np.int64), 0)
    ends = np.minimum((centres + reach + half).astype(np.int64), pixels)
    places = np.arange(pixels, dtype=np.float32)
    weights = np.maximum(one - np.abs((places - centres[:, None] + half) * (one / reach)), 0)
    weights *= (places >= begins[:, None]) & (places < ends[:, None])
    return Axis(torch.from_numpy(weights / weights.sum(1, keepdims=True)), begins, ends)
