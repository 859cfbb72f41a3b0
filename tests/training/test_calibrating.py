"""Calibration against distributions whose answer is known, and against scikit-learn."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cxrviewer.classifiers.classifier import Target
from cxrviewer.evaluation.calibration_metrics import expected_calibration_error
from cxrviewer.labels import Head
from cxrviewer.settings import OperatingPoint
from cxrviewer.training.calibrating import Platt, calibrate, calibrate_head, target_card

RNG = np.random.default_rng(0)


def drawn(slope: float, intercept: float, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn with probability sigmoid(slope * logit + intercept)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, count)
    labels = (rng.random(count) < Platt(slope, intercept).probabilities(logits)).astype(float)
    return logits[:, None], labels[:, None]


def test_a_known_truth_is_found() -> None:
    (found,) = calibrate_head(*drawn(0.5, -1.0, 20_000))
    assert (found.slope, found.intercept) == (pytest.approx(0.5, abs=0.03), pytest.approx(-1, abs=0.05))


def test_without_a_prior_it_is_logistic_regression() -> None:
    logits, labels = drawn(0.7, 0.4, 5000)
    (found,) = calibrate_head(logits, labels, prior=0)
    plain = LogisticRegression(C=np.inf).fit(logits, labels[:, 0])
    assert found.slope == pytest.approx(plain.coef_[0, 0], rel=5e-3)
    assert found.intercept == pytest.approx(plain.intercept_[0], abs=5e-3)


def test_it_mends_what_was_too_sure() -> None:
    logits, labels = drawn(0.4, -0.8, 4000)
    (found,) = calibrate_head(logits[:2000], labels[:2000])
    before = expected_calibration_error(labels[2000:, 0], Platt().probabilities(logits[2000:, 0]))
    after = expected_calibration_error(labels[2000:, 0], found.probabilities(logits[2000:, 0]))
    assert before is not None and after is not None
    assert after < 0.05 < 0.12 < before


def test_few_positives_are_held_to_the_heads_slope() -> None:
    logits, labels = drawn(0.5, 0.0, 3000)
    few_logits, few = drawn(3.0, -9.0, 120, seed=1)
    assert 2 <= few.sum() < 20
    pad = np.full((3000 - 120, 1), np.nan)
    both = (
        np.hstack([logits, np.vstack([few_logits, np.zeros_like(pad)])]),
        np.hstack([labels, np.vstack([few, pad])]),
    )
    big, small = calibrate_head(*both)
    alone = calibrate_head(few_logits, few, prior=0)[0]
    assert big.slope == pytest.approx(0.5, abs=0.06)
    assert abs(np.log(small.slope / big.slope)) < abs(np.log(alone.slope / big.slope)) / 2


def test_order_is_kept_even_where_the_network_is_wrong() -> None:
    """A slope is positive: calibration never turns a ranking over."""
    logits, labels = drawn(2.0, 0.0, 500)
    (found,) = calibrate_head(logits, 1 - labels)
    assert found.slope > 0


def test_a_separable_part_asks_for_no_infinity() -> None:
    logits = np.linspace(-3, 3, 50)[:, None]
    (found,) = calibrate_head(logits, (logits > 0).astype(float))
    assert found.slope < 21
    assert found.probabilities(np.array([-3.0]))[0] > 0


def test_one_class_or_nothing() -> None:
    nothing, negatives = calibrate_head(np.ones((6, 2)), np.column_stack([np.full(6, np.nan), np.zeros(6)]))
    assert nothing == Platt()
    # Six negatives and no positive: Platt's target is 1 / (6 + 2).
    assert negatives.probabilities(np.ones(1))[0] == pytest.approx(1 / 8, abs=1e-3)


TARGET = Target(Head.FINDINGS, "Mass")


def test_the_card_of_a_target() -> None:
    logits, labels = drawn(1.0, -1.0, 2000)
    card = target_card(TARGET, Platt(1.0, -1.0), logits[:, 0], labels[:, 0], 0.9, "nih")
    assert card.sensitivity is not None and card.threshold is not None
    assert 0.9 <= card.sensitivity < 0.905
    assert card.prevalence == pytest.approx(labels.mean())
    assert card.band_low is not None and card.band_high is not None
    assert card.band_low < card.threshold < card.band_high
    assert card.rule == "best Youden index from sensitivity 0.90 on, tune part of nih"


def test_the_points_that_a_site_may_choose_keep_their_promise() -> None:
    logits, labels = drawn(1.0, -1.0, 2000)
    points = target_card(TARGET, Platt(1.0, -1.0), logits[:, 0], labels[:, 0], 0.9, "nih").points
    assert set(points) == set(get_args(OperatingPoint)) - {"model"}
    for name, point in points.items():
        kind, _, share = name.partition("-")
        if share:
            given = getattr(point, kind)
            assert float(share) <= given < float(share) + 0.005, name
    best = points["youden"]
    assert best.sensitivity is not None and best.specificity is not None
    for point in points.values():
        assert point.sensitivity is not None and point.specificity is not None
        assert point.sensitivity + point.specificity <= best.sensitivity + best.specificity
    assert not target_card(TARGET, Platt(), logits[:5, 0], labels[:5, 0], 0.9, "nih").points


def test_nineteen_positives_get_no_operating_point() -> None:
    logits = RNG.normal(size=100)
    for positives, has_point in ((19, False), (20, True)):
        labels = np.array([1.0] * positives + [0.0] * (100 - positives))
        card = target_card(TARGET, Platt(), logits, labels, 0.9, "nih")
        assert (card.threshold is not None) is has_point
        assert card.n_positive == positives
    assert (
        "19 positives"
        in target_card(TARGET, Platt(), logits, np.r_[np.ones(19), np.zeros(81)], 0.9, "nih").rule
    )


def test_bands_that_cross_are_left_out() -> None:
    """Perfect separation: the threshold of sensitivity 0.95 lies above that of specificity 0.95."""
    labels = np.r_[np.zeros(50), np.ones(50)]
    card = target_card(TARGET, Platt(), np.linspace(-4, 4, 100), labels, 0.9, "nih")
    assert (card.band_low, card.band_high) == (None, None)
    assert card.threshold is not None


def test_each_head_is_calibrated_on_its_own_first_source() -> None:
    targets = (Target(Head.PNEUMONIA, "pneumonia"), Target(Head.FINDINGS, "Mass"))
    sources = np.repeat([0, 1], 200)
    labels = np.full((400, 2), np.nan)
    labels[:200, 0] = np.arange(200) % 4 == 0
    labels[200:, 0] = np.arange(200) % 2 == 0
    labels[200:, 1] = np.arange(200) % 5 == 0
    logits = np.random.default_rng(2).normal(size=(400, 2)) + np.nan_to_num(labels)
    found = calibrate(targets, logits, labels, sources, ["kermany", "nih"], 0.9)
    pneumonia, mass = found.targets
    assert found.sources == {Head.PNEUMONIA: 0, Head.FINDINGS: 1}
    assert (pneumonia.prevalence, mass.prevalence) == (0.25, 0.2)
    assert pneumonia.rule.endswith("kermany") and mass.rule.endswith("nih")
    assert (pneumonia.n_positive, mass.n_negative) == (50, 160)
