"""Logits to probabilities by hand-worked numbers; a site's prevalence moves the number and not the decision."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrviewer.classifiers.calibration import band, log_odds, prior_shift, rescored, score, sigmoid
from cxrviewer.classifiers.card import PointCard, TargetCard
from cxrviewer.classifiers.prediction import Band, Prediction, Provenance, ScopeAnswer
from cxrviewer.labels import Head

inside = st.floats(0.01, 0.99)


def target(**changes: Any) -> TargetCard:
    values = {"head": Head.PNEUMONIA, "label": "pneumonia", "prevalence": 0.74, "threshold": 0.4}
    return TargetCard(**(values | {"n_positive": 100, "n_negative": 100} | changes))


@pytest.mark.parametrize(
    ("x", "p"), [(0, 0.5), (math.log(3), 0.75), (-math.log(9), 0.1), (800, 1.0), (-800, 0.0)]
)
def test_sigmoid_by_hand(x: float, p: float) -> None:
    assert sigmoid(x) == pytest.approx(p, abs=1e-12)


@pytest.mark.parametrize(("p", "x"), [(0.5, 0), (0.75, math.log(3)), (0.1, -math.log(9))])
def test_log_odds_by_hand(p: float, x: float) -> None:
    assert log_odds(p) == pytest.approx(x, abs=1e-12)


def test_certainty_has_finite_log_odds() -> None:
    assert -21 < log_odds(0) < -20 < 20 < log_odds(1) < 21


@given(st.floats(-15, 15))
def test_the_one_undoes_the_other(x: float) -> None:
    assert log_odds(sigmoid(x)) == pytest.approx(x, abs=1e-5)


def test_a_site_may_choose_another_operating_point() -> None:
    """At probability 0.5: positive by the bundle's own 0.4, negative by the stricter 0.6, with that one's figures."""
    strict = PointCard(threshold=0.6, sensitivity=0.8, specificity=0.95)
    card = target(points={"specificity-0.95": strict}, sensitivity=0.9, specificity=0.7)
    own, chosen = score(0.0, card), score(0.0, card, operating_point="specificity-0.95")
    assert (own.positive, own.threshold, own.sensitivity) == (True, 0.4, 0.9)
    assert (chosen.positive, chosen.threshold, chosen.sensitivity) == (False, 0.6, 0.8)
    assert chosen.probability == own.probability
    assert score(0.0, card, operating_point="youden") == own, "a bundle without that point keeps its own"
    without = target(threshold=None, points={})
    assert score(0.0, without, operating_point="youden").positive is None


def test_no_prevalence_no_shift() -> None:
    assert prior_shift(None, target()) == 0
    assert prior_shift(0.74, target()) == 0


def test_another_prevalence_by_hand() -> None:
    """Odds 9 at 74 in 100 (odds 74/26) become 9 * (10/90) / (74/26) = 26/74 at 10 in 100: p = 0.26."""
    found = score(math.log(9), target(), 0.10)
    assert found.probability == pytest.approx(0.26, abs=1e-9)
    assert found.prevalence == 0.10
    # The threshold's odds, 0.4 / 0.6, shrink by the same 26/666: 2/3 * 26/666 = 52/1998.
    assert found.threshold == pytest.approx(52 / 2050, abs=1e-9)
    assert found.positive is True


def test_slope_and_intercept_by_hand() -> None:
    """2 * ln 3 - ln 3 = ln 3: three in four."""
    found = score(math.log(3), target(slope=2, intercept=-math.log(3)))
    assert found.probability == pytest.approx(0.75)
    assert found.logit == pytest.approx(math.log(3))
    assert found.prevalence == 0.74 and found.threshold == 0.4


@given(st.floats(-12, 12), inside, inside, inside)
def test_a_prevalence_never_changes_the_decision(
    logit: float, threshold: float, trained: float, site: float
) -> None:
    card = target(prevalence=trained, threshold=threshold, band_low=threshold / 2, band_high=threshold)
    plain, moved = score(logit, card), score(logit, card, site)
    assert plain.positive == moved.positive and plain.band == moved.band and plain.logit == moved.logit
    assert moved.threshold is not None
    if abs(plain.probability - threshold) > 1e-6:
        assert (moved.probability >= moved.threshold) == moved.positive


@given(st.floats(-12, 12), inside, inside)
def test_a_rarer_illness_means_a_lower_number(logit: float, trained: float, site: float) -> None:
    plain, moved = score(logit, target(prevalence=trained)), score(logit, target(prevalence=trained), site)
    assert 0 < moved.probability < 1
    if site < trained:
        assert moved.probability <= plain.probability + 1e-12
    if site > trained:
        assert moved.probability >= plain.probability - 1e-12


@given(st.floats(-12, 12), st.floats(-12, 12), inside)
def test_a_higher_logit_is_never_a_lower_number(one: float, other: float, site: float) -> None:
    low, high = sorted((one, other))
    assert score(low, target(), site).probability <= score(high, target(), site).probability


def test_at_the_threshold_is_positive() -> None:
    assert score(0, target(threshold=0.5)).positive is True
    assert score(-1e-9, target(threshold=0.5)).positive is False


def test_without_a_threshold_nothing_is_decided() -> None:
    for site in (None, 0.1):
        found = score(3, target(threshold=None), site)
        assert found.threshold is None and found.positive is None and found.band is None


def test_what_the_card_says_of_the_operating_point_travels_along() -> None:
    found = score(0, target(sensitivity=0.9, specificity=0.8))
    assert (found.sensitivity, found.specificity) == (0.9, 0.8)
    assert found.target == target().target


@pytest.mark.parametrize(
    ("probability", "low", "high", "expected"),
    [
        (0.1, 0.2, 0.8, Band.LOW),
        (0.2, 0.2, 0.8, Band.UNSURE),
        (0.5, 0.2, 0.8, Band.UNSURE),
        (0.8, 0.2, 0.8, Band.HIGH),
        (0.9, 0.2, 0.8, Band.HIGH),
        (0.4, 0.5, 0.5, Band.LOW),
        (0.5, 0.5, 0.5, Band.HIGH),
        (0.5, 0.6, 0.4, None),
        (0.1, None, 0.8, None),
        (0.9, 0.2, None, None),
        (0.9, None, None, None),
    ],
)
def test_bands(probability: float, low: float | None, high: float | None, expected: Band | None) -> None:
    assert band(probability, low, high) is expected


def test_scores_are_read_again_at_another_prevalence_and_point() -> None:
    heads = (Head.PNEUMONIA, Head.FINDINGS)
    cards = [
        TargetCard(
            head=head, label="x", prevalence=0.5, threshold=0.4, n_positive=9, n_negative=9,
            points={"youden": PointCard(threshold=0.25, sensitivity=0.8, specificity=0.7)},
        )
        for head in heads
    ]  # fmt: skip
    before = Prediction(
        "d", 1, ScopeAnswer(True), tuple(score(0.0, card) for card in cards), Provenance(*"abcdefg"), 1.0
    )
    after = rescored(before, cards, 0.1, "youden")
    # Even odds at one half are a ninth of that at one in ten; a finding's prevalence is not the site's to state.
    assert [s.probability for s in after.scores] == pytest.approx([0.1, 0.5])
    assert [s.threshold for s in after.scores] == pytest.approx([(1 / 27) / (1 + 1 / 27), 0.25])
    assert [s.logit for s in after.scores] == [0.0, 0.0]
    assert rescored(after, cards, None, "model") == before
