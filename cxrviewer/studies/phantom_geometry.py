"""The two ways in which a phantom's parts are projected.

Thick soft parts are solids with a formula: an ellipsoid, a capsule, a union of them; each gives the length of the
ray inside it. Thin parts are bent tubes, projected point by point: for a closed surface with outward area elements
n dA, the picture of `dA` is what a thin shell adds along each ray (bright rims, as cortical bone has them), and
the picture of `z n_z dA` is the length of the ray inside (divergence theorem). So one scattered set of points gives
cortex and marrow, and superposition for nothing. All lengths are mm, rays run along z.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float32]
"""(H, W), (H, 1) or (1, W) float32: a quantity on the film's grid."""


@dataclass(frozen=True)
class Canvas:
    """The film: `size` pixels a side; `width` body millimetres across; `top` is the y of its upper edge."""

    size: int
    width: float
    top: float

    @property
    def pixel(self) -> float:
        """Body millimetres a pixel."""
        return self.width / self.size

    @property
    def x(self) -> Field:
        """(1, W): x of the pixel centres; the midline is the film's middle."""
        return ((np.arange(self.size, dtype=np.float32) + 0.5) * self.pixel - self.width / 2)[None, :]

    @property
    def y(self) -> Field:
        """(H, 1): y of the pixel centres."""
        return ((np.arange(self.size, dtype=np.float32) + 0.5) * self.pixel + self.top)[:, None]


# -- solids ----------------------------------------------------------------------------------------


def smooth(values: list[float], knots: list[float], y: Field, sigma_mm: float = 12.0) -> Field:
    """A smooth curve through knots, read off at y of any shape."""
    ladder = np.arange(-120.0, 420.0)
    rounded = ndimage.gaussian_filter1d(np.interp(ladder, knots, values), sigma_mm, mode="nearest")
    return np.asarray(np.interp(y, ladder, rounded), np.float32)


def _window(canvas: Canvas, x: tuple[float, float], y: tuple[float, float]) -> tuple[slice, slice]:
    """The rows and columns that hold a solid between two x and two y; a solid is only computed there."""
    left, right = (
        int(np.clip((v + canvas.width / 2) / canvas.pixel + d, 0, canvas.size))
        for v, d in zip(x, (-1, 2), strict=True)
    )
    upper, lower = (
        int(np.clip((v - canvas.top) / canvas.pixel + d, 0, canvas.size))
        for v, d in zip(y, (-1, 2), strict=True)
    )
    return slice(upper, lower), slice(left, right)


def ellipsoid(
    canvas: Canvas, centre: tuple[float, float], radii: tuple[float, float, float], tilt: float = 0.0
) -> Field:
    """Path length through an ellipsoid, (H, W) mm. `tilt` turns its first axis downwards, radians."""
    cos, sin = np.cos(tilt), np.sin(tilt)
    reach, drop = np.hypot(radii[0] * cos, radii[1] * sin), np.hypot(radii[0] * sin, radii[1] * cos)
    rows, columns = _window(
        canvas, (centre[0] - reach, centre[0] + reach), (centre[1] - drop, centre[1] + drop)
    )
    x, y = canvas.x[:, columns] - np.float32(centre[0]), canvas.y[rows] - np.float32(centre[1])
    along = x * np.float32(cos / radii[0]) + y * np.float32(sin / radii[0])
    across = y * np.float32(cos / radii[1]) - x * np.float32(sin / radii[1])
    path = np.zeros((canvas.size, canvas.size), np.float32)
    path[rows, columns] = (
        2 * np.float32(radii[2]) * np.sqrt(np.maximum(1 - along * along - across * across, 0))
    )
    return path


def capsule(canvas: Canvas, start: tuple[float, float], end: tuple[float, float], radius: float) -> Field:
    """Path length through a round-ended cylinder that lies in the film's plane, (H, W) mm."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    rows, columns = _window(
        canvas,
        (min(start[0], end[0]) - radius, max(start[0], end[0]) + radius),
        (min(start[1], end[1]) - radius, max(start[1], end[1]) + radius),
    )
    x, y = canvas.x[:, columns] - np.float32(start[0]), canvas.y[rows] - np.float32(start[1])
    square = dx * dx + dy * dy
    t = np.clip(x * np.float32(dx / square) + y * np.float32(dy / square), 0, 1)
    distance = (x - t * np.float32(dx)) ** 2 + (y - t * np.float32(dy)) ** 2
    path = np.zeros((canvas.size, canvas.size), np.float32)
    path[rows, columns] = 2 * np.sqrt(np.maximum(np.float32(radius * radius) - distance, 0))
    return path


def union(*solids: Field) -> Field:
    """Path length through overlapping solids of one tissue: nearly the longest, with the seams rounded."""
    total = np.zeros(np.broadcast_shapes(*(s.shape for s in solids)), np.float32)
    for solid in solids:
        squared = solid * solid
        total += squared * squared
    return np.sqrt(np.sqrt(total))


# -- tubes -----------------------------------------------------------------------------------------

Points = NDArray[np.float32]

GOLDEN = 0.6180339887
AROUND = (1.0, 10)
"""Points round a tube for each step of its girth, and the fewest. Each ring is turned against its neighbour,
so that they never line up into stripes."""
MARROW = 0.16
"""Density of spongy bone as a share of compact bone, above soft tissue."""


@dataclass(frozen=True)
class Cloud:
    """Surface points on the film: x, y in mm and the bone volume (compact, mm3) that each stands for."""

    x: Points
    y: Points
    weight: Points


def project(canvas: Canvas, clouds: list[Cloud], blur_mm: float) -> Field:
    """Points -> mm of material along each ray, (H, W); each point is shared by its four nearest pixels."""
    size, pixel = canvas.size, canvas.pixel
    x = np.concatenate([c.x.ravel() for c in clouds]) / pixel + (size / 2 - 0.5)
    y = (np.concatenate([c.y.ravel() for c in clouds]) - canvas.top) / pixel - 0.5
    weight = np.concatenate([c.weight.ravel() for c in clouds]) / pixel**2
    kept = (x >= 0) & (x < size - 1) & (y >= 0) & (y < size - 1)
    x, y, weight = x[kept], y[kept], weight[kept]
    column, row = x.astype(np.int32), y.astype(np.int32)
    fx, fy = x - column, y - row
    index = row * size + column
    picture = np.zeros(size * size)
    for step, share in (
        (0, (1 - fx) * (1 - fy)),
        (1, fx * (1 - fy)),
        (size, (1 - fx) * fy),
        (size + 1, fx * fy),
    ):
        picture += np.bincount(index + step, weight * share, size * size)
    sharp = picture.reshape(size, size).astype(np.float32)
    return np.asarray(ndimage.gaussian_filter(sharp, blur_mm / pixel, truncate=3), np.float32)


def tube(
    path: NDArray[np.float64],
    thick: float | NDArray[np.float64],
    tall: float | NDArray[np.float64],
    cortex: float | NDArray[np.float64],
    *,
    step: float,
    facing: NDArray[np.float64] | None = None,
    marrow: float = MARROW,
    rotation: float = 0.0,
) -> Cloud:
    """A bent bone. `path` (n, 3) mm; radii `thick` along `facing` (default: towards the reader) and `tall`
    across it; `cortex` mm of compact bone; `step` mm between points. Radii and cortex may vary along the path."""
    length = np.linalg.norm(np.diff(path, axis=0), axis=1)
    run = np.concatenate([[0.0], np.cumsum(length)])
    count = max(8, int(run[-1] / step))
    at = np.linspace(0, run[-1], count)

    def along(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.interp(at, run, values)

    def resample(values: float | NDArray[np.float64]) -> NDArray[np.float64]:
        return along(np.broadcast_to(np.asarray(values, float), run.shape))[:, None]

    centre = np.stack([along(path[:, i]) for i in range(3)], axis=1)
    hint = (
        np.tile([0.0, 0.0, 1.0], (count, 1))
        if facing is None
        else np.stack([along(facing[:, i]) for i in range(3)], axis=1)
    )
    tangent = np.gradient(centre, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normal = hint - (hint * tangent).sum(1, keepdims=True) * tangent
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    binormal = np.cross(tangent, normal)
    rn, rb, shell = resample(thick), resample(tall), resample(cortex)
    around = max(AROUND[1], int(AROUND[0] * np.pi * (np.mean(rn) + np.mean(rb)) / 2 / step))
    angle = 2 * np.pi * (np.arange(around) + (np.arange(count) * GOLDEN % 1)[:, None]) / around
    cos, sin = np.cos(angle), np.sin(angle)
    element = run[-1] / count * 2 * np.pi / around
    area = element * np.hypot(rb * cos, rn * sin)
    depth = rn * cos * normal[:, 2:] + rb * sin * binormal[:, 2:]
    # The open ends of a leaning tube would cover the rest of its volume.
    leaning = np.maximum(1 - tangent[:, 2:] ** 2, 0.1)
    inside = element / leaning * depth * (rb * cos * normal[:, 2:] + rn * sin * binormal[:, 2:])
    turned = rotation * (centre[:, 2:] + depth)
    x = centre[:, :1] + rn * cos * normal[:, :1] + rb * sin * binormal[:, :1] + turned
    y = centre[:, 1:2] + rn * cos * normal[:, 1:2] + rb * sin * binormal[:, 1:2]
    present = np.minimum(shell / max(float(np.max(shell)), 1e-9), 1)
    weight = shell * area + marrow * present * inside
    return Cloud(x.astype(np.float32), y.astype(np.float32), weight.astype(np.float32))


def bezier(*points: tuple[float, float, float], count: int = 40) -> NDArray[np.float64]:
    """A smooth path that starts and ends at the outer points and leans to the others, (count, 3)."""
    t = np.linspace(0, 1, count)[:, None]
    layer = [np.asarray(p, float)[None, :] + 0 * t for p in points]
    while len(layer) > 1:
        layer = [(1 - t) * a + t * b for a, b in pairwise(layer)]
    return layer[0]
