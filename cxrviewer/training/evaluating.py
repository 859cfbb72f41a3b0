"""A bundle on a part of a data set: `metrics.json`, `predictions.csv`, and the curves for whoever draws them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from cxrviewer.classifiers.registry import find, open_model
from cxrviewer.datasets import Dataset, Row, read_dataset
from cxrviewer.datasets.splits import Part, SplitRow, read_split
from cxrviewer.errors import ConfigurationError, NotFoundError
from cxrviewer.evaluation.curves import LabelCurve, label_curve
from cxrviewer.evaluation.measuring import LabelMetrics, PartMetrics, measure
from cxrviewer.settings import get_settings
from cxrviewer.training.measuring import probabilities_of, rounded, tasks_of
from cxrviewer.training.predictions import harmless
from cxrviewer.training.publishing import SPLIT
from cxrviewer.training.scoring import Progress, score_files

ALL = "all"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was measured. labels, probabilities: (N, K), columns by `names`; `part` may be `all`."""

    model: str
    dataset: str
    part: str
    names: tuple[str, ...]
    labels: NDArray[np.float32]
    probabilities: NDArray[np.float64]
    metrics: PartMetrics

    def curves(self) -> tuple[LabelCurve, ...]:
        """What is to be drawn: one entry a label that could be measured."""
        found = [
            label_curve(name, self.labels[:, k], self.probabilities[:, k], _ends(self.metrics.labels[name]))
            for k, name in enumerate(self.names)
        ]
        return tuple(curve for curve in found if curve is not None)


def _ends(found: LabelMetrics | None) -> tuple[float, float] | None:
    if found is None or found.auroc_ci95 is None:
        return None
    return found.auroc_ci95.low, found.auroc_ci95.high


def evaluate_model(
    model_id: str | None,
    dataset: str,
    root: Path,
    part: str = Part.REPORT.value,
    splits: Path | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
    options: Mapping[str, JsonValue] | None = None,
) -> Evaluation:
    """Score the rows of a part, measure, and write `metrics.json` and `predictions.csv` into `out`.

    options: what the data set's reader lets one choose. splits: a `split.csv`, or None for the one that goes with the
    bundle. A data set that no row of it names was never trained on: all of it is measured, and `part` becomes `all`.
    Raises CxrError.
    """
    model = open_model(model_id)
    data = read_dataset(dataset, root, options)
    rows, used = choose_rows(data, part, _split(model.card.id, splits))
    targets = model.card.targets
    scored = score_files(model.serving, [data.picture(row) for row in rows], progress)
    names = tuple(target.label for target in targets)
    labels = replace(data, rows=tuple(rows)).targets(names)
    probabilities = probabilities_of(targets, scored.logits)
    metrics = measure(labels, probabilities, tasks_of(targets), [row.patient for row in rows])
    evaluation = Evaluation(model.card.id, dataset, used, names, labels, probabilities, metrics)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_metrics(evaluation, out / "metrics.json")
        write_predictions(evaluation, rows, out / "predictions.csv")
    return evaluation


def _split(model_id: str, splits: Path | None) -> tuple[SplitRow, ...]:
    if splits is not None:
        return read_split(splits)
    beside = find(model_id, get_settings()) / SPLIT
    return read_split(beside) if beside.is_file() else ()


def choose_rows(data: Dataset, part: str, split: Sequence[SplitRow]) -> tuple[list[Row], str]:
    """The rows of a part, and its name. Raises ConfigurationError (no such part) or NotFoundError (it is empty)."""
    if part not in {*(known.value for known in Part), ALL}:
        names = ", ".join(known.value for known in Part)
        raise ConfigurationError("There is no part of that name.", f"Choose one of {names} or {ALL}.")
    parts = {row.image: row.part for row in split if row.dataset == data.name}
    named = [row for row in data.rows if row.image in parts]
    if part == ALL or not named:
        return list(data.rows), ALL
    rows = [row for row in named if parts[row.image] == part]
    if not rows:
        raise NotFoundError(
            f"The split has no picture of {data.name} in its {part} part.",
            f"Choose another part, or `{ALL}`.",
        )
    return rows, part


def write_metrics(evaluation: Evaluation, path: Path) -> None:
    """`metrics.json`: numbers, what was measured on what, and null where there is nothing to measure."""
    header = {"model": evaluation.model, "dataset": evaluation.dataset, "split": evaluation.part}
    content = header | rounded(evaluation.metrics.as_json())
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_predictions(evaluation: Evaluation, rows: Sequence[Row], path: Path) -> None:
    """One line a picture: probability and stated label (empty where not stated) of every target."""
    columns = [f"{name}:{kind}" for name in evaluation.names for kind in ("probability", "label")]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "patient", *columns])
        for row, chances, stated in zip(rows, evaluation.probabilities, evaluation.labels, strict=True):
            cells: list[str] = [harmless(row.image), harmless(row.patient)]
            for chance, label in zip(chances, stated, strict=True):
                cells += [f"{chance:.6f}", "" if np.isnan(label) else f"{label:g}"]
            writer.writerow(cells)
