"""What a threshold gives, with intervals: the four fields of the table and the shares made of them, resampled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrviewer.evaluation.bootstrap import Draws, Interval, interval, shares
from cxrviewer.evaluation.operating import NO_POINT, AtThreshold, at_threshold

Values = NDArray[np.floating]

SHARES = ("sensitivity", "specificity", "ppv", "npv", "accuracy")
"""What has an interval at a threshold."""


@dataclass(frozen=True)
class WithIntervals:
    """A threshold's shares, and their 95 % intervals by name; None where there is too little to resample."""

    point: AtThreshold
    ci95: dict[str, Interval | None]


NOTHING = WithIntervals(NO_POINT, {})
"""Where there is no threshold."""


def with_intervals(labels: Values, scores: Values, threshold: float, draws: Draws) -> WithIntervals:
    """(N,) of 1, 0, NaN, (N,) -> what the threshold gives, and how far that could be chance."""
    keep = ~np.isnan(labels)
    found = resampled_shares(labels[keep], scores[keep], threshold, draws.rows(keep))
    ci95 = {name: interval(found[:, k]) for k, name in enumerate(SHARES)}
    return WithIntervals(at_threshold(labels, scores, threshold), ci95)


def resampled_shares(labels: Values, scores: Values, threshold: float, draws: Draws) -> NDArray[np.float64]:
    """(N,) of 1 and 0, (N,) -> (B, 5), in the order of SHARES; NaN where a draw leaves a denominator empty."""
    positive, called = labels == 1, scores >= threshold
    fields = np.column_stack([positive & called, ~positive & called, positive & ~called, ~positive & ~called])
    tp, fp, fn, tn = draws.sums(fields.astype(np.float64)).T
    return np.column_stack(
        [
            shares(tp, tp + fn),
            shares(tn, tn + fp),
            shares(tp, tp + fp),
            shares(tn, tn + fn),
            shares(tp + tn, tp + fp + fn + tn),
        ]
    )
