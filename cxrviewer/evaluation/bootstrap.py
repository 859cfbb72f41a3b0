"""Intervals by resampling patients: pictures of one person are not independent, so persons are drawn, not pictures.

Percentile intervals (Efron and Tibshirani 1993, ch. 13). A draw of patients with replacement is a whole number of
times that every picture counts, so a resampled AUROC is a weighted one, and many draws are one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 1000
LEVEL = 0.95
MIN_SHARE = 0.5
"""Where fewer of the draws than this hold both classes, an interval would describe the lucky ones: none is given."""

_CELLS = 4_000_000
"""Draws times pictures worked on at once: about 100 MB."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A 95 % interval, both ends included."""

    low: float
    high: float

    def as_list(self) -> list[float]:
        """As `metrics.json` writes it."""
        return [self.low, self.high]


def patient_weights(patients: Sequence[str], draws: int = DRAWS, seed: int = 0) -> NDArray[np.float32]:
    """(B, N): how often each picture counts when as many patients as there are, are drawn with replacement."""
    names, member = np.unique(np.asarray(patients), return_inverse=True)
    counts = np.random.default_rng(seed).multinomial(
        len(names), np.full(len(names), 1 / len(names)), size=draws
    )
    return counts[:, member].astype(np.float32)


def weighted_auroc(positive: NDArray[np.bool_], scores: Floats, weights: NDArray[np.float32]) -> Floats:
    """(N,), (N,), (B, N) -> (B,): the chance that a positive scores above a negative, a tie counting half.

    NaN where a draw lacks one of the classes.
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])
    out = np.empty(len(weights))
    step = max(1, _CELLS // max(len(scores), 1))
    for first in range(0, len(weights), step):
        part = weights[first : first + step, order].astype(np.float64)
        ups = np.add.reduceat(part * positive[order], starts, axis=1)
        downs = np.add.reduceat(part * ~positive[order], starts, axis=1)
        below = np.cumsum(downs, axis=1) - downs
        pairs = ups.sum(1) * downs.sum(1)
        with np.errstate(invalid="ignore"):
            out[first : first + step] = (ups * (below + downs / 2)).sum(1) / pairs
    return out


def bootstrap_auroc(
    labels: NDArray[np.floating], scores: NDArray[np.floating], weights: NDArray[np.float32]
) -> Floats:
    """(N,) of 1, 0, NaN, (N,), (B, N) -> (B,): the resampled AUROCs of one label, NaN where a class is missing."""
    keep = ~np.isnan(labels)
    if not keep.any():
        return np.full(len(weights), np.nan)
    return weighted_auroc(labels[keep] == 1, np.asarray(scores[keep], np.float64), weights[:, keep])


def interval(values: Floats, level: float = LEVEL) -> Interval | None:
    """The percentile interval of resampled values; None where too many of them could not be computed."""
    known = values[~np.isnan(values)]
    if len(known) == 0 or len(known) < MIN_SHARE * len(values):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))
