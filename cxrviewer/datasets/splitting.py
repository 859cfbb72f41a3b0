"""Ways to part a data set. `SPLITS` is the table of them; all keep groups whole, and `splits.check` looks again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cxrviewer.datasets.dataset import Dataset, Part, Row
from cxrviewer.datasets.splits import Fractions, SplitRow, check, split_by_group
from cxrviewer.datasets.stratify import deal
from cxrviewer.errors import ConfigurationError, SplitError

Split = Callable[[Dataset, Fractions, int], tuple[SplitRow, ...]]


def split_officially(dataset: Dataset, fractions: Fractions, seed: int) -> tuple[SplitRow, ...]:
    """The owner's parts. Where the owner has no tune part, its share is dealt by group from the train part.

    Raises SplitError where a picture is in none of the owner's parts, or the owner's parts share a patient or picture.
    """
    unplaced = sum(row.official is None for row in dataset.rows)
    if unplaced:
        raise SplitError(
            f"{unplaced} of {len(dataset.rows)} pictures of {dataset.name} are in no part of the owner's.",
            "Split by patient instead.",
        )
    parts = [Part.TRAIN if row.official is None else row.official for row in dataset.rows]
    if Part.TUNE not in parts and fractions.tune:
        rows = tuple(replace(row, expert=False) for row in dataset.rows if row.official is Part.TRAIN)
        dealt = split_by_group(replace(dataset, rows=rows), Fractions(fractions.tune, 0.0), seed)
        tuned = {row.group for row in dealt if row.part is Part.TUNE}
        parts = [
            Part.TUNE if part is Part.TRAIN and row.group in tuned else part
            for row, part in zip(dataset.rows, parts, strict=True)
        ]
    return _checked(dataset, parts)


def split_evenly(dataset: Dataset, fractions: Fractions, seed: int) -> tuple[SplitRow, ...]:
    """By group, with every label spread evenly (`stratify.deal`); groups with an expert's label go to report."""
    shares = np.array([1 - fractions.tune - fractions.report, fractions.tune, fractions.report])
    if shares[0] < 0:
        raise ConfigurationError(
            "The shares of tune and report are more than all.", "Make one of them smaller."
        )
    groups = _groups(dataset)
    free = [name for name, rows in groups.items() if not any(row.expert for row in rows)]
    dealt = _dealt(dataset, [groups[name] for name in free], shares, seed)
    order = (Part.TRAIN, Part.TUNE, Part.REPORT)
    parts = dict.fromkeys(groups, Part.REPORT) | {
        name: order[part] for name, part in zip(free, dealt.tolist(), strict=True)
    }
    return _checked(dataset, [parts[row.group] for row in dataset.rows])


SPLITS: dict[str, Split] = {
    "patient": split_by_group,
    "stratified": split_evenly,
    "official": split_officially,
}
"""How a recipe may part a source."""


def split_into_folds(dataset: Dataset, folds: int, fold: int, seed: int) -> tuple[SplitRow, ...]:
    """k-fold: the fold is the report part, the next one the tune part, the rest the train part.

    The folds depend on the seed alone, so that over all of them every picture is reported on once. `fold` counts
    from 0. Raises ConfigurationError.
    """
    if not (folds >= 3 and 0 <= fold < folds):
        raise ConfigurationError(
            f"There is no fold {fold} of {folds}.", "Take three folds or more, counted from 0."
        )
    groups = _groups(dataset)
    if len(groups) < folds:
        raise ConfigurationError(
            f"{dataset.name} has {len(groups)} groups, too few for {folds} folds.", "Take fewer folds."
        )
    places = _dealt(dataset, list(groups.values()), np.full(folds, 1 / folds), seed)
    special = {fold: Part.REPORT, (fold + 1) % folds: Part.TUNE}
    parts = {
        name: special.get(place, Part.TRAIN) for name, place in zip(groups, places.tolist(), strict=True)
    }
    return _checked(dataset, [parts[row.group] for row in dataset.rows])


def _groups(dataset: Dataset) -> dict[str, list[Row]]:
    """Rows by group, in the order of the names: the order of a reader must not matter."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in dataset.rows:
        groups[row.group].append(row)
    return dict(sorted(groups.items()))


def _dealt(
    dataset: Dataset, groups: Sequence[Sequence[Row]], shares: NDArray[np.float64], seed: int
) -> NDArray[np.int64]:
    positives = np.zeros((len(groups), len(dataset.labels)), np.int64)
    for index, rows in enumerate(groups):
        for row in rows:
            positives[index] += [row.labels.get(label) == 1 for label in dataset.labels]
    sizes = np.array([len(rows) for rows in groups], np.int64)
    return deal(positives, sizes, shares, np.random.default_rng(seed))


def _checked(dataset: Dataset, parts: Sequence[Part]) -> tuple[SplitRow, ...]:
    rows = tuple(
        SplitRow(dataset.name, row.patient, row.group, row.image, part)
        for row, part in zip(dataset.rows, parts, strict=True)
    )
    check(rows)
    return rows
