"""Every operating point of a label at once, so that a page can slide over the threshold without computing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrviewer.evaluation.ranking import stated

POINTS = 200
DIGITS = 4
"""Thresholds are rounded before anything is counted, so that what a file keeps of them gives the same counts."""


@dataclass(frozen=True, eq=False)
class Explorer:
    """Thresholds (T,), rising, with the pictures called positive at or above each: rightly `tp`, wrongly `fp`."""

    thresholds: NDArray[np.float64]
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    n_positive: int
    n_negative: int

    def nearest(self, threshold: float) -> int:
        """The index of the threshold that lies closest."""
        return int(np.abs(self.thresholds - threshold).argmin())

    def start(self, own: float | None) -> int:
        """Where a reader begins: at the model's own threshold, or where sensitivity and specificity add up to most."""
        return int((self.sensitivity + self.specificity).argmax()) if own is None else self.nearest(own)

    @property
    def sensitivity(self) -> NDArray[np.float64]:
        """(T,) share of the positives that is called."""
        return self.tp / self.n_positive

    @property
    def specificity(self) -> NDArray[np.float64]:
        """(T,) share of the negatives that is not called."""
        return 1 - self.fp / self.n_negative

    def predictive(self, prevalence: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """PPV and NPV (T,) where that share of the people is ill (Bayes); NaN where nobody is called, or everybody."""
        ill, well = prevalence * self.sensitivity, (1 - prevalence) * (1 - self.specificity)
        missed, passed = prevalence * (1 - self.sensitivity), (1 - prevalence) * self.specificity
        with np.errstate(invalid="ignore"):
            return ill / (ill + well), passed / (passed + missed)


def explorer(
    labels: NDArray[np.floating], scores: NDArray[np.floating], points: int = POINTS, own: float | None = None
) -> Explorer | None:
    """(N,) of 1, 0, NaN, (N,) in [0, 1] -> about `points` thresholds where calls change, from 0 to past the last score.

    own: the label's own threshold, which is among them. None where one of the classes is missing.
    """
    positive, values = stated(labels, scores)
    if positive.all() or not positive.any():
        return None
    places = np.unique(np.quantile(values, np.linspace(0, 1, points)).round(DIGITS))
    ends = [0.0, min(1.0, round(float(values.max()), DIGITS) + 10**-DIGITS)]
    if own is not None:
        ends.append(round(own, DIGITS))
    thresholds = np.unique(np.concatenate([places, ends]))
    up, down = np.sort(values[positive]), np.sort(values[~positive])
    return Explorer(
        thresholds,
        tp=len(up) - np.searchsorted(up, thresholds, "left"),
        fp=len(down) - np.searchsorted(down, thresholds, "left"),
        n_positive=len(up),
        n_negative=len(down),
    )
