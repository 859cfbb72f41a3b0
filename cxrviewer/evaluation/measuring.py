"""The numbers of `metrics.json`: one label's, and those of a whole part of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from cxrviewer.evaluation.bootstrap import Draws, Interval, Ranking, interval, resampled_ranking, shares
from cxrviewer.evaluation.calibration_metrics import brier, expected_calibration_error, log_loss
from cxrviewer.evaluation.operating import MIN_POSITIVES, Confusion, at_threshold
from cxrviewer.evaluation.operating_draws import NOTHING, with_intervals
from cxrviewer.evaluation.ranking import auroc, average_precision

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class LabelMetrics:
    """One label with positives and negatives. Sensitivity to confusion: at the threshold, None without one."""

    auroc: float
    auroc_ci95: Interval | None
    average_precision: float
    average_precision_ci95: Interval | None
    threshold: float | None
    sensitivity: float | None
    sensitivity_ci95: Interval | None
    specificity: float | None
    specificity_ci95: Interval | None
    ppv: float | None
    ppv_ci95: Interval | None
    npv: float | None
    npv_ci95: Interval | None
    accuracy: float | None
    accuracy_ci95: Interval | None
    confusion: Confusion | None
    brier: float
    brier_ci95: Interval | None
    ece: float
    loss: float
    n_positive: int
    n_negative: int

    @property
    def enough(self) -> bool:
        """True where the label counts in a headline mean."""
        return self.n_positive >= MIN_POSITIVES

    def as_json(self) -> dict[str, object]:
        """Plain values; intervals as [low, high]."""
        plain = {name: listed(value) for name, value in vars(self).items()}
        return plain | {
            "confusion": self.confusion and asdict(self.confusion),
            "misclassification_rate": None if self.accuracy is None else 1 - self.accuracy,
        }


def listed(value: object) -> object:
    """An interval as [low, high]; anything else as it is."""
    return value.as_list() if isinstance(value, Interval) else value


@dataclass(frozen=True)
class Task:
    """What is to be measured of one column.

    headline: the label may count in the mean AUROC. threshold: the operating point, or None.
    """

    name: str
    threshold: float | None
    headline: bool = True


@dataclass(frozen=True)
class PartMetrics:
    """All labels of a part; a label without positives or without negatives is None, never a made-up number.

    mean_auroc: over headline labels with at least 20 positives; mean_auroc_all: over all headline labels.
    brier, ece, loss: means over the labels that are not None. accuracy: of the first column that has a threshold
    and is stated at all, called positive or negative at that threshold.
    """

    labels: dict[str, LabelMetrics | None]
    mean_auroc: float | None
    mean_auroc_ci95: Interval | None
    mean_auroc_all: float | None
    brier: float | None
    ece: float | None
    loss: float | None
    accuracy: float | None
    n_images: int
    n_patients: int

    def as_json(self) -> dict[str, object]:
        """The keys of `metrics.json` that are about numbers."""
        return asdict(self) | {
            "labels": {name: found and found.as_json() for name, found in self.labels.items()},
            "mean_auroc_ci95": self.mean_auroc_ci95 and self.mean_auroc_ci95.as_list(),
            "misclassification_rate": None if self.accuracy is None else 1 - self.accuracy,
        }


def measure(
    labels: Floats, probabilities: Floats, tasks: Sequence[Task], patients: Sequence[str], seed: int = 0
) -> PartMetrics:
    """(N, K) of 1, 0, NaN; (N, K) in [0, 1]; K tasks; N patients -> every number, intervals over patients."""
    draws = Draws.of(patients, seed=seed)
    ranked = [resampled_ranking(labels[:, k], probabilities[:, k], draws) for k in range(len(tasks))]
    found = [
        _label(labels[:, k], probabilities[:, k], task.threshold, draws, ranked[k])
        for k, task in enumerate(tasks)
    ]
    measured = [(k, label) for k, label in enumerate(found) if label is not None]
    shown = [(k, label) for k, label in measured if tasks[k].headline] or measured
    enough = [(k, label) for k, label in shown if label.enough]
    return PartMetrics(
        labels={task.name: label for task, label in zip(tasks, found, strict=True)},
        mean_auroc=_mean([label.auroc for _, label in enough]),
        mean_auroc_ci95=(interval(np.mean([ranked[k].auroc for k, _ in enough], axis=0)) if enough else None),
        mean_auroc_all=_mean([label.auroc for _, label in shown]),
        brier=_mean([label.brier for _, label in measured]),
        ece=_mean([label.ece for _, label in measured]),
        loss=_mean([label.loss for _, label in measured]),
        accuracy=_accuracy(labels, probabilities, tasks),
        n_images=len(labels),
        n_patients=len(set(patients)),
    )


def _label(
    labels: Floats, probabilities: Floats, threshold: float | None, draws: Draws, ranked: Ranking
) -> LabelMetrics | None:
    area, precision = auroc(labels, probabilities), average_precision(labels, probabilities)
    values = [f(labels, probabilities) for f in (brier, expected_calibration_error, log_loss)]
    if area is None or precision is None or None in values:
        return None
    squares, gap, loss = (float(value) for value in values if value is not None)
    positives = int((labels == 1).sum())
    # Too few positives to place a threshold by are too few to judge one by.
    used = threshold if positives >= MIN_POSITIVES else None
    given = NOTHING if used is None else with_intervals(labels, probabilities, used, draws)

    point = given.point
    return LabelMetrics(
        auroc=area,
        auroc_ci95=interval(ranked.auroc),
        average_precision=precision,
        average_precision_ci95=interval(ranked.average_precision),
        threshold=used,
        sensitivity=point.sensitivity,
        sensitivity_ci95=given.ci95.get("sensitivity"),
        specificity=point.specificity,
        specificity_ci95=given.ci95.get("specificity"),
        ppv=point.ppv,
        ppv_ci95=given.ci95.get("ppv"),
        npv=point.npv,
        npv_ci95=given.ci95.get("npv"),
        accuracy=point.accuracy,
        accuracy_ci95=given.ci95.get("accuracy"),
        confusion=point.confusion,
        brier=squares,
        brier_ci95=_brier_interval(labels, probabilities, draws),
        ece=gap,
        loss=loss,
        n_positive=positives,
        n_negative=int((labels == 0).sum()),
    )


def _brier_interval(labels: Floats, probabilities: Floats, draws: Draws) -> Interval | None:
    stated = ~np.isnan(labels)
    squares = np.where(stated, (probabilities - np.nan_to_num(labels)) ** 2, 0.0)
    sums = draws.sums(np.column_stack([squares, stated]))
    return interval(shares(sums[:, 0], sums[:, 1]))


def _accuracy(labels: Floats, probabilities: Floats, tasks: Sequence[Task]) -> float | None:
    for k, task in enumerate(tasks):
        if task.threshold is not None and not np.isnan(labels[:, k]).all():
            return at_threshold(labels[:, k], probabilities[:, k], task.threshold).accuracy
    return None


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
