"""Numbers of some of the people, by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from cxrviewer.evaluation.measuring import Task
from cxrviewer.evaluation.subgroups import age_band, subgroups


@pytest.mark.parametrize(
    ("years", "band"),
    [(0.5, "under 1"), (1, "1 to 4"), (4.9, "1 to 4"), (17, "5 to 17"), (18, "18 to 39"), (95, "80 and over"),
     (None, None)],
)  # fmt: skip
def test_bands(years: float | None, band: str | None) -> None:
    assert age_band(years) == band


def made() -> tuple[np.ndarray, np.ndarray, list[str | None]]:
    """Women are ranked perfectly, men not at all; three have no sex stated."""
    labels = np.tile([1.0, 0.0], 50)
    chances = np.where(labels == 1, 0.9, 0.1)
    chances[50:] = 0.5
    sexes: list[str | None] = ["F"] * 50 + ["M"] * 47 + [None] * 3
    return labels[:, None], chances[:, None], sexes


def test_each_group_has_its_own_numbers() -> None:
    labels, chances, sexes = made()
    women, men = subgroups(
        labels, chances, [Task("Mass", 0.5)], [str(n // 2) for n in range(100)], {"sex": sexes}
    )
    assert (women.attribute, women.value, women.n_images, women.n_patients) == ("sex", "F", 50, 25)
    assert (men.value, men.n_images, men.n_patients) == ("M", 47, 24)
    (of_women,), (of_men,) = women.labels, men.labels
    assert (of_women.auroc, of_women.sensitivity, of_women.specificity, of_women.few) == (
        1.0,
        1.0,
        1.0,
        False,
    )
    assert (of_men.auroc, of_men.sensitivity, of_men.specificity) == (0.5, 1.0, 0.0)
    assert (of_men.n_positive, of_men.n_negative) == (24, 23)
    assert "NaN" not in json.dumps([women.as_json(), men.as_json()])
    assert women.as_json()["labels"][0]["auroc_ci95"] == [1.0, 1.0]  # type: ignore[index]


def test_few_are_flagged_and_a_missing_class_has_no_figure() -> None:
    labels = np.array([1.0] * 19 + [0.0] * 40 + [1.0] * 30 + [math.nan] * 5)[:, None]
    views: list[str | None] = ["PA"] * 59 + ["AP"] * 30 + ["LL"] * 5
    found = subgroups(labels, np.full((94, 1), 0.5), [Task("Mass", None)], [str(n) for n in range(94)],
                      {"view": views})  # fmt: skip
    by_view = {group.value: group for group in found}
    assert by_view["PA"].labels[0].few and by_view["PA"].labels[0].auroc == 0.5
    assert by_view["AP"].labels[0].few and by_view["AP"].labels[0].auroc is None
    assert by_view["AP"].labels[0].auroc_ci95 is None
    assert by_view["PA"].labels[0].sensitivity is None  # no threshold, no call
    assert by_view["LL"].labels == ()  # nothing is stated of them


def test_what_divides_nobody_is_left_out() -> None:
    labels, chances, _ = made()
    assert (
        subgroups(
            labels, chances, [Task("Mass", 0.5)], ["p"] * 100, {"sex": ["F"] * 100, "view": [None] * 100}
        )
        == ()
    )


def test_bands_stand_by_age() -> None:
    ages = ["80 and over", "5 to 17", "under 1", "18 to 39"] * 5
    found = subgroups(np.zeros((20, 1)), np.zeros((20, 1)), [Task("Mass", None)], list("abcdefghijklmnopqrst"),
                      {"age": ages})  # fmt: skip
    assert [group.value for group in found] == ["under 1", "5 to 17", "18 to 39", "80 and over"]
