"""The lung vessels of a phantom: trees that fork and thin from each hilum. Units: see `phantom_anatomy`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxrviewer.studies.phantom_anatomy import LEFT, RIGHT, Anatomy
from cxrviewer.studies.phantom_geometry import Canvas, Cloud, Field, project

GENERATIONS = 8


def vessels(body: Anatomy, canvas: Canvas, seed: int) -> Field:
    """Lung arteries and veins that fork and thin outwards: mm of blood along each ray, (H, W)."""
    rng = np.random.default_rng([seed, 4])
    clouds = []
    for side in (RIGHT, LEFT):
        hilum = (side * 34 * body.width + body.shift(0), (118 if side == RIGHT else 108) * body.height)
        clouds += _tree(body, canvas, rng, side, hilum)
    return project(canvas, clouds, 0.4)


def _tree(
    body: Anatomy, canvas: Canvas, rng: np.random.Generator, side: int, hilum: tuple[float, float]
) -> list[Cloud]:
    """One hilum's branches, generation by generation. Angles count from straight up, outwards."""
    angle = np.radians([4, 22, 40, 58, 78, 98, 114, 128, 140, 152, 164, 176]) + rng.normal(0, 0.12, 12)
    radius = np.array([3.6, 3.8, 3.4, 3.0, 2.8, 3.0, 3.4, 4.2, 5.4, 5.8, 5.0, 3.6]) * rng.uniform(
        0.8, 1.1, 12
    )
    x = hilum[0] + rng.normal(0, 3, 12) - side * 6
    y = hilum[1] + rng.normal(0, 5, 12) + np.linspace(-14, 20, 12)
    length = rng.uniform(14, 30, 12) * body.height
    clouds = []
    for _ in range(GENERATIONS):
        bend = rng.normal(0, 0.30, angle.size)
        cloud, x, y, angle = _segments(canvas, side, x, y, angle, bend, length, radius)
        clouds.append(cloud)
        spread = rng.uniform(0.30, 0.70, angle.size)
        share = rng.uniform(0.30, 0.70, angle.size)
        x, y = np.repeat(x, 2), np.repeat(y, 2)
        # The thicker child keeps more of its parent's course (Murray: the cubes of the radii add up).
        angle = np.stack([angle + spread * (1 - share), angle - spread * share], 1).ravel()
        radius = (np.stack([share, 1 - share], 1) ** (1 / 3) * radius[:, None] * 0.95).ravel()
        length = np.repeat(length, 2) * rng.uniform(0.60, 1.05, radius.size)
    return clouds


def _segments(
    canvas: Canvas,
    side: int,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    angle: NDArray[np.float64],
    bend: NDArray[np.float64],
    length: NDArray[np.float64],
    radius: NDArray[np.float64],
) -> tuple[Cloud, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Slightly bent tapering pieces of vessel as points; and where each ends, and in which direction."""
    along = max(4, int(np.median(length) / canvas.pixel / 1.2))
    across = max(3, int(1.3 * np.max(radius) / canvas.pixel))
    t = (np.arange(along) + 0.5) / along
    heading = angle[:, None] + bend[:, None] * t
    step = (length / along)[:, None]
    px = x[:, None] + side * np.cumsum(np.sin(heading) * step, axis=1)
    py = y[:, None] - np.cumsum(np.cos(heading) * step, axis=1)
    thin = radius[:, None] * (1 - 0.15 * t)
    v = (np.arange(across) + 0.5) / across * 2 - 1
    offset = thin[:, :, None] * v
    cx = px[:, :, None] + side * np.cos(heading)[:, :, None] * offset
    cy = py[:, :, None] + np.sin(heading)[:, :, None] * offset
    weight = 2 * thin[:, :, None] * np.sqrt(1 - v * v) * (2 * thin / across * step)[:, :, None]
    cloud = Cloud(cx.astype(np.float32), cy.astype(np.float32), weight.astype(np.float32))
    return cloud, px[:, -1], py[:, -1], angle + bend
