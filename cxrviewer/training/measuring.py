"""The numbers of a card: how the network fared on the report part, and what it may have been using."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue, TypeAdapter

from cxrviewer.classifiers.card import TargetCard
from cxrviewer.classifiers.serving import ServingClassifier
from cxrviewer.datasets.dataset import Row
from cxrviewer.datasets.splits import Part
from cxrviewer.evaluation.curves import Curve, label_curve, thinned
from cxrviewer.evaluation.explorer import Explorer, explorer
from cxrviewer.evaluation.measuring import PartMetrics, Task, measure
from cxrviewer.evaluation.subgroups import age_band, subgroups
from cxrviewer.labels import Head
from cxrviewer.training.calibrating import Platt
from cxrviewer.training.checking import (
    header_shortcuts,
    lung_dependence,
    source_shortcut,
    sources_told_apart,
)
from cxrviewer.training.material import Material
from cxrviewer.training.predictions import Predictions
from cxrviewer.training.scoring import Scored

CURVE_POINTS = 100
DIGITS = 4

Json = dict[str, JsonValue]

_JSON = TypeAdapter(Json)


def tasks_of(targets: Sequence[TargetCard]) -> tuple[Task, ...]:
    """What is measured of each column: the findings make the headline mean, the binary head stands beside it."""
    return tuple(Task(t.label, t.threshold, headline=t.head is Head.FINDINGS) for t in targets)


def probabilities_of(targets: Sequence[TargetCard], logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, K) logits -> (N, K) calibrated probabilities."""
    columns = [Platt(t.slope, t.intercept).probabilities(logits[:, k]) for k, t in enumerate(targets)]
    return np.column_stack(columns)


def measure_report(material: Material, targets: Sequence[TargetCard], reported: Scored) -> Json:
    """Metrics, curves and reliability of each data set's report part, under the data set's name."""
    chosen = material.chosen(Part.REPORT)
    columns = [material.labels.index(target.label) for target in targets]
    labels, probabilities = material.targets[chosen][:, columns], probabilities_of(targets, reported.logits)
    found: Json = {}
    for index, dataset in enumerate(material.datasets):
        rows = np.flatnonzero(material.source[chosen] == index)
        if len(rows) and not np.isnan(labels[rows]).all():
            pictures = [material.rows[int(chosen[row])] for row in rows]
            truth, chances, tasks = labels[rows], probabilities[rows], tasks_of(targets)
            patients = [row.patient for row in pictures]
            part = measure(truth, chances, tasks, patients)
            groups = subgroups(truth, chances, tasks, patients, attributes_of(pictures))
            found[dataset.name] = plain_json(part, truth, chances, tasks) | rounded(
                {
                    "one_class": one_class(truth, chances, targets),
                    "subgroups": [group.as_json() for group in groups],
                }
            )
    return {"report": found}


def predictions_of(material: Material, targets: Sequence[TargetCard], reported: Scored) -> Predictions:
    """What the network answered on the report part, row by row."""
    chosen = material.chosen(Part.REPORT)
    columns = [material.labels.index(target.label) for target in targets]
    return Predictions(
        rows=tuple(material.split[int(index)] for index in chosen),
        names=tuple(target.label for target in targets),
        logits=reported.logits.astype(np.float64),
        probabilities=probabilities_of(targets, reported.logits),
        labels=material.targets[chosen][:, columns].astype(np.float64),
    )


def attributes_of(rows: Sequence[Row]) -> dict[str, list[str | None]]:
    """What subgroups are made by."""
    return {
        "age": [age_band(row.age_years) for row in rows],
        "sex": [row.sex for row in rows],
        "view": [None if row.view is None else row.view.value for row in rows],
    }


def one_class(
    labels: NDArray[np.float32], probabilities: NDArray[np.float64], targets: Sequence[TargetCard]
) -> dict[str, object]:
    """Labels of a data set that has only positives or only negatives: how many are called positive at the threshold."""
    found: dict[str, object] = {}
    for k, target in enumerate(targets):
        stated = labels[:, k][~np.isnan(labels[:, k])]
        if len(stated) and stated.min() == stated.max() and target.threshold is not None:
            called = probabilities[~np.isnan(labels[:, k]), k] >= target.threshold
            found[target.label] = {
                "truth": "positive" if stated[0] == 1 else "negative",
                "n": len(stated),
                "called_positive": int(called.sum()),
            }
    return found


def plain_json(
    part: PartMetrics,
    labels: NDArray[np.float32],
    probabilities: NDArray[np.float64],
    tasks: Sequence[Task],
) -> Json:
    """A part's metrics with the curves to draw and the operating points to slide over, rounded to four digits."""
    curves: dict[str, object] = {}
    for k, task in enumerate(tasks):
        curve = label_curve(task.name, labels[:, k], probabilities[:, k])
        points = explorer(labels[:, k], probabilities[:, k], CURVE_POINTS, task.threshold)
        if curve is not None and points is not None:
            curves[task.name] = {
                "roc": _points(curve.roc),
                "precision_recall": _points(curve.precision_recall),
                "reliability": [dataclasses.astuple(item) for item in curve.reliability],
                "operating": _operating(points),
            }
    return rounded(part.as_json() | {"curves": curves})


def _operating(points: Explorer) -> list[list[float]]:
    """Thresholds, and the positives and negatives called at or above each."""
    return [points.thresholds.tolist(), points.tp.tolist(), points.fp.tolist()]


def _points(curve: Curve) -> list[list[float]]:
    small = thinned(curve, CURVE_POINTS)
    return [small.x.tolist(), small.y.tolist()]


def rounded(values: dict[str, object]) -> Json:
    """The same tree with floats of four digits: more would claim more than the data hold."""

    def walk(value: object) -> object:
        if isinstance(value, float):
            return round(value, DIGITS)
        if isinstance(value, dict):
            return {key: walk(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [walk(inner) for inner in value]
        return value

    return _JSON.validate_python(walk(values))


def _says_something(found: dict[str, dict[str, float | None]]) -> bool:
    return any(value is not None for named in found.values() for value in named.values())


def check_network(serving: ServingClassifier, material: Material, reported: Scored) -> Json:
    """What view, age, sex or source alone would give, and what the network loses without the lungs."""
    chosen = material.chosen(Part.REPORT)
    names = [target.label for target in serving.targets]
    labels = material.targets[chosen][:, [material.labels.index(name) for name in names]]
    source = material.source[chosen]
    patients = [material.rows[int(i)].patient for i in chosen]
    datasets = [dataset.name for dataset in material.datasets]
    headers = {}
    for index, name in enumerate(datasets):
        here = np.flatnonzero(material.source == index)
        stated = material.targets[here][:, [material.labels.index(label) for label in names]]
        learn = material.parts[here] != Part.REPORT.value
        headers[name] = header_shortcuts([material.rows[int(i)] for i in here], stated, learn, names)
    return rounded(
        {
            "auroc_by_header_alone": {
                name: found for name, found in headers.items() if _says_something(found)
            },
            "auroc_by_source_alone": source_shortcut(source, labels, patients, names),
            "auroc_of_telling_sources_apart": sources_told_apart(
                reported.features, source, patients, datasets
            ),
            "pneumonia_auroc_by_what_is_shown": lung_dependence(serving, material),
        }
    )
