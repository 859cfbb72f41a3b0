"""Everything between a picture and the network's square, as one model's `InputSpec` asks: for films and training alike.

The order: which box of the picture is shown (shape, lungs), antialiased reduction of that box, harmonising of the grey
values. What is left, normalisation, belongs to the function that explanations explain (`preparing.normalise`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrviewer.classifiers.architecture import InputSpec
from cxrviewer.classifiers.framing import Frame, Shape
from cxrviewer.classifiers.harmonising import HARMONISE
from cxrviewer.classifiers.lungs import LungModel
from cxrviewer.classifiers.placing import (
    LOOK,
    Box,
    bringing,
    find_chest,
    lungs_box,
    template_of,
    with_margin,
)
from cxrviewer.classifiers.preparing import reduce
from cxrviewer.classifiers.shrinking import Part, shrink
from cxrviewer.errors import ModelBundleError
from cxrviewer.studies.radiograph import Radiograph

Array = NDArray[np.float32]

NOT_FOUND = (
    "The lungs were not found in this picture: it was given to the network without being moved or cut."
)


@dataclass(frozen=True)
class Placed:
    """frame: what the square shows. notes: what a reader must know (the lungs were not found)."""

    frame: Frame
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Prepared:
    """square: (S, S) float32 in [0, 1], before normalisation; frame and notes as in `Placed`."""

    square: Array
    frame: Frame
    notes: tuple[str, ...] = ()


class Preparer:
    """Prepares pictures for one network. Safe to share between threads: nothing on it changes.

    lungs: the lung network, where the spec needs one and it is at hand; else it is opened by the name that the spec
    holds. Raises ModelBundleError where that bundle is absent, or is another than the network was trained with.
    """

    def __init__(self, spec: InputSpec, lungs: LungModel | None = None) -> None:
        self.spec = spec
        self._lungs = lungs
        if spec.lungs in ("align", "crop") and lungs is None:
            self._lungs = open_lungs(spec.lungs_model)

    @property
    def still(self) -> bool:
        """True where the box depends on nothing but the picture's shape."""
        return self.spec.lungs == "none"

    def first(self, shape: Shape) -> Part:
        """What to reduce before anything else: the square itself, or a look at the whole picture for the lungs."""
        if self.still:
            return Part(self.spec.size, self._plain(shape))
        return Part(LOOK if self._lungs is None else self._lungs.size, Frame.whole(shape))

    def finish(self, first: Array, shape: Shape, again: Callable[[Part], Array]) -> Prepared:
        """The square, from what `first` asked for; `again` reduces another part of the same picture."""
        if self.still:
            frame = self._plain(shape)
            return Prepared(self.harmonise(first, frame, shape), frame)
        placed = self.place(first, shape)
        square = again(Part(self.spec.size, placed.frame))
        return Prepared(self.harmonise(square, placed.frame, shape), placed.frame, placed.notes)

    def film(self, radiograph: Radiograph) -> Prepared:
        """A radiograph's square, in one pass over it or two."""

        def again(part: Part) -> Array:
            return shrink(radiograph, part).squares[0]

        return self.finish(again(self.first(radiograph.shape)), radiograph.shape, again)

    def picture(self, picture: Array) -> Prepared:
        """The same of a picture at hand, (H, W) float32 in [0, 1]: training's way in."""
        shape = (picture.shape[0], picture.shape[1])

        def again(part: Part) -> Array:
            return reduce(part.frame.cut(picture), part.size)

        return self.finish(again(self.first(shape)), shape, again)

    def place(self, look: Array, shape: Shape) -> Placed:
        """Which box of a picture of `shape` is shown, from a look at the whole of it (see `first`)."""
        if self.still:
            return Placed(self._plain(shape))
        box = self._box(look)
        if box is None:
            return Placed(self._plain(shape), (NOT_FOUND,))
        frame = Frame.of_fractions(*box, shape)
        if self.spec.resize == "crop":
            frame = frame.squared()
            # A cut adds no black rim: one would tell the picture's proportions, which predict labels by themselves.
            frame = frame.moved_inside(shape) if self.spec.lungs == "crop" else frame
        return Placed(frame)

    def harmonise(self, square: Array, frame: Frame, shape: Shape) -> Array:
        """The grey values made alike, inside the picture only."""
        if self.spec.harmonise == "none":
            return square
        rows, columns = _inside(frame, shape, len(square))
        out = np.zeros_like(square)
        out[rows, columns] = HARMONISE[self.spec.harmonise](square[rows, columns], self.spec)
        return out

    def _plain(self, shape: Shape) -> Frame:
        return Frame.whole(shape) if self.spec.resize == "squash" else Frame.central_square(shape)

    def _box(self, look: Array) -> Box | None:
        if self.spec.lungs == "template":
            return find_chest(look, template_of(self.spec.template))
        assert self._lungs is not None
        lungs = lungs_box(self._lungs.segment(look))
        if lungs is None:
            return None
        return with_margin(lungs) if self.spec.lungs == "crop" else bringing(lungs, self.spec.place)


def _inside(frame: Frame, shape: Shape, size: int) -> tuple[slice, slice]:
    """Rows and columns of the square that show picture; all of it where too little does."""
    covered = frame.covered(shape)
    slices = []
    for part, length in zip(covered, frame.shape, strict=True):
        start, stop = round(part.start * size / length), round(part.stop * size / length)
        slices.append(slice(start, stop) if stop - start >= 2 else slice(0, size))
    return slices[0], slices[1]


def open_lungs(name: str) -> LungModel:
    """The lung bundle `id@weights_sha256`. Raises ModelBundleError where it is absent or another one."""
    from cxrviewer.classifiers.registry import verify  # here: the registry is above this module

    model_id, _, weights = name.partition("@")
    bundle = verify(model_id)
    if bundle.card.weights_sha256 != weights:
        raise ModelBundleError(
            f"The lung model {model_id} is another one than this model was trained with.",
            "Restore the one it was trained with, or train again.",
        )
    return LungModel(bundle)
