"""Operating points: a threshold, and what it costs. A picture is called positive at or above the threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrviewer.evaluation.ranking import stated

MIN_POSITIVES = 20
"""A label with fewer positives gets no operating point of its own and no place in a headline mean."""

Values = NDArray[np.floating]


@dataclass(frozen=True)
class Confusion:
    """True positives, false positives, false negatives, true negatives."""

    tp: int
    fp: int
    fn: int
    tn: int


@dataclass(frozen=True)
class AtThreshold:
    """What a threshold gives. A share whose denominator is empty is None. PPV and NPV hold at this prevalence."""

    threshold: float | None
    sensitivity: float | None
    specificity: float | None
    ppv: float | None
    npv: float | None
    accuracy: float | None
    confusion: Confusion | None = None


NO_POINT = AtThreshold(None, None, None, None, None, None)
"""Where there is no threshold there is nothing to say."""


def at_threshold(labels: Values, scores: Values, threshold: float) -> AtThreshold:
    """Count the four fields of the table at a threshold."""
    positive, values = stated(labels, scores)
    called = values >= threshold
    tp, fp = int((called & positive).sum()), int((called & ~positive).sum())
    fn, tn = int((~called & positive).sum()), int((~called & ~positive).sum())
    return AtThreshold(
        threshold,
        sensitivity=_share(tp, tp + fn),
        specificity=_share(tn, tn + fp),
        ppv=_share(tp, tp + fp),
        npv=_share(tn, tn + fn),
        accuracy=_share(tp + tn, len(values)),
        confusion=Confusion(tp, fp, fn, tn),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def threshold_at_sensitivity(labels: Values, scores: Values, sensitivity: float) -> float | None:
    """The highest threshold that calls at least this share of the positives; None without positives.

    It lies half way down to the next lower score, so that no rounding of a score turns a call over.
    """
    positive, values = stated(labels, scores)
    found = np.sort(values[positive])[::-1]
    if not len(found):
        return None
    edge = found[_enough(sensitivity, len(found)) - 1]
    below = values[values < edge]
    return float((edge + below.max()) / 2 if len(below) else edge)


def threshold_from_sensitivity(labels: Values, scores: Values, least: float) -> float | None:
    """Of the thresholds with at least this sensitivity, the one with the largest sensitivity + specificity.

    Where positives stand out, the highest threshold of a sensitivity would give away positives for nothing: a lower
    one finds more of them at the same specificity (Youden 1950). None without positives or without negatives.
    """
    positive, values = stated(labels, scores)
    if positive.all() or not positive.any():
        return None
    order = np.argsort(-values, kind="stable")
    hits, alarms = np.cumsum(positive[order]), np.cumsum(~positive[order])
    ends = np.flatnonzero(np.r_[np.diff(values[order]) < 0, True])  # equal scores are called together
    enough = ends[hits[ends] >= _enough(least, int(positive.sum()))]
    best = enough[np.argmax(hits[enough] / positive.sum() - alarms[enough] / (~positive).sum())]
    edge = values[order][best]
    below = values[values < edge]
    return float((edge + below.max()) / 2 if len(below) else edge)


def threshold_at_specificity(labels: Values, scores: Values, specificity: float) -> float | None:
    """The lowest threshold that leaves at least this share of the negatives uncalled; None without negatives.

    It lies half way up to the next higher score; above the highest of all scores it is the next number.
    """
    positive, values = stated(labels, scores)
    found = np.sort(values[~positive])
    if not len(found):
        return None
    edge = found[_enough(specificity, len(found)) - 1]
    above = values[values > edge]
    return float((edge + above.min()) / 2 if len(above) else np.nextafter(edge, np.inf))


def _enough(share: float, count: int) -> int:
    """The smallest whole number that is at least `share` of `count`; 0.9 of 10 is 9, whatever binary says."""
    return min(max(int(np.ceil(share * count - 1e-9)), 1), count)
