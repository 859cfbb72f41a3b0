"""Thresholds and what they cost, on a handful of scores; curves; shortcuts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrviewer.evaluation.curves import precision_recall, roc, thinned
from cxrviewer.evaluation.operating import (
    at_threshold,
    threshold_at_sensitivity,
    threshold_at_specificity,
    threshold_from_sensitivity,
)
from cxrviewer.evaluation.shortcuts import (
    learnt_elsewhere,
    one_hot,
    out_of_fold,
    shortcut_aurocs,
    with_unstated,
)

NAN = math.nan
LABELS = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, NAN])
SCORES = np.array([0.9, 0.8, 0.6, 0.3, 0.7, 0.5, 0.4, 0.2, 0.1, 1.0])


def test_the_four_fields_by_hand() -> None:
    point = at_threshold(LABELS, SCORES, 0.6)
    assert (point.sensitivity, point.specificity) == (3 / 4, 4 / 5)
    assert (point.ppv, point.npv, point.accuracy) == (3 / 4, 4 / 5, 7 / 9)


def test_empty_shares_are_none() -> None:
    point = at_threshold(np.array([1.0, 1.0]), np.array([0.4, 0.6]), 0.9)
    assert (point.sensitivity, point.specificity, point.ppv, point.npv) == (0.0, None, None, 0.0)


def test_thresholds_by_hand() -> None:
    # Three of four positives: the third is 0.6, the next lower score 0.5.
    assert threshold_at_sensitivity(LABELS, SCORES, 0.75) == pytest.approx(0.55)
    assert threshold_at_sensitivity(LABELS, SCORES, 1.0) == pytest.approx(0.25)
    # Four of five negatives stay uncalled: the fourth is 0.5, the next higher score 0.6.
    assert threshold_at_specificity(LABELS, SCORES, 0.8) == pytest.approx(0.55)
    assert threshold_at_specificity(LABELS, SCORES, 1.0) == pytest.approx(0.75)
    assert threshold_at_sensitivity(np.zeros(3), np.zeros(3), 0.9) is None
    assert threshold_at_specificity(np.ones(3), np.zeros(3), 0.9) is None


scores = st.lists(
    st.tuples(st.booleans(), st.sampled_from([k / 16 for k in range(17)])), min_size=2, max_size=40
)


@given(scores, st.floats(0.01, 1))
def test_thresholds_keep_their_promise_and_are_the_best(rows: list[tuple[bool, float]], share: float) -> None:
    labels, values = np.array([float(p) for p, _ in rows]), np.array([v for _, v in rows])
    low = threshold_at_sensitivity(labels, values, share)
    if low is not None:
        found = at_threshold(labels, values, low).sensitivity
        assert found is not None and found >= share - 1e-9
        higher = values[values >= low].min() + 1e-9
        stricter = at_threshold(labels, values, higher).sensitivity
        next_called = values[values > higher]
        assert stricter is not None
        assert stricter < share or not next_called.size or stricter == found
    high = threshold_at_specificity(labels, values, share)
    if high is not None:
        found = at_threshold(labels, values, high).specificity
        assert found is not None and found >= share - 1e-9


def test_curves_by_hand() -> None:
    labels, values = np.array([1, 0, 1, NAN]), np.array([0.9, 0.5, 0.4, 0.0])
    curve = roc(labels, values)
    assert curve is not None
    assert (curve.x.tolist(), curve.y.tolist()) == ([0, 0, 1, 1], [0, 0.5, 0.5, 1])
    curve = precision_recall(labels, values)
    assert curve is not None
    assert dict(zip(curve.x.tolist(), curve.y.tolist(), strict=True))[0.5] in (1.0, 0.5)
    assert (curve.x[-1], curve.y[-1]) == (0.0, 1.0)
    assert roc(np.ones(3), values[:3]) is None
    assert precision_recall(np.zeros(3), values[:3]) is None


def test_thinning_keeps_the_ends() -> None:
    rng = np.random.default_rng(0)
    curve = roc(rng.integers(0, 2, 4000).astype(float), rng.random(4000))
    assert curve is not None
    small = thinned(curve, 50)
    assert len(small.x) == 50
    assert (small.x[0], small.y[0], small.x[-1], small.y[-1]) == (0, 0, 1, 1)


def test_a_shortcut_is_found_in_either_direction() -> None:
    rng = np.random.default_rng(0)
    view = rng.integers(0, 2, 300)
    patients = [f"p{n // 2}" for n in range(300)]
    # The label is commoner in one view for the first column, in the other view for the second, and free of it.
    chance = np.column_stack([0.2 + 0.6 * view, 0.8 - 0.6 * view, np.full(300, 0.5)])
    labels = (rng.random((300, 3)) < chance).astype(float)
    features = one_hot(["AP" if v else "PA" for v in view])
    first, second, free = shortcut_aurocs({"view": features}, labels, patients)["view"]
    assert first is not None and second is not None and free is not None
    assert first > 0.7 and second > 0.7
    assert 0.35 < free < 0.65


def test_nobody_is_scored_by_a_model_that_knew_them() -> None:
    """Every patient has a feature of their own and a label of their own: memory is perfect, knowledge is none."""
    people = np.repeat(np.arange(40), 5)
    labels = np.random.default_rng(3).permutation(40)[people] % 2 * 1.0
    scores = out_of_fold(np.eye(40)[people], labels, [str(p) for p in people])
    assert scores is not None
    positive = labels == 1
    assert abs(scores[positive].mean() - scores[~positive].mean()) < 0.5


def test_the_direction_is_learnt_elsewhere() -> None:
    """A feature that speaks against the label where it is learnt, and the same way in what is scored."""
    rng = np.random.default_rng(1)
    feature = rng.normal(size=200)
    labels = (feature + rng.normal(size=200) < 0).astype(float)
    labels[::7] = NAN
    learn = np.arange(200) < 120
    scores = learnt_elsewhere(feature[:, None], labels, learn)
    assert scores is not None and scores.shape == (80,)
    assert np.corrcoef(scores, feature[120:])[0, 1] == pytest.approx(-1)
    # What is scored has no say in what is learnt.
    turned = labels.copy()
    turned[120:] = 1 - turned[120:]
    np.testing.assert_array_equal(scores, learnt_elsewhere(feature[:, None], turned, learn))
    assert learnt_elsewhere(feature[:, None], np.ones(200), learn) is None


def test_too_few_patients_give_no_answer() -> None:
    labels = np.array([1.0, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    assert out_of_fold(np.zeros((10, 1)), labels, [str(n) for n in range(10)]) is None
    assert shortcut_aurocs({"a": np.zeros((10, 1))}, labels[:, None], list("abcdefghij")) == {"a": [None]}


def test_features_of_what_is_not_stated() -> None:
    np.testing.assert_array_equal(one_hot(["b", None, "a"]), [[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(with_unstated([2.0, None, 4.0]), [[2, 4, 0], [3, 9, 1], [4, 16, 0]])
    np.testing.assert_array_equal(with_unstated([None, None]), [[0, 0, 1], [0, 0, 1]])


def test_a_threshold_gives_no_positive_away_for_nothing() -> None:
    """Perfect separation: the highest threshold of sensitivity 0.5 would miss half; Youden's misses none."""
    labels, scores = np.array([1.0, 1, 1, 1, 0, 0, np.nan]), np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.1, 0.5])
    assert threshold_at_sensitivity(labels, scores, 0.5) == pytest.approx(0.75)
    assert threshold_from_sensitivity(labels, scores, 0.5) == pytest.approx(0.5)


def test_the_least_sensitivity_comes_before_youden() -> None:
    """Youden alone would stop at 0.9 (1/2 + 1); a sensitivity of 1 costs two of three negatives."""
    labels, scores = np.array([1.0, 0, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.6, 0.2])
    assert threshold_from_sensitivity(labels, scores, 0.5) == pytest.approx(0.85)
    assert threshold_from_sensitivity(labels, scores, 1.0) == pytest.approx(0.4)


def test_equal_scores_are_called_together() -> None:
    labels, scores = np.array([1.0, 0, 1, 0]), np.array([0.7, 0.7, 0.7, 0.2])
    assert threshold_from_sensitivity(labels, scores, 0.5) == pytest.approx(0.45)


@pytest.mark.parametrize("labels", [[1.0, 1.0], [0.0, 0.0], [np.nan, np.nan]])
def test_one_class_has_no_threshold(labels: list[float]) -> None:
    assert threshold_from_sensitivity(np.array(labels), np.array([0.1, 0.9]), 0.9) is None
