"""Pictures that are no upright frontal chest radiograph, made to teach the scope network what to refuse.

Half are real radiographs spoilt (turned, upside down, negative, cropped, cut up); the others are drawn: slices,
limbs, breasts, ultrasound fans, shapes, noise, and crops of the photographs that scikit-image and scikit-learn
carry. Outlier exposure after Hendrycks et al., ICLR 2019.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import skimage.data
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.datasets import load_sample_images

from cxrviewer.classifiers.preparing import reduce

Picture = NDArray[np.float32]
"""(S, S) float32 in [0, 1]."""
Rng = np.random.Generator

# Carried inside the packages: nothing is downloaded.
_PHOTOGRAPHS = ("camera", "coins", "moon", "page", "text", "brick", "grass", "gravel", "astronaut", "coffee",
                "chelsea", "rocket", "clock", "horse")  # fmt: skip


def make_outliers(chests: NDArray[np.float32], count: int, rng: Rng) -> NDArray[np.float32]:
    """(count, S, S) float32 in [0, 1] from chest radiographs (N, S, S) in [0, 1] and from nothing."""
    size = chests.shape[-1]
    return np.stack([
        _spoil(chests[rng.integers(len(chests))], rng) if rng.random() < 0.5 else _draw(size, rng)
        for _ in range(count)
    ])  # fmt: skip


def _draw(size: int, rng: Rng) -> Picture:
    names, weights = zip(*((drawing, weight) for drawing, weight in DRAWINGS), strict=True)

    def one() -> Picture:
        drawing: Callable[[int, Rng], Picture] = names[int(rng.choice(len(names), p=weights))]
        return drawing(size, rng)

    picture = one()
    if rng.random() < 0.3:
        picture = np.float32(0.6) * picture + np.float32(0.4) * one()
    if rng.random() < 0.2:
        picture = np.rot90(picture)
    return np.clip(picture, 0, 1).astype(np.float32)


def _spoil(chest: Picture, rng: Rng) -> Picture:
    picture = SPOILERS[int(rng.integers(len(SPOILERS)))](chest, rng)
    if rng.random() < 0.3:
        picture = picture[:, ::-1]
    return np.ascontiguousarray(picture, np.float32)


def _turn(chest: Picture, rng: Rng) -> Picture:
    return np.rot90(chest, int(rng.integers(1, 4)))


def _upside_down(chest: Picture, _rng: Rng) -> Picture:
    return chest[::-1]


def _negative(chest: Picture, _rng: Rng) -> Picture:
    return np.float32(1) - chest


def _crop(chest: Picture, rng: Rng) -> Picture:
    size = len(chest)
    side = int(rng.integers(size // 5, size // 2))
    top, left = (int(v) for v in rng.integers(0, size - side, 2))
    return reduce(chest[top : top + side, left : left + side], size)


def _jigsaw(chest: Picture, rng: Rng) -> Picture:
    pieces = int(rng.choice([2, 4]))
    side = len(chest) // pieces
    blocks = chest.reshape(pieces, side, pieces, side).swapaxes(1, 2).reshape(-1, side, side)
    order = rng.permutation(len(blocks))
    if (order == np.arange(len(order))).all():
        order = np.roll(order, 1)  # else one jigsaw in 50 would be a chest, called none
    shuffled = blocks[order]
    return shuffled.reshape(pieces, pieces, side, side).swapaxes(1, 2).reshape(chest.shape)


def _stamp(chest: Picture, rng: Rng) -> Picture:
    size = len(chest)
    side = int(rng.integers(size // 5, size // 2))
    top, left = (int(v) for v in rng.integers(0, size - side, 2))
    picture = np.full_like(chest, rng.choice([0.0, 1.0]))
    picture[top : top + side, left : left + side] = reduce(chest, side)
    return picture


def _window(chest: Picture, rng: Rng) -> Picture:
    size = len(chest)
    y, x, ry, rx = (*rng.uniform(-0.1, 0.1, 2), *rng.uniform(0.5, 0.9, 2))
    inside = _ellipse(size, y, x, ry, rx)
    return np.asarray(np.where(inside, np.rot90(chest, int(rng.integers(1, 4))), 0), np.float32)


SPOILERS: tuple[Callable[[Picture, Rng], Picture], ...] = (
    _turn, _turn, _turn, _upside_down, _negative, _crop, _jigsaw, _stamp, _window,
)  # fmt: skip
"""Turned ones thrice: they are the ones a reader's picture archive really holds."""


def _ellipse(size: int, y: float, x: float, ry: float, rx: float, turn: float = 0.0) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    cos, sin = np.cos(turn), np.sin(turn)
    down, across = (rows - y) * cos + (columns - x) * sin, -(rows - y) * sin + (columns - x) * cos
    return np.asarray((down / ry) ** 2 + (across / rx) ** 2 < 1)


def _stretch(values: NDArray[np.floating]) -> Picture:
    low, high = np.percentile(values, [1, 99])
    return np.asarray(np.clip((values - low) / (high - low + 1e-6), 0, 1), np.float32)


def _clouds(size: int, rng: Rng) -> Picture:
    layers = (
        ndimage.gaussian_filter(rng.standard_normal((size, size)), s) * s ** rng.uniform(0.3, 1.6)
        for s in (1, 2, 4, 8, 16)
    )
    return _stretch(np.sum(list(layers), axis=0))


def _slice(size: int, rng: Rng) -> Picture:
    """Something like an axial slice: a body, two dark lobes, organs, a bright spine."""
    ry, rx = rng.uniform(0.45, 0.8), rng.uniform(0.65, 0.98)
    y, x = rng.uniform(-0.15, 0.15, 2)
    body = _ellipse(size, y, x, ry, rx)
    picture = body * rng.uniform(0.4, 0.75)
    picture[body & ~_ellipse(size, y, x, ry * 0.92, rx * 0.93)] = rng.uniform(0.2, 0.5)
    if rng.random() < 0.7:
        for side in (-1, 1):
            centre = (y + rng.uniform(-0.1, 0.1), x + side * rx * rng.uniform(0.35, 0.5))
            radii = (ry * rng.uniform(0.4, 0.75), rx * rng.uniform(0.25, 0.42))
            picture[_ellipse(size, *centre, *radii, rng.uniform(-0.4, 0.4)) & body] = rng.uniform(0, 0.2)
    for _ in range(int(rng.integers(1, 9))):
        centre = (y + rng.uniform(-0.7, 0.7) * ry, x + rng.uniform(-0.7, 0.7) * rx)
        radii = (rng.uniform(0.04, 0.3), rng.uniform(0.04, 0.3))
        organ = _ellipse(size, *centre, *radii, rng.uniform(0, 3)) & body
        picture[organ] = rng.uniform(0.2, 0.95)
    if rng.random() < 0.7:
        picture[_ellipse(size, y + ry * 0.6, x, rng.uniform(0.08, 0.18), rng.uniform(0.08, 0.18))] = (
            rng.uniform(0.8, 1)
        )
    picture = picture + rng.uniform(0, 0.3) * (_clouds(size, rng) - 0.5) * body
    picture = ndimage.gaussian_filter(picture, rng.uniform(0.4, 1))
    return np.asarray(picture + rng.normal(0, rng.uniform(0, 0.05), picture.shape), np.float32)


def _limb(size: int, rng: Rng) -> Picture:
    """Bright bars in soft sleeves: fingers, forearms, legs."""
    picture = np.full((size, size), rng.uniform(0, 0.15))
    angle = rng.uniform(0, np.pi)
    for _ in range(int(rng.integers(1, 7))):
        turn, (y, x) = angle + rng.normal(0, 0.3), rng.uniform(-0.7, 0.7, 2)
        length, width = rng.uniform(0.4, 1.6), rng.uniform(0.06, 0.35)
        sleeve = _ellipse(size, y, x, length, width * 1.8, turn) * rng.uniform(0.2, 0.5)
        bone = _ellipse(size, y, x, length, width, turn) * rng.uniform(0.5, 1)
        picture = np.maximum(picture, np.maximum(sleeve, bone))
    return _stretch(ndimage.gaussian_filter(picture, rng.uniform(0.5, 2)) + 0.1 * _clouds(size, rng))


def _breast(size: int, rng: Rng) -> Picture:
    half = _ellipse(
        size, rng.uniform(-0.2, 0.2), rng.choice([-1.0, 1.0]), rng.uniform(0.5, 1), rng.uniform(0.5, 1.4)
    )
    picture = half * (rng.uniform(0.3, 0.6) + 0.7 * _clouds(size, rng))
    return np.asarray(ndimage.gaussian_filter(picture, 1), np.float32)


def _fan(size: int, rng: Rng) -> Picture:
    rows, columns = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    radius, angle = np.hypot(rows + 1.1, columns), np.arctan2(columns, rows + 1.1)
    inside = (radius < rng.uniform(1.5, 2)) & (np.abs(angle) < rng.uniform(0.4, 0.8))
    return np.asarray(inside * _clouds(size, rng) ** 2, np.float32)


def _shapes(size: int, rng: Rng) -> Picture:
    rows, columns = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    picture = np.full((size, size), rng.random())
    for _ in range(int(rng.integers(1, 12))):
        y, x, high, wide = *rng.uniform(-1, 1, 2), *rng.uniform(0.05, 0.9, 2)
        box = (np.abs(rows - y) < high) & (np.abs(columns - x) < wide)
        picture[_ellipse(size, y, x, high, wide, rng.uniform(0, 3)) if rng.random() < 0.5 else box] = (
            rng.random()
        )
    picture = ndimage.gaussian_filter(picture, rng.uniform(0, 2))
    return np.asarray(picture + rng.normal(0, rng.uniform(0, 0.1), picture.shape), np.float32)


@lru_cache(maxsize=1)
def _photographs() -> tuple[Picture, ...]:
    images = [getattr(skimage.data, name)() for name in _PHOTOGRAPHS] + list(load_sample_images().images)
    grey = [np.asarray(image, np.float32) for image in images]
    flat = [image[..., :3].mean(-1) if image.ndim == 3 else image for image in grey]
    return tuple(image / (np.float32(255) if image.max() > 1 else np.float32(1)) for image in flat)


def _photograph(size: int, rng: Rng) -> Picture:
    image = _photographs()[int(rng.integers(len(_photographs())))]
    side = int(rng.uniform(0.25, 1) * min(image.shape))
    top, left = (
        int(rng.integers(0, image.shape[0] - side + 1)),
        int(rng.integers(0, image.shape[1] - side + 1)),
    )
    crop = np.rot90(image[top : top + side, left : left + side], int(rng.integers(4)))
    crop = crop[:, ::-1] if rng.random() < 0.5 else crop
    return reduce(1 - crop if rng.random() < 0.3 else crop, size)


DRAWINGS: tuple[tuple[Callable[[int, Rng], Picture], float], ...] = (
    (_photograph, 0.22), (_slice, 0.22), (_limb, 0.12), (_breast, 0.10), (_shapes, 0.14), (_clouds, 0.10), (_fan, 0.10),
)  # fmt: skip
"""What is drawn, and how often."""
