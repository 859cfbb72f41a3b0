"""The bones of a phantom: rib cage, spine and shoulder girdle. Units and axes: see `phantom_anatomy`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxrviewer.studies.phantom_anatomy import LEFT, RIGHT, Anatomy, lateral_edge
from cxrviewer.studies.phantom_geometry import Canvas, Cloud, Field, bezier, project, tube
from cxrviewer.studies.radiograph import View


def rib_level(number: int) -> float:
    """y of the head of rib 1 to 12, before the body's height factor; the vertebrae follow it."""
    return float(-5 + 18.8 * (number - 1) + 0.42 * (number - 1) ** 1.5)


def ribs(body: Anatomy, step: float, rng: np.random.Generator) -> list[Cloud]:
    """Twelve pairs. Each runs outwards from the spine, falls round the side, and on inwards."""
    clouds = []
    for number in range(1, 13):
        level = rib_level(number) * body.height
        drop = (
            body.rib_slope
            * body.height
            * float(np.interp(number, [1, 2, 4, 7, 10, 12], [58, 76, 104, 134, 152, 80]))
        )
        end = float(
            np.interp(number, [1, 2, 5, 7, 9, 10, 11, 12], [2.5, 2.55, 2.52, 2.45, 2.3, 2.15, 1.75, 1.4])
        )
        for side in (RIGHT, LEFT):
            theta = np.linspace(0.17, end + float(rng.normal(0, 0.03)), 70)
            u = theta / np.pi
            # Level with its head at first (even a little above), then ever steeper until it is past the side.
            fall = 1.9 * u**1.7 / (1 + 0.9 * u**2.2) - (0.05 if number == 1 else 0.15) * np.sin(
                np.clip(theta / 1.1, 0, np.pi)
            )
            y = level + drop * fall + float(rng.normal(0, 0.8))
            side_y = float(np.interp(np.pi / 2, theta, y)) if end > 1.6 else float(y[-1])
            reach = float(lateral_edge(body, np.array([max(side_y, 6.0)], np.float32))[0]) + 2.5
            if number == 1:
                reach *= 0.72
            elif number == 2:
                reach *= 0.93
            depth = reach * 0.66
            x = side * reach * np.sin(theta) ** 0.80
            path = np.stack([x, y, -depth * np.cos(theta)], axis=1)
            facing = np.stack([side * np.sin(theta), 0 * theta, -np.cos(theta)], axis=1)
            taper = np.clip((end - theta) / 0.10, 0, 1) ** 0.5
            tall = (5.4 if number > 1 else 6.2) * (0.92 + 0.22 * u) * np.clip(theta / 0.3, 0.7, 1)
            cortex = (
                body.bone
                * float(np.interp(number, [1, 3, 8, 9, 10], [0.6, 0.95, 0.95, 0.75, 0.45]))
                * taper
                * (1.05 - 0.45 * u)
            )
            clouds.append(tube(path, 3.2, tall, cortex, step=step, facing=facing, rotation=body.rotation))
    return clouds


def spine(body: Anatomy, step: float) -> list[Cloud]:
    """Vertebrae from the neck to the belly: bodies, end plates, pedicles, processes."""
    clouds = []
    bend = 2.0 * np.sin(np.linspace(0, 5, 24) + body.heart * 9)
    for index in range(-3, 21):
        number = index + 1
        top = (
            rib_level(number) * body.height
            if number >= 1
            else (rib_level(1) + 17 * (number - 1)) * body.height
        )
        high = (rib_level(max(number, 1) + 1) - rib_level(max(number, 1))) * body.height * 0.80
        x, half = float(bend[index + 3]), (12.5 + 0.42 * (index + 3)) * (1 - 0.1 * body.child)
        z = -62.0
        middle, bottom = top + high / 2, top + high

        def add(
            path: NDArray[np.float64], thick: float, tall: float, cortex: float, marrow: float = 0.0
        ) -> None:
            clouds.append(
                tube(path, thick, tall, cortex * body.bone, step=step, marrow=marrow, rotation=body.rotation)
            )

        column = np.array([[x, top + high * t, z] for t in np.linspace(0, 1, 9)])
        waist = 1 - 0.10 * np.sin(np.linspace(0, np.pi, 9))
        clouds.append(
            tube(
                column,
                13 * waist,
                half * waist,
                0.16 * body.bone,
                step=step,
                marrow=0.04,
                rotation=body.rotation,
            )
        )
        for plate in (top, bottom):
            add(bezier((x - half, plate, z), (x, plate, z), (x + half, plate, z)), 9.0, 0.8, 0.13)
        for side in (RIGHT, LEFT):
            ring = np.array([[x + side * half * 0.66, top + high * 0.32, z - d] for d in (14.0, 20.0, 26.0)])
            angle = np.array([[side, 0.0, 0.0]] * 3)
            clouds.append(
                tube(
                    ring,
                    2.6,
                    4.0,
                    0.17 * body.bone,
                    step=step,
                    facing=angle,
                    marrow=0,
                    rotation=body.rotation,
                )
            )
            if 0 < number <= 12:
                tip = (x + side * (half + 13), top + high * 0.22, z - 34)
                add(bezier((x + side * half * 0.8, top + high * 0.4, z - 26), tip), 3.0, 3.6, 0.5, 0.1)
        add(bezier((x, middle, z - 30), (x, bottom + 4, z - 48), (x, bottom + 9, z - 50)), 4.0, 2.3, 0.5, 0.1)
    return clouds


def shoulder_girdle(body: Anatomy, step: float) -> list[Cloud]:
    """Collar bones, upper arms and shoulder blades; these stand clear of the lungs in PA."""
    clouds = []
    w, h = body.width, body.height
    raised = 9.0 if body.view is View.AP else 0.0
    clear = 0.0 if body.view is View.PA else -17.0
    for side in (RIGHT, LEFT):
        lean = side * body.rotation * 60

        def add(
            points: list[tuple[float, float, float]], thick: float, tall: float, cortex: float, s: int = side
        ) -> None:
            path = bezier(*((s * x * w, y * h, z) for x, y, z in points))
            ends = np.abs(np.linspace(-1, 1, len(path)))
            flare = 1 + 0.35 * ends**4
            wall = cortex * body.bone * np.clip((1.02 - ends) / 0.12, 0, 1)
            clouds.append(tube(path, thick * flare, tall * flare, wall, step=step, rotation=body.rotation))

        clavicle_y = 40 - raised + lean
        add(
            [
                (14, clavicle_y, 60),
                (55, clavicle_y - 5, 78),
                (92, clavicle_y - 34, 30),
                (148, clavicle_y - 30, 0),
            ],
            5.2,
            5.4,
            1.7,
        )
        blade = 146 + clear
        add(
            [(blade, 38, -30), (blade - 4, 80, -50), (blade - 8, 120, -60), (blade - 22, 158, -66)],
            3.4,
            2.6,
            1.5,
        )
        add(
            [(104 + clear, 22, -66), (98 + clear, 70, -72), (blade - 40, 120, -72), (blade - 22, 158, -66)],
            2.2,
            1.3,
            0.7,
        )
        add([(103 + clear, 44, -74), (130 + clear / 2, 30, -78), (160, 2, -20)], 2.6, 3.6, 0.9)
        add([(104 + clear, 22, -66), (120, 8, -55), (146, 12, -20)], 2.0, 1.5, 0.8)
        add([(142, 22, 0), (134, 8, 10), (128, 20, 22)], 4.0, 5.0, 1.0)
        add([(blade + 3, 18, -20), (blade - 1, 34, -22), (blade + 4, 50, -20)], 8.0, 3.0, 0.9)
        down = np.linspace(0, 150, 90)
        ball = np.sqrt(np.maximum(23.0**2 - (down - 23) ** 2, 0.3))
        girth = np.maximum(ball, np.where(down > 23, 12 + 11 * np.exp(-(((down - 23) / 18) ** 2)), 0))
        path = np.stack(
            [side * (163 * w + 0.05 * down + 0.0013 * down**2), 6 - raised + down, 0 * down - 8], axis=1
        )
        clouds.append(tube(path, girth, girth, 1.1 * body.bone, step=step, marrow=0.05))
    return clouds


def bones(body: Anatomy, canvas: Canvas, seed: int) -> Field:
    """The skeleton: mm of compact bone along each ray, (H, W)."""
    step = canvas.pixel * 1.15
    rng = np.random.default_rng([seed, 3])
    clouds = ribs(body, step, rng) + spine(body, 1.3 * step) + shoulder_girdle(body, step)
    return project(canvas, clouds, 0.45)
