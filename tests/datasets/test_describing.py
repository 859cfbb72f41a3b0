"""A data set in numbers, worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cxrviewer.datasets import Dataset, Row
from cxrviewer.datasets.describing import MANY, describe, describe_parts
from cxrviewer.datasets.splits import Part, SplitRow

BOTH = {"A": 1.0, "B": 1.0}
ROWS = (
    Row("1.png", "p", "p", BOTH, age_years=3.0),
    Row("2.png", "p", "p", BOTH, age_years=4.9),
    Row("3.png", "q", "q", {"A": 0.0}, age_years=5.0),
    Row("4.png", "r", "r", {"A": 1.0, "B": 0.0}, age_years=101.0),
)
SET = Dataset("x", Path(), ROWS, ("A", "B", "C"))


def test_counts_together_and_by_patient() -> None:
    found = describe(SET)
    assert found.positive.tolist() == [3, 2, 0]
    assert found.negative.tolist() == [1, 1, 0]
    assert found.unstated.tolist() == [0, 1, 4]
    assert found.patients.tolist() == [2, 1, 0]
    assert found.together.tolist() == [[3, 2, 0], [2, 2, 0], [0, 0, 0]]
    assert found.pictures_each.tolist() == [2, 1] + [0] * (MANY - 2)


def test_ages_fall_into_five_years_and_the_last_bar_takes_the_rest() -> None:
    ages = describe(SET).ages
    assert ages[0] == 2 and ages[1] == 1 and ages[-1] == 1 and ages.sum() == 4


def test_the_weights_give_each_class_the_other_ones_share() -> None:
    found = describe(SET)
    np.testing.assert_allclose(found.weights, [[0.25, 1 / 3, 0], [0.75, 2 / 3, 0]])
    # Weighted so, both classes of a label pull equally.
    np.testing.assert_allclose(found.weights[0] * found.positive, found.weights[1] * found.negative)
    assert np.isnan(found.share[2])


def test_an_empty_set_is_counted_too() -> None:
    found = describe(Dataset("x", Path(), (), ("A",)))
    assert found.positive.tolist() == [0] and found.pictures_each.sum() == 0


def test_parts_of_a_split() -> None:
    parts = [Part.TRAIN, Part.TRAIN, Part.REPORT, Part.TRAIN]
    split = [
        SplitRow("x", row.patient, row.group, row.image, part) for row, part in zip(ROWS, parts, strict=True)
    ]
    found = describe_parts(SET, split)
    assert found.images == (3, 0, 1)
    assert found.patients == (2, 0, 1)
    assert found.positive.tolist() == [[3, 2, 0], [0, 0, 0], [0, 0, 0]]
    assert found.negative.tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]
