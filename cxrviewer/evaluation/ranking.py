"""How well scores rank positives above negatives. Labels are 1, 0 or NaN (not stated)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score


def stated(
    labels: NDArray[np.floating], scores: NDArray[np.floating]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Labels as bool and scores as float64, of the rows that state a label."""
    keep = ~np.isnan(labels)
    return labels[keep] == 1, np.asarray(scores[keep], np.float64)


def auroc(labels: NDArray[np.floating], scores: NDArray[np.floating]) -> float | None:
    """Area under the ROC curve; None where one of the classes is missing."""
    positive, values = stated(labels, scores)
    if positive.all() or not positive.any():
        return None
    return float(roc_auc_score(positive, values))


def average_precision(labels: NDArray[np.floating], scores: NDArray[np.floating]) -> float | None:
    """Average precision; None where one of the classes is missing."""
    positive, values = stated(labels, scores)
    if positive.all() or not positive.any():
        return None
    return float(average_precision_score(positive, values))
