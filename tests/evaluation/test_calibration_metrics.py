"""Brier score, ECE and reliability, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cxrviewer.evaluation.calibration_metrics import brier, expected_calibration_error, log_loss, reliability

NAN = math.nan
LABELS = np.array([1, 0, 1, 1, NAN])
PROBABILITIES = np.array([0.9, 0.2, 0.25, 1.0, 0.5])


def test_brier_by_hand() -> None:
    assert brier(LABELS, PROBABILITIES) == pytest.approx((0.01 + 0.04 + 0.5625 + 0) / 4)


def test_loss_by_hand() -> None:
    expected = -(math.log(0.9) + math.log(0.8) + math.log(0.25)) / 4
    assert log_loss(LABELS, PROBABILITIES) == pytest.approx(expected, abs=1e-6)
    assert log_loss(np.array([1.0]), np.array([0.0])) == pytest.approx(-math.log(1e-7))


def test_reliability_by_hand() -> None:
    low, high = reliability(LABELS, PROBABILITIES, bins=2)
    assert (low.low, low.high, low.count) == (0.0, 0.5, 2)
    assert (low.predicted, low.observed) == (pytest.approx(0.225), 0.5)
    # 1.0 belongs to the last bin.
    assert (high.count, high.predicted, high.observed) == (2, pytest.approx(0.95), 1.0)
    gap = expected_calibration_error(LABELS, PROBABILITIES, bins=2)
    assert gap == pytest.approx((2 * 0.275 + 2 * 0.05) / 4)


def test_an_edge_belongs_to_the_upper_bin() -> None:
    (found,) = reliability(np.array([1.0]), np.array([0.5]), bins=10)
    assert (found.low, found.high) == (0.5, pytest.approx(0.6))


def test_nothing_stated_gives_nothing() -> None:
    none = np.full(3, NAN)
    assert (brier(none, none), log_loss(none, none), expected_calibration_error(none, none)) == (
        None,
        None,
        None,
    )
    assert reliability(none, none) == ()


def test_the_truth_is_calibrated() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.random(20_000)
    labels = (rng.random(20_000) < probabilities).astype(float)
    gap = expected_calibration_error(labels, probabilities)
    too_sure = expected_calibration_error(labels, probabilities**3)
    assert gap is not None and too_sure is not None
    assert gap < 0.02 < 0.15 < too_sure
