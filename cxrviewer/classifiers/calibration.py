"""Logit -> probability, operating point and band. The numbers come from the card; here they are only applied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from cxrviewer.classifiers.card import TargetCard
from cxrviewer.classifiers.prediction import Band, Prediction, Score
from cxrviewer.labels import Head


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def log_odds(p: float) -> float:
    """log(p / (1 - p)); 0 and 1 are kept a hair away from infinity."""
    p = min(max(p, 1e-9), 1 - 1e-9)
    return math.log(p / (1 - p))


def prior_shift(site_prevalence: float | None, card: TargetCard) -> float:
    """What another prevalence adds to the log-odds (Saerens et al., Neural Computation 2002); 0 where none is set,
    or where it is not known what the model's own probability stands for.

    It moves probability and thresholds alike: what is called positive does not change, what a number means does.
    """
    if site_prevalence is None or card.prevalence is None:
        return 0.0
    return log_odds(site_prevalence) - log_odds(card.prevalence)


def score(
    logit: float, card: TargetCard, site_prevalence: float | None = None, operating_point: str = "model"
) -> Score:
    """The calibrated answer for one target, called positive or not at the operating point of that name."""
    point = card.at(operating_point)
    shift = prior_shift(site_prevalence, card)
    calibrated = sigmoid(card.slope * logit + card.intercept)
    return Score(
        target=card.target,
        logit=logit,
        probability=sigmoid(log_odds(calibrated) + shift) if shift else calibrated,
        prevalence=card.prevalence if card.prevalence is None or site_prevalence is None else site_prevalence,
        threshold=None if point is None else _shifted(point.threshold, shift),
        positive=None if point is None else calibrated >= point.threshold,
        sensitivity=None if point is None else point.sensitivity,
        specificity=None if point is None else point.specificity,
        band=band(calibrated, card.band_low, card.band_high),
    )


def prevalence_of(card: TargetCard, site_prevalence: float | None) -> float | None:
    """A site states how much pneumonia it sees; of the other findings it says nothing."""
    return site_prevalence if card.head is Head.PNEUMONIA else None


def rescored(
    prediction: Prediction, cards: Sequence[TargetCard], site_prevalence: float | None, operating_point: str
) -> Prediction:
    """The same logits read at another prevalence and operating point. cards: those of the model that answered."""
    by_target = {card.target: card for card in cards}
    scores = tuple(
        score(old.logit, card, prevalence_of(card, site_prevalence), operating_point)
        for old in prediction.scores
        for card in [by_target[old.target]]
    )
    return replace(prediction, scores=scores)


def _shifted(probability: float, shift: float) -> float:
    return probability if not shift else sigmoid(log_odds(probability) + shift)


def band_limits(card: TargetCard, site_prevalence: float | None = None) -> tuple[float, float] | None:
    """Where low ends and high begins on the probability that `score` gives; None where there are no bands."""
    low, high = card.band_low, card.band_high
    if low is None or high is None or low > high:
        return None
    shift = prior_shift(site_prevalence, card)
    return _shifted(low, shift), _shifted(high, shift)


def band(probability: float, low: float | None, high: float | None) -> Band | None:
    """Low below `low`, high from `high` on, unsure between; None where there are no bands or they cross."""
    if low is None or high is None or low > high:
        return None
    if probability < low:
        return Band.LOW
    return Band.HIGH if probability >= high else Band.UNSURE
