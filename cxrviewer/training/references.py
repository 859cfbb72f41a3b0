"""What pictures are made alike to: `python -m cxrviewer.training.references --split CSV --source NAME=ROOT ...`.

Prints the numbers of `classifiers/references.py`, from train pictures alone, as many of each source. They go with
every bundle that uses them, so that making them anew changes no bundle that is there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrviewer.classifiers.framing import Frame
from cxrviewer.classifiers.harmonising import quantiles
from cxrviewer.classifiers.lungs import LungModel
from cxrviewer.classifiers.placing import Box, bringing, lungs_box
from cxrviewer.classifiers.preparing import reduce
from cxrviewer.classifiers.registry import verify
from cxrviewer.datasets import read_dataset
from cxrviewer.datasets.splits import Part, SplitRow, read_split
from cxrviewer.training.pictures import read_grey

Array = NDArray[np.float32]

LEVELS, SIDE, SIZE = 33, 32, 224


def mean_quantiles(pictures: Iterable[Array]) -> Array:
    """(LEVELS,): the mean of the pictures' quantile functions, the histogram that lies in the middle of theirs."""
    return np.asarray(np.mean([quantiles(reduce(p, SIZE), LEVELS) for p in pictures], 0), np.float32)


def mean_place(boxes: Sequence[Box]) -> Box:
    """Where lungs lie on average, as fractions of the picture: the median of each side."""
    top, left, bottom, right = (float(value) for value in np.median(np.array(boxes), 0))
    return top, left, bottom, right


def mean_chest(pictures: Iterable[Array], boxes: Iterable[Box | None], place: Box) -> NDArray[np.uint8]:
    """(SIDE, SIDE): the mean of the pictures, each moved so that its lungs lie at `place`, and standardised."""
    total = np.zeros((SIDE, SIDE))
    for picture, box in zip(pictures, boxes, strict=True):
        moved = None if box is None else bringing(box, place)
        if moved is not None:
            square = reduce(
                Frame.of_fractions(*moved, (picture.shape[0], picture.shape[1])).cut(picture), SIDE
            )
            total += (square - square.mean()) / max(float(square.std()), 1e-3)
    low, high = total.min(), total.max()
    return np.asarray(np.rint((total - low) / max(high - low, 1e-9) * 255), np.uint8)


def _chosen(name: str, root: Path, split: Sequence[SplitRow], count: int) -> Iterator[Array]:
    train = {row.image for row in split if row.dataset == name and row.part is Part.TRAIN}
    dataset = read_dataset(name, root)
    rows = [row for row in dataset.rows if row.image in train]
    for index in np.random.default_rng(1).permutation(len(rows))[:count]:
        yield read_grey(dataset.picture(rows[int(index)]))


def main(arguments: Sequence[str] | None = None) -> int:
    """JSON on stdout: reference, place, template."""
    parser = argparse.ArgumentParser(prog="python -m cxrviewer.training.references", description=__doc__)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--source", action="append", required=True, help="NAME=ROOT")
    parser.add_argument("--lungs", default="lungs-unet-1")
    parser.add_argument("--count", type=int, default=300, help="pictures of each source")
    given = parser.parse_args(arguments)
    split, lungs = read_split(given.split), LungModel(verify(given.lungs))
    pictures = [
        picture
        for source in given.source
        for picture in _chosen(*_pair(source), split=split, count=given.count)
    ]
    boxes = [lungs_box(lungs.segment(reduce(picture, lungs.size))) for picture in pictures]
    found = [box for box in boxes if box is not None]
    place = mean_place(found)
    content = {
        "pictures": len(pictures),
        "lungs_found": len(found),
        "reference": [round(float(value), 4) for value in mean_quantiles(pictures)],
        "place": [round(value, 4) for value in place],
        "template": mean_chest(pictures, boxes, place).tobytes().hex(),
    }
    sys.stdout.write(json.dumps(content, indent=1) + "\n")
    return 0


def _pair(source: str) -> tuple[str, Path]:
    name, _, root = source.partition("=")
    return name, Path(root)


if __name__ == "__main__":
    sys.exit(main())
