"""ROC and precision-recall curves as points. Drawing them is the reporting room's business."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from cxrviewer.evaluation.calibration_metrics import ReliabilityBin, reliability
from cxrviewer.evaluation.ranking import auroc, average_precision, stated


@dataclass(frozen=True, eq=False)
class Curve:
    """Points (P,) of a curve. ROC: x is 1 - specificity, y sensitivity; PR: x is recall, y precision."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LabelCurve:
    """One label's curves with the numbers that stand beside them; `auroc_ci95` is (low, high) or None."""

    name: str
    auroc: float
    auroc_ci95: tuple[float, float] | None
    average_precision: float
    prevalence: float
    roc: Curve
    precision_recall: Curve
    reliability: tuple[ReliabilityBin, ...]


def label_curve(
    name: str,
    labels: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    ci95: tuple[float, float] | None = None,
) -> LabelCurve | None:
    """Everything there is to draw of one label (N,); None where one of the classes is missing."""
    area, precision = auroc(labels, probabilities), average_precision(labels, probabilities)
    first, second = roc(labels, probabilities), precision_recall(labels, probabilities)
    if area is None or precision is None or first is None or second is None:
        return None
    share = float(np.nanmean(labels))
    bins = reliability(labels, probabilities)
    return LabelCurve(name, area, ci95, precision, share, thinned(first), thinned(second), bins)


def roc(labels: NDArray[np.floating], scores: NDArray[np.floating]) -> Curve | None:
    """From (0, 0) to (1, 1); None where one of the classes is missing."""
    positive, values = stated(labels, scores)
    if positive.all() or not positive.any():
        return None
    x, y, _ = roc_curve(positive, values)
    return Curve(np.asarray(x, np.float64), np.asarray(y, np.float64))


def precision_recall(labels: NDArray[np.floating], scores: NDArray[np.floating]) -> Curve | None:
    """By falling recall, ending at (0, 1); None where one of the classes is missing."""
    positive, values = stated(labels, scores)
    if positive.all() or not positive.any():
        return None
    y, x, _ = precision_recall_curve(positive, values)
    return Curve(np.asarray(x, np.float64), np.asarray(y, np.float64))


def thinned(curve: Curve, points: int = 200) -> Curve:
    """At most `points` of them, ends included, for a card or a page."""
    if len(curve.x) <= points:
        return curve
    keep = np.unique(np.linspace(0, len(curve.x) - 1, points).round().astype(np.int64))
    return Curve(curve.x[keep], curve.y[keep])
