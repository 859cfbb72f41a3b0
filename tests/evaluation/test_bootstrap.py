"""Intervals over patients, against plain resampling and against scikit-learn."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import roc_auc_score

from cxrviewer.evaluation.bootstrap import (
    Interval,
    bootstrap_auroc,
    interval,
    patient_weights,
    weighted_auroc,
)  # fmt: skip


@given(
    hnp.arrays(np.bool_, 30, elements=st.booleans()).filter(lambda a: a.any() and not a.all()),
    hnp.arrays(np.float64, 30, elements=st.sampled_from([0.1, 0.2, 0.5, 0.9])),
    hnp.arrays(np.float32, (3, 30), elements=st.sampled_from([0.0, 1.0, 2.0])),
)
def test_the_weighted_area_is_scikit_learns(
    positive: np.ndarray, scores: np.ndarray, weights: np.ndarray
) -> None:
    for row, area in zip(weights, weighted_auroc(positive, scores, weights), strict=True):
        if row[positive].any() and row[~positive].any():
            assert area == pytest.approx(roc_auc_score(positive, scores, sample_weight=row))
        else:
            assert np.isnan(area)


def test_whole_patients_are_drawn() -> None:
    weights = patient_weights(["a", "b", "a", "c", "a"], draws=50, seed=1)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, 0], weights[:, 4])
    # As many patients as there are, each time.
    np.testing.assert_array_equal(weights[:, [0, 1, 3]].sum(1), 3)
    np.testing.assert_array_equal(weights, patient_weights(["a", "b", "a", "c", "a"], draws=50, seed=1))
    assert not np.array_equal(weights, patient_weights(["a", "b", "a", "c", "a"], draws=50, seed=2))


def test_more_pictures_of_the_same_people_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(0)
    labels = (np.arange(60) % 2).astype(float)
    scores = labels * 0.8 + rng.normal(size=60)
    once = interval(bootstrap_auroc(labels, scores, patient_weights([str(n) for n in range(60)])))
    people = [str(n) for n in range(60)] * 10
    ten_times = interval(bootstrap_auroc(np.tile(labels, 10), np.tile(scores, 10), patient_weights(people)))
    assert once is not None and ten_times is not None
    assert ten_times == once


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Two normal distributions one deviation apart: the true AUROC is Phi(1 / sqrt 2) = 0.7602."""
    rng = np.random.default_rng(5)
    covered = 0
    for trial in range(200):
        labels = (np.arange(120) % 3 == 0).astype(float)
        found = interval(bootstrap_auroc(
            labels, labels + rng.normal(size=120), patient_weights([str(n) for n in range(120)], 300, trial),
        ))  # fmt: skip
        assert found is not None
        covered += found.low <= 0.7602 <= found.high
    assert 178 <= covered <= 200  # 190 expected


def test_what_is_not_stated_is_left_out() -> None:
    weights = patient_weights([str(n) for n in range(6)], 200)
    labels, scores = np.array([1, 0, 1, 0, np.nan, np.nan]), np.array([0.9, 0.1, 0.8, 0.3, 0.0, 1.0])
    kept = bootstrap_auroc(labels, scores, weights)
    np.testing.assert_array_equal(kept, bootstrap_auroc(labels[:4], scores[:4], weights[:, :4]))
    assert np.isnan(bootstrap_auroc(np.full(6, np.nan), scores, weights)).all()


def test_an_interval_by_hand() -> None:
    assert interval(np.linspace(0, 1, 101)) == Interval(pytest.approx(0.025), pytest.approx(0.975))
    assert interval(np.array([np.nan, np.nan, 0.5])) is None
    assert interval(np.array([])) is None


def test_many_draws_are_quicker_than_a_loop() -> None:
    """In one thread's own time, so that a busy machine does not matter. About ten times quicker when quiet."""
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 1000).astype(float), rng.random(1000)
    weights = patient_weights([str(n) for n in range(1000)], 400)
    start = time.thread_time()
    together = bootstrap_auroc(labels, scores, weights)
    first = time.thread_time() - start
    start = time.thread_time()
    looped = [roc_auc_score(labels, scores, sample_weight=row) for row in weights[:100]]
    assert first < 4 * (time.thread_time() - start) / 2
    np.testing.assert_allclose(together[:100], looped)
