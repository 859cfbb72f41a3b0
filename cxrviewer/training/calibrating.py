"""Fit what `classifiers/calibration.py` applies: slope and intercept, operating point and bands, all on tune.

Platt scaling (Platt 1999) with his smoothed targets. Few positives cannot carry a slope of their own, so each
label's slope is drawn towards the one that its whole head shares (a temperature, Guo et al., ICML 2017); the
intercept stays free, since balanced losses shift every logit by the label's prevalence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from cxrviewer.classifiers.card import PointCard, TargetCard
from cxrviewer.classifiers.classifier import Target
from cxrviewer.evaluation.operating import (
    MIN_POSITIVES,
    at_threshold,
    threshold_at_sensitivity,
    threshold_at_specificity,
    threshold_from_sensitivity,
)
from cxrviewer.labels import Head

BAND = 0.95
"""Low: below the threshold of this sensitivity; high: above the one of this specificity."""

PULL = 20.0
"""Precision of the prior on a slope's logarithm, that is how firmly few positives are held to the shared one."""

_BOUND = 3.0
"""A slope stays within exp(+-3) of 1: beyond that the tune part is separable and would ask for infinity."""

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Platt:
    """probability = sigmoid(slope * logit + intercept), slope > 0."""

    slope: float = 1.0
    intercept: float = 0.0

    def probabilities(self, logits: Floats) -> NDArray[np.float64]:
        """(N,) -> (N,) in [0, 1]."""
        values = np.asarray(logits, np.float64) * self.slope + self.intercept
        return np.asarray(1 / (1 + np.exp(-np.clip(values, -700, 700))), np.float64)


def calibrate_head(logits: Floats, labels: Floats, prior: float = PULL) -> tuple[Platt, ...]:
    """(N, K), (N, K) of 1, 0, NaN -> K calibrations. A label that nothing is stated of keeps slope 1, intercept 0."""
    both = [k for k in range(labels.shape[1]) if _both_classes(labels[:, k])]
    shared = _fit_shared([(logits[:, k], labels[:, k]) for k in both]) if both else 0.0
    return tuple(_fit_one(logits[:, k], labels[:, k], shared, prior) for k in range(labels.shape[1]))


def _both_classes(labels: Floats) -> bool:
    return bool((labels == 1).any() and (labels == 0).any())


def _fit_shared(columns: Sequence[tuple[Floats, Floats]]) -> float:
    """The logarithm of one slope for all, each column with an intercept of its own."""

    def cost(free: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        total, gradient = 0.0, np.zeros_like(free)
        for k, (logits, labels) in enumerate(columns):
            value, by_slope, by_intercept = _nll(logits, labels, free[0], free[k + 1])
            total += value
            gradient[0] += by_slope
            gradient[k + 1] = by_intercept
        return total, gradient

    bounds = [(-_BOUND, _BOUND)] + [(None, None)] * len(columns)
    found = minimize(cost, np.zeros(len(columns) + 1), jac=True, method="L-BFGS-B", bounds=bounds)
    return float(found.x[0])


def _fit_one(logits: Floats, labels: Floats, shared: float, prior: float) -> Platt:
    if np.isnan(labels).all():
        return Platt()

    def cost(free: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, by_slope, by_intercept = _nll(logits, labels, free[0], free[1])
        away = free[0] - shared
        return value + prior / 2 * away**2, np.array([by_slope + prior * away, by_intercept])

    found = minimize(
        cost, np.array([shared, 0.0]), jac=True, method="L-BFGS-B", bounds=[(-_BOUND, _BOUND), (None, None)]
    )
    return Platt(float(np.exp(found.x[0])), float(found.x[1]))


def _nll(logits: Floats, labels: Floats, log_slope: float, intercept: float) -> tuple[float, float, float]:
    """Cross-entropy with smoothed targets, and its derivatives by the slope's logarithm and by the intercept."""
    stated = ~np.isnan(labels)
    x, positive = np.asarray(logits[stated], np.float64), labels[stated] == 1
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    targets = np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
    scaled = np.exp(log_slope) * x
    z = scaled + intercept
    residual = 1 / (1 + np.exp(-z)) - targets
    cost = np.logaddexp(0, z) - targets * z
    return float(cost.sum()), float((residual * scaled).sum()), float(residual.sum())


def target_card(
    target: Target, platt: Platt, logits: Floats, labels: Floats, sensitivity: float, source: str
) -> TargetCard:
    """Calibration, operating point and bands of one target, from the tune part's logits and labels (N,)."""
    positives, negatives = int((labels == 1).sum()), int((labels == 0).sum())
    probabilities = platt.probabilities(logits)
    values: dict[str, float | None] = {}
    points: dict[str, PointCard] = {}
    if positives >= MIN_POSITIVES and negatives >= MIN_POSITIVES:
        rule = f"best Youden index from sensitivity {sensitivity:.2f} on, tune part of {source}"
        values = _points(labels, probabilities, sensitivity)
        points = _selectable(labels, probabilities)
    else:
        rule = f"none: the tune part of {source} has {positives} positives and {negatives} negatives"
    total = positives + negatives
    return TargetCard(
        head=target.head,
        label=target.label,
        slope=platt.slope,
        intercept=platt.intercept,
        # Kept off 0 and 1, whose log-odds are infinite.
        prevalence=float(np.clip(positives / max(total, 1), 1 / (total + 2), (total + 1) / (total + 2))),
        rule=rule,
        n_positive=positives,
        n_negative=negatives,
        points=points,
        **values,
    )


SELECTABLE: dict[str, Callable[[Floats, Floats], float | None]] = {
    "sensitivity-0.90": lambda labels, scores: threshold_at_sensitivity(labels, scores, 0.90),
    "sensitivity-0.95": lambda labels, scores: threshold_at_sensitivity(labels, scores, 0.95),
    "specificity-0.90": lambda labels, scores: threshold_at_specificity(labels, scores, 0.90),
    "specificity-0.95": lambda labels, scores: threshold_at_specificity(labels, scores, 0.95),
    "youden": lambda labels, scores: threshold_from_sensitivity(labels, scores, 0.0),
}
"""The operating points that go with a bundle beside its own, by the names of `CXR_OPERATING_POINT`."""


def _selectable(labels: Floats, probabilities: NDArray[np.float64]) -> dict[str, PointCard]:
    found: dict[str, PointCard] = {}
    for name, choose in SELECTABLE.items():
        threshold = choose(labels, probabilities)
        if threshold is not None:
            given = at_threshold(labels, probabilities, threshold)
            found[name] = PointCard(
                threshold=min(threshold, 1.0), sensitivity=given.sensitivity, specificity=given.specificity
            )
    return found


def _points(
    labels: Floats, probabilities: NDArray[np.float64], sensitivity: float
) -> dict[str, float | None]:
    threshold = threshold_from_sensitivity(labels, probabilities, sensitivity)
    low = threshold_at_sensitivity(labels, probabilities, BAND)
    high = threshold_at_specificity(labels, probabilities, BAND)
    if threshold is None or low is None or high is None:
        return {}
    point = at_threshold(labels, probabilities, threshold)
    crossed = low > high
    return {
        "threshold": threshold,
        "sensitivity": point.sensitivity,
        "specificity": point.specificity,
        "band_low": None if crossed else low,
        "band_high": None if crossed else min(high, 1.0),
    }


@dataclass(frozen=True)
class Calibrated:
    """Every target's card in output order, and the index of the data set that each head was calibrated on."""

    targets: tuple[TargetCard, ...]
    sources: dict[Head, int]


def calibrate(
    targets: Sequence[Target],
    logits: Floats,
    labels: Floats,
    sources: NDArray[np.int64],
    names: Sequence[str],
    sensitivity: float,
) -> Calibrated:
    """Every target's card. A head is calibrated on the first source whose tune rows hold both classes of a label.

    logits, labels: (N, K) of the tune part; sources: (N,) indices into `names`, the data sets in their order of
    importance. One source alone, so that probabilities stand for one stated prevalence and not for a mixture.
    """
    cards: dict[int, TargetCard] = {}
    chosen: dict[Head, int] = {}
    for head in Head:
        columns = [k for k, target in enumerate(targets) if target.head is head]
        if columns:
            source = _main_source(labels[:, columns], sources, len(names))
            chosen[head] = source
            rows = np.flatnonzero(sources == source)
            platts = calibrate_head(logits[rows][:, columns], labels[rows][:, columns])
            for k, platt in zip(columns, platts, strict=True):
                cards[k] = target_card(
                    targets[k], platt, logits[rows, k], labels[rows, k], sensitivity, names[source]
                )
    return Calibrated(tuple(cards[k] for k in range(len(targets))), chosen)


def _main_source(labels: Floats, sources: NDArray[np.int64], count: int) -> int:
    for source in range(count):
        rows = labels[sources == source]
        if any(_both_classes(rows[:, k]) for k in range(rows.shape[1])):
            return source
    return 0
