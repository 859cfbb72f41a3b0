"""Where the bands begin is told in the numbers that the answer is given in."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cxrviewer.classifiers.calibration import band_limits, score
from cxrviewer.classifiers.card import TargetCard
from cxrviewer.classifiers.prediction import Band
from cxrviewer.labels import Head


def card(low: float | None = 0.2, high: float | None = 0.8) -> TargetCard:
    return TargetCard(
        head=Head.PNEUMONIA, label="pneumonia", prevalence=0.5, threshold=0.5, band_low=low, band_high=high,
        n_positive=50, n_negative=50,
    )  # fmt: skip


@pytest.mark.parametrize(("low", "high"), [(None, 0.8), (0.2, None), (0.8, 0.2)])
def test_no_limits_where_there_are_no_bands(low: float | None, high: float | None) -> None:
    assert band_limits(card(low, high)) is None


def test_another_prevalence_moves_both_by_the_same_odds() -> None:
    # Odds of 1/4 and 4 at one half; a ninth of each at one in ten: 1/36 and 4/9.
    assert band_limits(card(), 0.1) == pytest.approx((1 / 37, 4 / 13))


@given(logit=st.floats(-6, 6), site=st.none() | st.floats(0.01, 0.99))
def test_the_band_of_a_score_agrees_with_the_limits_on_its_bar(logit: float, site: float | None) -> None:
    answer, limits = score(logit, card(), site), band_limits(card(), site)
    assert limits is not None
    low, high = limits
    assume(min(abs(answer.probability - low), abs(answer.probability - high)) > 1e-9)
    expected = (
        Band.LOW if answer.probability < low else Band.HIGH if answer.probability >= high else Band.UNSURE
    )
    assert answer.band is expected
