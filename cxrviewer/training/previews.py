"""What a recipe does to a picture, for whoever chooses it: each change alone, at its strongest, beside the original."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cxrviewer.classifiers.preparer import Preparer
from cxrviewer.training.augmentation import draw, mix, move, shade
from cxrviewer.training.config import Augmentation, Preparation
from cxrviewer.training.picture_filling import to_bytes
from cxrviewer.training.preparation import spec_of

Square = NDArray[np.uint8]
Grey = NDArray[np.float32]

SIZE = 160
TOGETHER = "together"
"""The name of the last preview: all changes at once, as drawn, as a network would see it in an epoch."""

STILL = Augmentation(
    degrees=0, shift=0, scale=0, aspect=0, gamma=0, contrast=0, noise=0, erase=0, flip=False, surroundings=0, blend=0
)  # fmt: skip
_ALWAYS = {"erase": 1.0, "surroundings": 1.0, "blend": 1.0}
"""Shares of the pictures that are changed at all: a preview shows one that is."""
_STRONG = {
    "degrees": {0: 1.0}, "shift": {3: 1.0, 4: 1.0}, "scale": {1: 1.0}, "aspect": {2: 1.0}, "gamma": {5: 1.0},
    "contrast": {6: 1.0, 7: 1.0}, "noise": {9: 1.0}, "flip": {20: -1.0}, "blend": {17: -1.0, 18: 1.0},
    "surroundings": {16: -1.0, 19: 1.0},
}  # fmt: skip
"""By field: the columns of random numbers that decide it, and where each change is strongest."""


@dataclass(frozen=True, eq=False)
class Preview:
    """before, after: (S, S) uint8. on: False where the recipe leaves the change out, and `after` is `before`.

    note: what a reader must know of this picture (the lungs were not found); empty mostly.
    """

    name: str
    before: Square
    after: Square
    on: bool
    note: str = ""


def previews(
    picture: Grey,
    augmentation: Augmentation,
    seed: int,
    *,
    size: int = SIZE,
    mask: Grey | None = None,
    other: Grey | None = None,
    other_mask: Grey | None = None,
) -> tuple[Preview, ...]:
    """Each field of `augmentation` alone, at its strongest, then all together as drawn by `seed`.

    picture: (H, W) float32 in [0, 1]. other: a second picture, which `blend` and `surroundings` need, the latter with
    both lung masks (H, W, 1 inside); where they are not at hand, these two fields change nothing.
    """
    squares = _squares([picture, other], size)
    masks = _squares([mask, other_mask], size) if mask is not None and other_mask is not None else None
    found = []
    for name in Augmentation.model_fields:
        value = getattr(augmentation, name)
        alone = STILL.model_copy(update={name: _ALWAYS.get(name, value) if value else value})
        numbers = draw(seed, 0, np.arange(len(squares)))
        for column, strongest in _STRONG.get(name, {}).items():
            numbers[0, column] = strongest
        found.append(_preview(name, squares, masks, alone, numbers, bool(value)))
    together = draw(seed, 0, np.arange(len(squares)))
    return (*found, _preview(TOGETHER, squares, masks, augmentation, together, True))


def preparation_preview(picture: Grey, preparation: Preparation, size: int = SIZE) -> tuple[Preview, ...]:
    """Shape, lungs and harmonising, each alone, then all together, against the whole picture squashed.

    Normalisation is not shown: it changes numbers, not what can be seen. Raises ModelBundleError (no lung model).
    """
    plain = Preparation()
    before = to_bytes(Preparer(spec_of(plain, size)).picture(picture).square)
    steps = {
        name: plain.model_copy(update={name: getattr(preparation, name)})
        for name in ("shape", "lungs", "harmonise")
    }
    found = []
    for name, asked in (steps | {TOGETHER: preparation}).items():
        prepared = Preparer(spec_of(asked, size)).picture(picture)
        on = spec_of(asked, size) != spec_of(plain, size)
        found.append(Preview(name, before, to_bytes(prepared.square), on, " ".join(prepared.notes)))
    return tuple(found)


def _squares(pictures: list[Grey | None], size: int) -> torch.Tensor:
    """(N, 1, S, S) of those that are there."""
    prepared = Preparer(spec_of(Preparation(), size))
    return torch.from_numpy(np.stack([prepared.picture(p).square for p in pictures if p is not None]))[
        :, None
    ]


def _preview(
    name: str,
    squares: torch.Tensor,
    masks: torch.Tensor | None,
    how: Augmentation,
    numbers: NDArray[np.float32],
    on: bool,
) -> Preview:
    before = to_bytes(squares[0, 0].numpy())
    if not on:
        return Preview(name, before, before, False)
    lungs = torch.zeros_like(squares) if masks is None else masks
    both = move(torch.cat([squares, lungs], 1), numbers, how)
    shaded = shade(both[:, :1], numbers, how)
    has_mask = np.full(len(squares), masks is not None)
    targets = torch.zeros(len(squares), 1)
    changed, _, _ = mix(shaded, both[:, 1:], has_mask, targets, numbers, how)
    return Preview(name, before, to_bytes(changed[0, 0].numpy()), True)


def changes(found: tuple[Preview, ...]) -> Mapping[str, float]:
    """How much each preview changed the picture: mean absolute difference in grey values of 255."""
    return {p.name: float(np.abs(p.after.astype(np.int16) - p.before).mean()) for p in found}
