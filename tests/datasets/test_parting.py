"""Official parts, folds and even strata: sizes and spreads worked out by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrviewer.datasets.dataset import Dataset, Part, Row
from cxrviewer.datasets.splits import Fractions
from cxrviewer.datasets.splitting import split_evenly, split_into_folds, split_officially
from cxrviewer.datasets.stratify import deal
from cxrviewer.errors import ConfigurationError, SplitError

LABELS = ("Mass", "Hernia")


def made(rows: list[Row]) -> Dataset:
    return Dataset("made", Path("/nowhere"), tuple(rows), LABELS)


def people(count: int, official: Part | None = None) -> list[Row]:
    return [
        Row(
            f"{official}{n}.png",
            f"{official}p{n}",
            f"{official}p{n}",
            {"Mass": float(n % 10 == 0)},
            official=official,
        )
        for n in range(count)
    ]


def test_the_owners_parts_are_kept_and_tune_comes_from_train() -> None:
    dataset = made(people(100, Part.TRAIN) + people(40, Part.REPORT))
    split = split_officially(dataset, Fractions(0.2, 0.5), 1)
    parts = Counter(row.part for row in split)
    assert parts[Part.REPORT] == 40
    assert abs(parts[Part.TUNE] - 20) <= 2
    assert all((row.part is Part.REPORT) == row.image.startswith("report") for row in split)


def test_an_owners_tune_part_is_not_added_to() -> None:
    dataset = made(people(9, Part.TRAIN) + people(2, Part.TUNE))
    split = split_officially(dataset, Fractions(0.5, 0.5), 1)
    assert Counter(row.part for row in split) == {Part.TRAIN: 9, Part.TUNE: 2}


def test_pictures_in_no_part_and_people_in_two_are_refused() -> None:
    with pytest.raises(SplitError, match="3 of 5 pictures of made are in no part of the owner's"):
        split_officially(made(people(2, Part.TRAIN) + people(3)), Fractions(), 1)
    torn = [replace(row, patient="p", group="p") for row in people(2, Part.TRAIN) + people(1, Part.REPORT)]
    with pytest.raises(SplitError, match="1 of 1 patients stand in more than one part"):
        split_officially(made(torn), Fractions(0.0, 0.0), 1)


def test_folds_report_on_every_picture_once() -> None:
    dataset = made(people(50))
    reported: list[str] = []
    for fold in range(5):
        split = split_into_folds(dataset, 5, fold, 3)
        parts = Counter(row.part for row in split)
        assert (parts[Part.REPORT], parts[Part.TUNE]) == (10, 10)
        ill = [row.part for row in split if int(row.image[4:-4]) % 10 == 0]
        assert Counter(ill) == {Part.TRAIN: 3, Part.TUNE: 1, Part.REPORT: 1}
        reported += [row.image for row in split if row.part is Part.REPORT]
    assert sorted(reported) == sorted(row.image for row in dataset.rows)


@pytest.mark.parametrize(("folds", "fold"), [(2, 0), (5, 5), (5, -1), (60, 0)])
def test_folds_that_there_are_not(folds: int, fold: int) -> None:
    with pytest.raises(ConfigurationError):
        split_into_folds(made(people(50)), folds, fold, 1)


def test_shares_of_more_than_all_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="more than all"):
        split_evenly(made(people(9)), Fractions(0.6, 0.6), 1)


def test_even_strata_spread_a_pair_of_labels() -> None:
    # Ten with a mass alone, ten with a hernia alone, ten with both: halves get ten of each label, or one more.
    kinds = [{"Mass": 1.0}, {"Hernia": 1.0}, {"Mass": 1.0, "Hernia": 1.0}]
    dataset = made([Row(f"{n}", f"{n}", f"{n}", kinds[n % 3]) for n in range(30)])
    for seed in range(20):
        split = split_evenly(dataset, Fractions(0.0, 0.5), seed)
        kept = [n for n, row in enumerate(split) if row.part is Part.REPORT]
        assert abs(len(kept) - 15) <= 5  # sizes give way to labels
        for label in LABELS:
            assert abs(sum(label in kinds[n % 3] for n in kept) - 10) <= 1


def test_experts_go_to_the_report_part() -> None:
    rows = [replace(row, expert=n < 3) for n, row in enumerate(people(30))]
    split = split_evenly(made(rows), Fractions(0.2, 0.0), 1)
    assert [row.image for row in split if row.part is Part.REPORT] == [row.image for row in rows[:3]]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(3, 5)), max_size=40),
    st.integers(0, 9),
)
def test_everybody_is_dealt_and_nobody_to_an_empty_share(
    groups: list[tuple[int, int, int]], seed: int
) -> None:
    numbers = np.array(groups, np.int64).reshape(-1, 3)
    shares = np.array([0.7, 0.0, 0.3])
    parts = deal(numbers[:, :2], numbers[:, 2], shares, np.random.default_rng(seed))
    assert set(parts.tolist()) <= {0, 2}
    # No part exceeds its share by more than one group.
    sizes = numbers[:, 2]
    if not numbers[:, :2].any():
        for part in (0, 2):
            assert sizes[parts == part].sum() <= shares[part] * sizes.sum() + 5
    again = deal(numbers[:, :2], numbers[:, 2], shares, np.random.default_rng(seed))
    np.testing.assert_array_equal(parts, again)
