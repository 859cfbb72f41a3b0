"""Sliding over the threshold: the counts are those of at_threshold, and predictive values follow Bayes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrviewer.evaluation.explorer import explorer
from cxrviewer.evaluation.operating import Confusion, at_threshold


@given(st.integers(0, 1000), st.integers(5, 300), st.sampled_from([1.0, 0.01, 1e-5]))
def test_counts_are_those_of_the_threshold(seed: int, rows: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.choice([1.0, 0.0, np.nan], rows)
    labels[:2] = 1, 0
    scores = rng.random(rows) * scale
    found = explorer(labels, scores, own=0.3)
    assert found is not None
    assert found.nearest(0.3) == np.flatnonzero(found.thresholds == 0.3)[0]
    for threshold, tp, fp in zip(found.thresholds, found.tp, found.fp, strict=True):
        assert at_threshold(labels, scores, threshold).confusion == Confusion(
            tp, fp, found.n_positive - tp, found.n_negative - fp
        )
    assert (found.tp[0], found.fp[0]) == (found.n_positive, found.n_negative)
    assert found.tp[-1] + found.fp[-1] == 0


def test_predictive_values_at_another_prevalence_by_hand() -> None:
    """Sensitivity 0.8, specificity 0.9: of 1,000 people with 10 ill, 8 + 99 are called."""
    labels = np.array([1.0] * 10 + [0.0] * 10)
    scores = np.array([0.9] * 8 + [0.1] * 2 + [0.9] + [0.1] * 9)
    found = explorer(labels, scores, own=0.5)
    assert found is not None
    ppv, npv = found.predictive(0.01)
    at = found.nearest(0.5)
    assert ppv[at] == pytest.approx(8 / 107)
    assert npv[at] == pytest.approx(891 / 893)
    same = found.predictive(0.5)[0][at]
    assert same == pytest.approx(8 / 9)
    assert np.isnan(ppv[-1])  # nobody is called


def test_one_class_has_no_operating_points() -> None:
    assert explorer(np.ones(4), np.zeros(4)) is None
