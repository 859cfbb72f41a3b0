"""Who a phantom is: one drawn body, and the soft solids that a ray crosses in it.

Lengths are *body millimetres*: those of an adult, so that a child is the same drawing with other proportions
on a smaller film. x grows to the image's right (the patient's left), y downwards from the apex of the lungs,
z towards the breastbone. Every solid answers with a path length in mm for each pixel; grey values come later.
Proportions were set by eye against published radiographs; no measurement may rest on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrviewer.studies.phantom_geometry import Canvas, Field, capsule, ellipsoid, smooth, union
from cxrviewer.studies.radiograph import View

RIGHT, LEFT = -1, 1
"""The patient's sides, as the sign of x on the film."""

FIELD_MM = 364.0
ADULT = 18.0


@dataclass(frozen=True)
class Anatomy:
    """What differs from one phantom to the next. Factors are 1 for the middle of the range."""

    age: float
    """Years."""
    female: bool
    view: View
    scale: float
    """True millimetres for one body millimetre."""
    width: float
    height: float
    heart: float
    fat: float
    """0 lean to 1 obese."""
    rotation: float
    """Radians about the long axis; the breastbone moves to the image's right when positive."""
    rib_slope: float
    bone: float
    domes: tuple[float, float]
    """y of the top of the right and the left half of the diaphragm."""
    field: float
    top: float

    @property
    def child(self) -> float:
        """1 for an infant, 0 from 18 years on."""
        return max(0.0, 1 - self.age / ADULT)

    def canvas(self, size: int) -> Canvas:
        """The film that this body is projected on, `size` pixels a side."""
        return Canvas(size, self.field, self.top)

    def shift(self, z: float) -> float:
        """How far the slight rotation moves what lies at depth z across the film, in mm."""
        return float(z * np.sin(self.rotation))


def draw_anatomy(seed: int) -> Anatomy:
    """The body that belongs to a seed. Same seed, same body, whatever the film's size."""
    rng = np.random.default_rng([seed, 1])
    age = float(rng.uniform(1, 6) if rng.random() < 0.15 else np.clip(rng.normal(50, 17), 16, 88))
    child = max(0.0, 1 - age / ADULT)
    view = View.AP if rng.random() < 0.25 or age < 6 else View.PA
    anteroposterior = float(view is View.AP)
    fat = float(rng.beta(2, 3.2))
    width = float(rng.uniform(0.93, 1.07))
    height = float(rng.uniform(0.95, 1.07) * (1 - 0.10 * child) * (1 - 0.05 * anteroposterior))
    right_dome = 212 * height + float(rng.uniform(-8, 6)) - 6 * fat
    return Anatomy(
        age=age,
        female=bool(rng.random() < 0.5),
        view=view,
        scale=1 - 0.5 * child,
        width=width,
        height=height,
        heart=float(rng.uniform(0.88, 1.10) * (1 + 0.10 * anteroposterior + 0.10 * child)),
        fat=fat,
        rotation=float(np.clip(rng.normal(0, 0.02), -0.06, 0.06)),
        rib_slope=float(rng.uniform(0.88, 1.15) * (1 - 0.35 * child)),
        bone=float(rng.uniform(0.85, 1.1) * (1 - 0.25 * child) * (1 - 0.004 * max(0.0, age - 50))),
        domes=(right_dome, right_dome + float(rng.uniform(7, 15))),
        field=FIELD_MM * width * float(rng.uniform(0.92, 1.04)) * (1 + 0.05 * fat),
        top=float(rng.uniform(-62, -44)),
    )


# -- the lungs -------------------------------------------------------------------------------------


def lateral_edge(body: Anatomy, y: Field) -> Field:
    """|x| of the lung's outer border at height y, before the apex closes it; the ribs follow it too."""
    knots = [0.0, 15.0, 30.0, 55.0, 95.0, 140.0, 185.0, 230.0, 275.0]
    adult = [74.0, 84.0, 94.0, 107.0, 120.0, 129.0, 134.0, 136.0, 135.0]
    # A child's chest is a barrel: wide above, hardly wider below.
    barrel = [84.0, 93.0, 102.0, 112.0, 121.0, 126.0, 129.0, 130.0, 130.0]
    edge = [body.width * (a + body.child * (b - a)) for a, b in zip(adult, barrel, strict=True)]
    return smooth(edge, [k * body.height for k in knots], y)


@dataclass(frozen=True, eq=False)
class Lung:
    """One lung: `path` (H, W) mm along the ray; `area` (H, W) bool, its shadow above the diaphragm."""

    path: Field
    area: NDArray[np.bool_]


def lung(body: Anatomy, canvas: Canvas, side: int) -> Lung:
    """The lung of one side. Below the top of its dome the ray still crosses lung behind the liver."""
    own = side * canvas.x[0] > 0
    y, x = canvas.y, side * canvas.x[:, own]
    closing = np.sqrt(1 - (1 - np.clip(y / (30 * body.height), 0, 1)) ** 2)
    summit = 47 * body.width
    outer = summit + (lateral_edge(body, y) - summit) * closing
    # The edge at the mediastinum wanders: vessels of the neck above, the azygos arch and the aorta below.
    wander = [5.0, 3.0, 0.0, 3.0, -1.0, 0.0] if side == RIGHT else [6.0, 4.0, 1.0, 2.0, 0.0, 2.0]
    middle = smooth([20 + w for w in wander], [0, 30, 65, 95, 140, 220], y, 8.0)
    inner = summit - (summit - middle) * closing
    half = np.maximum((outer - inner) / 2, 1e-3)
    u = np.clip((x - (outer + inner) / 2) / half, -1, 1)
    # Towards the spine the lung keeps its depth to the end; outwards it thins like the chest itself.
    profile = np.sqrt(1 - np.where(u < 0, np.abs(u) ** 5, np.abs(u) ** 2.1))
    depth = 168 * (1 - (1 - np.clip(y / (150 * body.height), 0, 1)) ** 2) ** np.float32(0.55)
    depth = depth * (1 - 0.30 * np.clip((y / body.height - 150) / 110, 0, 1.2) ** 2)
    full = depth * profile * (y > 0)
    dome = _dome(body, x, side)
    below = np.maximum(y - dome, 0)
    behind = np.maximum(0.15 - 0.15 * np.sqrt(below / 30), 0)
    before = np.maximum(0.85 - 0.85 * np.sqrt(below / 7), 0)
    path = np.zeros((canvas.size, canvas.size), np.float32)
    area = np.zeros((canvas.size, canvas.size), np.bool_)
    path[:, own] = full * (behind + before)
    area[:, own] = (full > 2) & (below <= 0)
    return Lung(path, area)


def _dome(body: Anatomy, x: Field, side: int) -> Field:
    """(1, W): y of the diaphragm's edge; its outer fall makes the costophrenic angle."""
    top = body.domes[0 if side == RIGHT else 1]
    edge = float(lateral_edge(body, np.array([[top + 30]], np.float32))[0, 0])
    middle = 0.46 * edge
    outwards = np.clip((x - middle) / (edge - middle), 0, 1.2)
    inwards = np.clip((middle - x) / middle, 0, 1.5)
    return np.asarray(top + 36 * outwards**2.3 + (13 if side == RIGHT else 20) * inwards**2, np.float32)


# -- heart and great vessels -----------------------------------------------------------------------


def heart(body: Anatomy, canvas: Canvas) -> Field:
    """Heart and great vessels, (H, W) mm. Its mass lies on the image's right: the patient's left."""
    k, w = body.heart, body.width
    x0, base = body.shift(35), body.domes[1]
    flat = 0.25 * body.fat + 0.3 * body.child

    def at(x: float, up: float) -> tuple[float, float]:
        return x0 + x * w, base - up * k

    ventricle = ellipsoid(canvas, at(29, 42), (62 * k * w, 46 * k, 46 * k), 0.75 - 0.4 * flat)
    apex = ellipsoid(canvas, at(44, 16), (38 * k * w, 30 * k, 34 * k), 0.30)
    atrium = ellipsoid(canvas, at(-10, 42), (30 * k * w, 47 * k, 34 * k), -0.10)
    outflow = ellipsoid(canvas, at(14, 92), (29 * k * w, 50 * k, 32 * k), -0.28)
    auricle = ellipsoid(canvas, at(25, 73), (27 * k * w, 32 * k, 30 * k), -0.3)
    return union(ventricle, apex, atrium, outflow, auricle)


def great_vessels(body: Anatomy, canvas: Canvas) -> Field:
    """Aortic arch, pulmonary trunk, upper caval vein and the thymus of a small child, (H, W) mm."""
    x0, h, w = body.shift(15), body.height, body.width
    older = float(np.clip((body.age - 30) / 50, -0.2, 1))
    knob = ellipsoid(canvas, (x0 + (20 + 5 * older) * w, 72 * h), (15 + 4 * older, 17 + 3 * older, 22), 0.5)
    trunk = ellipsoid(canvas, (x0 + 22 * w, 104 * h), (16 * w, 22 * h, 20), 0.4)
    descending = capsule(
        canvas, (16 + 6 * older, 75 * h), (9 + 8 * older, body.domes[1] + 40), 14 + 2 * older
    )
    cava = capsule(canvas, (x0 - 13 * w, 42 * h), (x0 - 15 * w, 130 * h), 12.5)
    ascending = capsule(canvas, (x0 - 12 * w, 92 * h), (x0 - 6, 135 * h), 16 + 4 * older)
    pedicle = capsule(canvas, (x0 - 2, 20 * h), (x0, 110 * h), 26 + 8 * body.child)
    return union(knob, trunk, descending, cava, ascending, pedicle)


def airway(body: Anatomy, canvas: Canvas) -> Field:
    """Windpipe and main bronchi: path length in air, (H, W) mm."""
    h, x0 = body.height, body.shift(-5)
    fork = (x0 - 3, 92 * h)
    narrow = 1 - 0.2 * body.child
    windpipe = capsule(canvas, (x0 * 0.3, -90), fork, 8.2 * narrow)
    right = capsule(canvas, fork, (x0 - 30, 116 * h), 6.5 * narrow)
    left = capsule(canvas, fork, (x0 + 36, 118 * h), 5.5 * narrow)
    return union(windpipe, right, left)


# -- the body around them --------------------------------------------------------------------------


def soft_tissue(body: Anatomy, canvas: Canvas) -> Field:
    """Thickness of the whole body, lungs counted as solid, (H, W) mm; zero in the air beside it."""
    y, x = canvas.y, np.abs(canvas.x)
    wall = 20 + 34 * body.fat
    edge = lateral_edge(body, np.maximum(y, 60)) + wall
    waist = smooth([0.0, 0.0, 6.0, 14.0 * (1 - 2 * body.fat)], [0, 200, 260, 400], y)
    inside = np.clip(1 - (x / (edge - waist)) ** 2.9, 0, None)
    rising = np.clip((y + 40) / 120, 0, 1)
    belly = 1 + 0.12 * np.clip((y - 190) / 120, 0, 1)
    depth = (200 + 60 * body.fat) * np.sqrt(1 - (1 - rising) ** 3) * belly
    torso = depth * np.sqrt(inside)
    neck = 2 * np.sqrt(np.maximum((52 + 10 * body.fat) ** 2 - x * x, 0)) * np.clip((95 - y) / 60, 0, 1)
    solids = [torso.astype(np.float32), neck.astype(np.float32)]
    raised = 6.0 if body.view is View.PA else -4.0
    for side in (RIGHT, LEFT):
        shoulder = (side * 158.0 * body.width, 26.0 - raised)
        arm = (side * (236.0 + 20 * body.fat), 150.0)
        girth = 47 + 12 * body.fat
        trapezius = capsule(
            canvas, (side * 10.0, -40.0), (side * 150.0 * body.width, 26.0), 44 + 8 * body.fat
        )
        solids.append(1.5 * trapezius)
        solids.append(1.25 * capsule(canvas, (side * 70.0, 45.0), shoulder, girth))
        solids.append(capsule(canvas, shoulder, arm, girth))
    return union(*solids)


def breasts(body: Anatomy, canvas: Canvas) -> Field:
    """Breast or pectoral tissue in front of the chest, (H, W) mm."""
    grown = body.female and body.age > 14
    thickness = 22 + 30 * body.fat if grown else 6 + 8 * body.fat
    y0, ry = (178.0, 56.0) if grown else (110.0, 62.0)
    total = np.zeros((canvas.size, canvas.size), np.float32)
    for side in (RIGHT, LEFT):
        centre = (side * 92.0 * body.width + body.shift(100), y0 * body.height)
        round_ = ellipsoid(canvas, centre, (62 * body.width, ry, 0.5), side * 0.3)
        hanging = np.clip((canvas.y - centre[1] + ry) / (1.6 * ry), 0, 1)
        total += thickness * round_**1.5 * hanging
    return total


def gas(body: Anatomy, canvas: Canvas, seed: int) -> Field:
    """Gas of stomach and bowel, under the left dome: path length in air, (H, W) mm."""
    rng = np.random.default_rng([seed, 2])
    left = body.domes[1]
    stomach = (float(rng.uniform(45, 75)), left + float(rng.uniform(20, 28)))
    bubble = ellipsoid(canvas, stomach, (float(rng.uniform(20, 32)), float(rng.uniform(9, 14)), 22), 0.1)
    loops = [
        ellipsoid(
            canvas,
            (float(rng.uniform(30, 120)), left + float(rng.uniform(45, 90))),
            (float(rng.uniform(9, 18)), float(rng.uniform(6, 11)), 11),
            float(rng.uniform(-0.8, 0.8)),
        )
        for _ in range(int(rng.integers(0, 4)))
    ]
    return union(bubble, *loops) if loops else bubble
