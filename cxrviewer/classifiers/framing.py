"""Which part of a picture the network's square shows: always an upright box, so a map finds its way back.

A box may lie partly outside the picture (lungs near the rim, brought to their place): there the square is black, and
nothing is mapped back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Shape = tuple[int, int]
Resize = Callable[[Array, Shape], Array]
"""(h, w) and the wanted shape -> an array of that shape."""


@dataclass(frozen=True)
class Frame:
    """A box in whole pixels of a picture. `top` and `left` may be negative; `height` and `width` are at least 1."""

    top: int
    left: int
    height: int
    width: int

    @classmethod
    def whole(cls, shape: Shape) -> Frame:
        """All of a picture of `shape` (H, W)."""
        return cls(0, 0, *shape)

    @classmethod
    def central_square(cls, shape: Shape) -> Frame:
        """The largest square in the middle of a picture of `shape`."""
        side = min(shape)
        return cls((shape[0] - side) // 2, (shape[1] - side) // 2, side, side)

    @classmethod
    def of_fractions(cls, top: float, left: float, bottom: float, right: float, shape: Shape) -> Frame:
        """A box given as fractions of a picture of `shape`, on whole pixels."""
        first_row, first_column = round(top * shape[0]), round(left * shape[1])
        height = max(round(bottom * shape[0]) - first_row, 1)
        return cls(first_row, first_column, height, max(round(right * shape[1]) - first_column, 1))

    @property
    def shape(self) -> Shape:
        """Height and width."""
        return self.height, self.width

    def within(self, shape: Shape) -> tuple[slice, slice]:
        """Rows and columns of a picture of `shape` that the box covers; empty where it misses the picture."""
        rows = slice(min(max(self.top, 0), shape[0]), max(min(self.top + self.height, shape[0]), 0))
        columns = slice(min(max(self.left, 0), shape[1]), max(min(self.left + self.width, shape[1]), 0))
        return rows, columns

    def covered(self, shape: Shape) -> tuple[slice, slice]:
        """Rows and columns of the box itself that lie inside a picture of `shape`."""
        rows, columns = self.within(shape)
        return (
            slice(rows.start - self.top, max(rows.stop - self.top, rows.start - self.top)),
            slice(columns.start - self.left, max(columns.stop - self.left, columns.start - self.left)),
        )

    def cut(self, picture: Array) -> Array:
        """(H, W) -> (height, width), 0 where the box lies outside. The picture itself where the box is all of it."""
        shape = (picture.shape[0], picture.shape[1])
        if self == Frame.whole(shape):
            return picture
        rows, columns = self.within(shape)
        if (rows.stop - rows.start, columns.stop - columns.start) == self.shape:
            return picture[rows, columns]
        out = np.zeros(self.shape, np.float32)
        out[self.covered(shape)] = picture[rows, columns]
        return out

    def scaled(self, old: Shape, new: Shape) -> Frame:
        """The same box on a picture of shape `new` that shows what one of shape `old` shows."""
        down, across = new[0] / old[0], new[1] / old[1]
        top, left = round(self.top * down), round(self.left * across)
        height = max(round((self.top + self.height) * down) - top, 1)
        return Frame(top, left, height, max(round((self.left + self.width) * across) - left, 1))

    def put_back(self, heatmap: Array, shape: Shape, resize: Resize) -> Array:
        """(h, w) on the network's grid -> (H, W) on the picture's grid, 0 outside the box."""
        sized = resize(heatmap, self.shape)
        if self == Frame.whole(shape):
            return sized
        out = np.zeros(shape, np.float32)
        out[self.within(shape)] = sized[self.covered(shape)]
        return out

    def moved_inside(self, shape: Shape) -> Frame:
        """A square that lies inside a picture of `shape`, made smaller where it must be, else only moved."""
        side = min(self.height, self.width, *shape)
        top = self.top + (self.height - side) // 2
        left = self.left + (self.width - side) // 2
        return Frame(min(max(top, 0), shape[0] - side), min(max(left, 0), shape[1] - side), side, side)

    def squared(self) -> Frame:
        """A square of the same middle and area."""
        side = max(round((self.height * self.width) ** 0.5), 1)
        return Frame(self.top + (self.height - side) // 2, self.left + (self.width - side) // 2, side, side)
