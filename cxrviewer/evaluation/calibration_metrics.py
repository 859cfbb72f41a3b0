"""Do probabilities mean what they say? Labels are 1, 0 or NaN (not stated); probabilities are in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrviewer.evaluation.ranking import stated

BINS = 10

Values = NDArray[np.floating]


@dataclass(frozen=True)
class ReliabilityBin:
    """Pictures whose probability lies in [low, high): what was predicted on average, and what was the case."""

    low: float
    high: float
    count: int
    predicted: float
    observed: float


def brier(labels: Values, probabilities: Values) -> float | None:
    """Mean squared distance of probability and outcome (Brier 1950): 0 is perfect. None where nothing is stated."""
    positive, values = stated(labels, probabilities)
    return float(np.mean((values - positive) ** 2)) if len(values) else None


def log_loss(labels: Values, probabilities: Values) -> float | None:
    """Mean cross-entropy in nats; probabilities are kept 1e-7 away from 0 and 1. None where nothing is stated."""
    positive, values = stated(labels, probabilities)
    values = values.clip(1e-7, 1 - 1e-7)
    return float(-np.mean(np.log(np.where(positive, values, 1 - values)))) if len(values) else None


def reliability(labels: Values, probabilities: Values, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """Bins of equal width that hold at least one picture; 1.0 belongs to the last one."""
    positive, values = stated(labels, probabilities)
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, bins - 1)
    return tuple(
        ReliabilityBin(
            float(edges[k]),
            float(edges[k + 1]),
            int((place == k).sum()),
            float(values[place == k].mean()),
            float(positive[place == k].mean()),
        )
        for k in range(bins)
        if (place == k).any()
    )


def expected_calibration_error(labels: Values, probabilities: Values, bins: int = BINS) -> float | None:
    """Mean distance of predicted and observed over the bins, weighted by their counts (Guo et al., ICML 2017)."""
    curve = reliability(labels, probabilities, bins)
    total = sum(item.count for item in curve)
    return sum(item.count * abs(item.predicted - item.observed) for item in curve) / total if total else None
