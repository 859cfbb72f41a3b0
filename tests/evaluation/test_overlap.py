"""Dice by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cxrviewer.evaluation.overlap import dice, mean_interval


def test_dice_by_hand() -> None:
    first = np.array([[[1, 1, 0, 0]], [[0, 0, 0, 0]], [[1, 1, 1, 1]]], bool)
    second = np.array([[[0, 1, 1, 1]], [[0, 0, 0, 0]], [[0, 0, 0, 0]]], bool)
    known = np.ones_like(first)
    np.testing.assert_allclose(dice(first, second, known), [2 / 5, 1, 0])
    known[0, 0, 2:] = False
    np.testing.assert_allclose(dice(first, second, known)[0], 2 / 3)


def test_the_interval_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(0.9, 0.1, 400)
    found = mean_interval(values, [str(n) for n in range(400)])
    assert found is not None
    # Two standard errors of 0.1 / sqrt(400) to each side.
    assert found.low == pytest.approx(values.mean() - 0.0098, abs=0.002)
    assert found.high == pytest.approx(values.mean() + 0.0098, abs=0.002)
