"""Procedural chest radiographs with a lesion whose place is known: demo studies, lessons and test pictures.

No patient stands behind them, and every file says so in its header. What is measured on a phantom shows that
the plumbing works; it is never a clinical figure. The same seed gives the same body on a film of any size,
and the same bytes on a film of the same size.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cxrviewer.errors import ConfigurationError
from cxrviewer.studies import phantom_anatomy as anatomy
from cxrviewer.studies.phantom_anatomy import LEFT, RIGHT, Anatomy
from cxrviewer.studies.phantom_files import phantom_dicom, phantom_png
from cxrviewer.studies.phantom_geometry import Canvas, Field, ellipsoid, union
from cxrviewer.studies.phantom_skeleton import bones
from cxrviewer.studies.phantom_vessels import vessels
from cxrviewer.studies.radiograph import View

__all__ = [
    "DEMO_SEEDS",
    "Kind",
    "Lesion",
    "Phantom",
    "Side",
    "Zone",
    "make_phantom",
    "phantom_dicom",
    "phantom_png",
]

DEMO_SEEDS = (3, 7, 12)
"""Demo studies for an empty worklist."""

MAX_VALUE = 4095
SIZES = (64, 4096)

TISSUE, BONE, LUNG_SHARE = 0.0200, 0.045, 0.27
"""Attenuation per mm of soft tissue; what a mm of compact bone adds to it; lung as a share of soft tissue
(about 70 keV, rounded; only their ratios show)."""


class Kind(StrEnum):
    """What is planted."""

    CONSOLIDATION = "consolidation"
    NODULE = "nodule"


class Side(StrEnum):
    """The patient's side: `right` is on the image's left."""

    RIGHT = "right"
    LEFT = "left"


class Zone(StrEnum):
    """Which third of the lung's height."""

    UPPER = "upper"
    MIDDLE = "middle"
    LOWER = "lower"


@dataclass(frozen=True)
class Lesion:
    """An opacity to plant. What is None is drawn from the seed.

    contrast: in (0, 1], how far it lifts the lung towards the density of the mediastinum at its core.
    """

    kind: Kind = Kind.CONSOLIDATION
    side: Side | None = None
    zone: Zone | None = None
    contrast: float | None = None


@dataclass(frozen=True, eq=False)
class Phantom:
    """One phantom's film and the truth about it.

    pixels: (H, W) uint16, 0 to 4095, white is dense (MONOCHROME2), logarithmic like a digital film's.
    lesion: (H, W) bool, True exactly where the planted opacity changes the film; within `lungs`.
    lungs: (H, W) bool, lung above the diaphragm and beside the heart and the great vessels (not behind them).
    planted: the lesion with everything that was drawn filled in, or None.
    """

    pixels: NDArray[np.uint16]
    lesion: NDArray[np.bool_]
    lungs: NDArray[np.bool_]
    seed: int
    view: View
    planted: Lesion | None
    body: Anatomy

    @property
    def spacing_mm(self) -> float:
        """True millimetres a pixel, in the plane of the detector."""
        return float(self.body.scale * self.body.field / self.pixels.shape[0])


def make_phantom(seed: int, *, size: int = 1024, lesion: Lesion | str | None = "consolidation") -> Phantom:
    """The phantom of a seed (0 or more) on a square film of `size` pixels, 64 to 4096.

    `lesion` is a `Lesion`, the name of a kind, or None (or "none") for a chest without one. Body, film and
    noise do not depend on it, so two calls give the same pixels outside the mask. Raises ConfigurationError.
    """
    if not SIZES[0] <= size <= SIZES[1] or seed < 0:
        raise ConfigurationError(
            f"A phantom cannot have seed {seed} and size {size}.",
            f"Give a seed of 0 or more and a size from {SIZES[0]} to {SIZES[1]}.",
        )
    planted = _complete(lesion, seed)
    body = anatomy.draw_anatomy(seed)
    canvas = body.canvas(size)
    density, lungs = _density(body, canvas, seed)
    film = _equalised(density, canvas)
    black, white = float(np.median(film[lungs])), float(np.percentile(film[::4, ::4], 97))
    mask = np.zeros_like(lungs)
    if planted is not None and planted.contrast is not None:
        opacity = _opacity(planted, body, canvas, seed) * lungs
        mask = opacity > 0
        film += np.float32(planted.contrast * (white - black)) * opacity
    return Phantom(_exposed(film, black, white, seed), mask, lungs, seed, body.view, planted, body)


# -- from body to film -----------------------------------------------------------------------------


def _density(body: Anatomy, canvas: Canvas, seed: int) -> tuple[Field, NDArray[np.bool_]]:
    """Attenuation along each ray (natural logarithm) and the mask of clear lung, (H, W)."""
    # What has no sharp edge is drawn coarsely; muscle and fat run into each other, so it is blurred as well.
    coarse = Canvas(min(320, canvas.size), canvas.width, canvas.top)
    wall = anatomy.soft_tissue(body, coarse)
    wall = ndimage.gaussian_filter(wall, 3.0 / coarse.pixel) + anatomy.breasts(body, coarse)
    wall *= 1 + _mottle(seed, coarse.size)
    wall -= 0.9 * anatomy.airway(body, coarse) + 0.5 * anatomy.gas(body, coarse, seed)
    soft = _resampled(wall, canvas.size)

    right, left = (anatomy.lung(body, canvas, side) for side in (RIGHT, LEFT))
    air = right.path + left.path
    centre = union(anatomy.heart(body, canvas), anatomy.great_vessels(body, canvas))
    # Heart and vessels push lung aside, but some lung is always before or behind them.
    lung = np.maximum(air - centre, 0.22 * air)
    soft -= (1 - LUNG_SHARE) * lung
    soft += vessels(body, canvas, seed) * np.minimum(lung / 120, 1) ** np.float32(1.5) * np.float32(1.3)
    density = TISSUE * np.maximum(soft, 0) + BONE * bones(body, canvas, seed)
    return density, (right.area | left.area) & (centre <= 0)


def _mottle(seed: int, size: int) -> Field:
    """Uneven soft tissue: (size, size), a few per cent about zero."""
    rng = np.random.default_rng([seed, 6])
    total = np.zeros((size, size), np.float32)
    for cells, strength in ((12, 0.014), (40, 0.007)):
        total += _resampled(rng.normal(0, strength, (cells, cells)).astype(np.float32), size, order=3)
    return total


def _resampled(field: Field, size: int, order: int = 1) -> Field:
    zoomed = ndimage.zoom(field, size / field.shape[0], order=order, grid_mode=True, mode="nearest")
    return np.asarray(zoomed, np.float32)


def _equalised(density: Field, canvas: Canvas) -> Field:
    """What a digital system does before display: large differences reduced, small ones lifted."""
    small = _resampled(ndimage.uniform_filter(density, max(1, canvas.size // 128)), 128)
    low = _resampled(ndimage.gaussian_filter(small, 26 / (canvas.width / 128)), canvas.size)
    film = density - np.float32(0.38) * low
    fine = ndimage.gaussian_filter(film, 1.6 / canvas.pixel, truncate=2.5)
    return np.asarray(film + np.float32(0.5) * (film - fine), np.float32)


def _exposed(film: Field, black: float, white: float, seed: int) -> NDArray[np.uint16]:
    """Quantum noise, the film's curve, 12 bits. Point by point, so that a lesion stays within its mask."""
    rng = np.random.default_rng([seed, 5])
    lung_grey = float(rng.uniform(0.32, 0.44))
    noise = rng.standard_normal(film.shape, dtype=np.float32)
    # Fewer photons arrive behind dense tissue, so the logarithm is noisier there.
    film = film + np.float32(0.022) * noise * np.exp(np.float32(0.25) * (film - np.float32(black)))
    t = (film - np.float32(black)) / np.float32(white - black)
    shoulder = (1 - np.exp(-1.5 * np.maximum(t, 0))) / np.float32(1 - np.exp(-1.5))
    value = np.float32(lung_grey) + np.float32(0.94 - lung_grey) * np.where(t > 0, shoulder, t)
    return np.asarray(np.rint(np.clip(value, 0, 1) * MAX_VALUE), np.uint16)


# -- the lesion ------------------------------------------------------------------------------------

CONTRASTS = {Kind.CONSOLIDATION: (0.26, 0.48), Kind.NODULE: (0.20, 0.40)}


def _complete(wish: Lesion | str | None, seed: int) -> Lesion | None:
    """Fill in what a wish leaves open. Each is drawn, needed or not, so that none moves another."""
    if wish is None or wish == "none":
        return None
    if not isinstance(wish, Lesion):
        if wish not in set(Kind):
            raise ConfigurationError(
                f"No lesion is called '{wish}'.", f"Choose one of: {', '.join(Kind)}, none."
            )
        wish = Lesion(Kind(wish))
    rng = np.random.default_rng([seed, 7])
    side = Side.RIGHT if rng.random() < 0.55 else Side.LEFT
    zone = tuple(Zone)[int(rng.choice(3, p=[0.25, 0.35, 0.40]))]
    low, high = CONTRASTS[wish.kind]
    contrast = float(rng.uniform(low, high)) if wish.contrast is None else wish.contrast
    if not 0 < contrast <= 1:
        raise ConfigurationError(
            f"A lesion's contrast cannot be {contrast}.", "Give more than 0 and at most 1."
        )
    return Lesion(wish.kind, wish.side or side, wish.zone or zone, contrast)


def _opacity(lesion: Lesion, body: Anatomy, canvas: Canvas, seed: int) -> Field:
    """(H, W) in [0, 1], exactly 0 outside the lesion; not yet cut to the lung."""
    rng = np.random.default_rng([seed, 8])
    x0, y0 = _place(lesion, body, rng)
    if lesion.kind is Kind.NODULE:
        radius = float(rng.uniform(6, 13))
        ball = ellipsoid(canvas, (x0, y0), (radius, radius * float(rng.uniform(0.85, 1)), 0.5))
        return np.asarray(ball**0.8, np.float32)
    radius = float(rng.uniform(20, 34))
    x, y = canvas.x - np.float32(x0), canvas.y - np.float32(y0)
    clear = np.ones((canvas.size, canvas.size), np.float32)
    for _ in range(9):
        dx, dy = rng.normal(0, 0.42 * radius, 2)
        spread = float(rng.uniform(0.25, 0.50)) * radius
        blob_x = np.exp(-((x - np.float32(dx)) ** 2) / np.float32(2 * spread**2))
        blob_y = np.exp(-((y - np.float32(0.8 * dy)) ** 2) / np.float32(2 * spread**2))
        clear *= 1 - np.float32(0.75) * blob_x * blob_y
    patches = _resampled(rng.normal(0, 1, (64, 64)).astype(np.float32), canvas.size, order=1)
    patchy = (1 - clear) * (1 + np.float32(0.14) * patches)
    return np.clip((patchy - 0.25) / 0.65, 0, 1)


def _place(lesion: Lesion, body: Anatomy, rng: np.random.Generator) -> tuple[float, float]:
    """A point well inside clear lung of the wished side and zone, in mm; the same on a film of any size."""
    film = body.canvas(96)
    half = anatomy.lung(body, film, LEFT if lesion.side is Side.LEFT else RIGHT).area
    centre = union(anatomy.heart(body, film), anatomy.great_vessels(body, film))
    rows = np.flatnonzero(half.any(axis=1))
    third = tuple(Zone).index(lesion.zone or Zone.MIDDLE)
    first, last = rows[0] + third * len(rows) / 3, rows[0] + (third + 1) * len(rows) / 3
    depth = ndimage.distance_transform_edt(half & (centre <= 0))
    depth[: int(first)] = 0
    depth[int(last) :] = 0
    inside = np.argwhere(depth >= 0.6 * depth.max())
    row, column = inside[int(rng.integers(len(inside)))]
    return float(film.x[0, column]), float(film.y[row, 0])
