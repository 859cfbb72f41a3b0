"""Intervals over patients, against plain resampling and against scikit-learn."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, roc_auc_score

from cxrviewer.evaluation.bootstrap import Draws, Interval, interval, resampled_ranking, shares


def aurocs(labels: np.ndarray, scores: np.ndarray, draws: Draws) -> np.ndarray:
    return resampled_ranking(labels, scores, draws).auroc


@given(
    hnp.arrays(np.bool_, 30, elements=st.booleans()).filter(lambda a: a.any() and not a.all()),
    hnp.arrays(np.float64, 30, elements=st.sampled_from([0.1, 0.2, 0.5, 0.9])),
    hnp.arrays(np.uint8, (30, 3), elements=st.sampled_from([0, 1, 2])),
)
def test_every_draw_is_scikit_learns_weighted_figure(
    positive: np.ndarray, scores: np.ndarray, counts: np.ndarray
) -> None:
    found = resampled_ranking(positive.astype(float), scores, Draws(np.arange(30), counts))
    for row, area, average in zip(counts.T, found.auroc, found.average_precision, strict=True):
        if row[positive].any() and row[~positive].any():
            assert area == pytest.approx(roc_auc_score(positive, scores, sample_weight=row))
            assert average == pytest.approx(average_precision_score(positive, scores, sample_weight=row))
        else:
            assert np.isnan(area) and np.isnan(average)


def test_whole_patients_are_drawn() -> None:
    names = ["a", "b", "a", "c", "a"]
    weights = Draws.of(names, draws=50, seed=1).weights()
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, 0], weights[:, 4])
    # As many patients as there are, each time.
    np.testing.assert_array_equal(weights[:, [0, 1, 3]].sum(1), 3)
    np.testing.assert_array_equal(weights, Draws.of(names, draws=50, seed=1).weights())
    assert not np.array_equal(weights, Draws.of(names, draws=50, seed=2).weights())


def test_a_patient_counts_as_a_multinomial_draw_says() -> None:
    """Of n patients drawn n times, each counts once on average with variance 1 - 1 / n."""
    weights = Draws.of([str(n) for n in range(20)], draws=20_000).weights()
    np.testing.assert_allclose(weights.mean(0), 1, atol=0.04)
    np.testing.assert_allclose(weights.var(0), 0.95, atol=0.05)


def test_sums_by_hand() -> None:
    draws = Draws(np.array([0, 0, 1]), np.array([[2, 0], [0, 2]], np.uint8))
    np.testing.assert_array_equal(draws.sums(np.array([[1.0], [10.0], [100.0]])), [[22], [200]])
    np.testing.assert_array_equal(shares(np.array([1.0, 0.0]), np.array([2.0, 0.0])), [0.5, np.nan])


def test_more_pictures_of_the_same_people_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(0)
    labels = (np.arange(60) % 2).astype(float)
    scores = labels * 0.8 + rng.normal(size=60)
    once = interval(aurocs(labels, scores, Draws.of([str(n) for n in range(60)])))
    people = [str(n) for n in range(60)] * 10
    ten_times = interval(aurocs(np.tile(labels, 10), np.tile(scores, 10), Draws.of(people)))
    assert once is not None and ten_times is not None
    assert ten_times == once


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Two normal distributions one deviation apart: the true AUROC is Phi(1 / sqrt 2) = 0.7602."""
    rng = np.random.default_rng(5)
    covered = 0
    for trial in range(200):
        labels = (np.arange(120) % 3 == 0).astype(float)
        found = interval(aurocs(
            labels, labels + rng.normal(size=120), Draws.of([str(n) for n in range(120)], 300, trial),
        ))  # fmt: skip
        assert found is not None
        covered += found.low <= 0.7602 <= found.high
    assert 178 <= covered <= 200  # 190 expected


def test_what_is_not_stated_is_left_out() -> None:
    draws = Draws.of([str(n) for n in range(6)], 200)
    labels, scores = np.array([1, 0, 1, 0, np.nan, np.nan]), np.array([0.9, 0.1, 0.8, 0.3, 0.0, 1.0])
    kept = aurocs(labels, scores, draws)
    np.testing.assert_array_equal(kept, aurocs(labels[:4], scores[:4], draws.rows(np.arange(6) < 4)))
    assert np.isnan(aurocs(np.full(6, np.nan), scores, draws)).all()


def test_an_interval_by_hand() -> None:
    assert interval(np.linspace(0, 1, 101)) == Interval(pytest.approx(0.025), pytest.approx(0.975))
    assert interval(np.array([np.nan, np.nan, 0.5])) is None
    assert interval(np.array([])) is None


def test_many_draws_are_quicker_than_a_loop() -> None:
    """In one thread's own time, so that a busy machine does not matter. About thirty times quicker when quiet."""
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 1000).astype(float), rng.random(1000)
    draws = Draws.of([str(n) for n in range(1000)], 400)
    weights = draws.weights()
    start = time.thread_time()
    together = aurocs(labels, scores, draws)
    first = time.thread_time() - start
    start = time.thread_time()
    looped = [roc_auc_score(labels, scores, sample_weight=row) for row in weights[:100]]
    assert first < 4 * (time.thread_time() - start) / 2
    np.testing.assert_allclose(together[:100], looped)
