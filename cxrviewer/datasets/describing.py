"""What a data set holds, as arrays to draw: labels together, labels a patient, ages, and the parts of a split.

Rows share their mappings of labels (readers see to it), so ten million rows are counted by their few kinds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrviewer.datasets.dataset import Dataset, Part, Row
from cxrviewer.datasets.inspecting import tally
from cxrviewer.datasets.splits import SplitRow

AGE_STEP = 5
"""Years a bar of the age histogram."""
OLDEST = 100
"""The last bar takes everybody above."""
MANY = 10
"""Pictures a patient from which on they are counted together."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Description:
    """Counts of one data set with K labels.

    people, groups: patients, and sets of rows that no split parts. views, sexes, official: pictures by what is stated;
    the last by the owner's own parts. marks: boxes and masks by what they are.
    positive, negative, unstated: (K,) pictures. patients: (K,) patients with a positive picture. together: (K, K)
    pictures with both positive; its diagonal is `positive`. ages: pictures by `AGE_STEP` years from 0; the last bar
    holds `OLDEST` and above. pictures_each: patients by their number of pictures, from 1; the last holds `MANY` and
    more.
    """

    images: int
    people: int
    groups: int
    views: dict[str, int]
    sexes: dict[str, int]
    official: dict[str, int]
    marks: dict[str, int]
    labels: tuple[str, ...]
    positive: Counts
    negative: Counts
    unstated: Counts
    patients: Counts
    together: Counts
    ages: Counts
    pictures_each: Counts

    @property
    def share(self) -> NDArray[np.float64]:
        """(K,) positives among what is stated; NaN where nothing is."""
        stated = self.positive + self.negative
        out = np.full(len(stated), np.nan)
        np.divide(self.positive, stated, out=out, where=stated > 0)
        return out

    @property
    def weights(self) -> NDArray[np.float64]:
        """(2, K) w_pos and w_neg of the weighted loss: the other class's share, 0 and 0 where one class is alone."""
        share = np.nan_to_num(self.share)
        one_sided = (self.positive == 0) | (self.negative == 0)
        return np.where(one_sided, 0.0, np.stack([1 - share, share]))


def describe(dataset: Dataset) -> Description:
    """Count a data set; one pass over its rows."""
    kinds, kind = _kinds(dataset.rows, dataset.labels)
    times = np.bincount(kind, minlength=len(kinds)).astype(np.int64)
    positive = (kinds == 1).astype(np.int64)
    return Description(
        images=len(dataset.rows),
        people=len({row.patient for row in dataset.rows}),
        groups=len({row.group for row in dataset.rows}),
        views=tally([row.view for row in dataset.rows]),
        sexes=tally([row.sex for row in dataset.rows]),
        official=tally([row.official for row in dataset.rows if row.official is not None]),
        marks=_marks(dataset.rows),
        labels=dataset.labels,
        positive=times @ positive,
        negative=times @ (kinds == 0).astype(np.int64),
        unstated=times @ np.isnan(kinds).astype(np.int64),
        patients=_patients(dataset.rows, kind, positive),
        together=positive.T @ (positive * times[:, None]),
        ages=_ages(dataset.rows),
        pictures_each=_pictures_each(dataset.rows),
    )


def _marks(rows: Sequence[Row]) -> dict[str, int]:
    found = {
        "boxes": sum(len(row.boxes) for row in rows),
        "marked lesions": sum(len(row.lesions) for row in rows),
        "lung masks": sum(row.mask is not None for row in rows),
        "pictures labelled by experts": sum(row.expert for row in rows),
    }
    return {name: count for name, count in found.items() if count}


def _kinds(rows: Sequence[Row], labels: tuple[str, ...]) -> tuple[NDArray[np.float32], Counts]:
    """The different mappings of labels as (U, K) of 1, 0, NaN, and which of them each row has, (N,)."""
    numbers: dict[int, int] = {}
    first: list[Row] = []
    kind = np.zeros(len(rows), np.int64)
    for index, row in enumerate(rows):
        number = numbers.setdefault(id(row.labels), len(numbers))
        if number == len(first):
            first.append(row)
        kind[index] = number
    table = [[row.labels.get(label, np.nan) for label in labels] for row in first]
    return np.array(table, np.float32).reshape(len(first), len(labels)), kind


def _patients(rows: Sequence[Row], kind: Counts, positive: Counts) -> Counts:
    """(K,) patients with at least one positive picture."""
    numbers: dict[str, int] = {}
    owner = np.array([numbers.setdefault(row.patient, len(numbers)) for row in rows], np.int64)
    if not len(owner):
        return np.zeros(positive.shape[1], np.int64)
    pairs = np.unique(np.stack([owner, kind]), axis=1)
    found = np.zeros((len(numbers), positive.shape[1]), np.bool_)
    np.logical_or.at(found, pairs[0], positive[pairs[1]].astype(np.bool_))
    total: Counts = found.sum(0, dtype=np.int64)
    return total


def _ages(rows: Sequence[Row]) -> Counts:
    ages = np.array([row.age_years for row in rows if row.age_years is not None], np.float64)
    bars = np.clip(ages // AGE_STEP, 0, OLDEST // AGE_STEP).astype(np.int64)
    return np.bincount(bars, minlength=OLDEST // AGE_STEP + 1).astype(np.int64)


def _pictures_each(rows: Sequence[Row]) -> Counts:
    each = np.array(list(Counter(row.patient for row in rows).values()), np.int64)
    return np.bincount(np.minimum(each, MANY), minlength=MANY + 1)[1:].astype(np.int64)


@dataclass(frozen=True, eq=False)
class Parts:
    """A split in numbers. images, patients: by part, in the order of `Part`. positive, negative: (3, K) pictures."""

    labels: tuple[str, ...]
    images: tuple[int, ...]
    patients: tuple[int, ...]
    positive: Counts
    negative: Counts


def describe_parts(dataset: Dataset, split: Sequence[SplitRow]) -> Parts:
    """Count what each part of a split holds; `split` is in the order of the rows, as it always comes."""
    kinds, kind = _kinds(dataset.rows, dataset.labels)
    part_of = np.array([row.part.value for row in split], np.str_)
    images, patients, positive, negative = [], [], [], []
    for part in Part:
        chosen = np.flatnonzero(part_of == part.value)
        times = np.bincount(kind[chosen], minlength=len(kinds)).astype(np.int64)
        images.append(len(chosen))
        patients.append(len({dataset.rows[index].patient for index in chosen}))
        positive.append(times @ (kinds == 1).astype(np.int64))
        negative.append(times @ (kinds == 0).astype(np.int64))
    return Parts(dataset.labels, tuple(images), tuple(patients), np.stack(positive), np.stack(negative))
