"""A run's model beside the serving one, on the pictures of the run's report part that neither has learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cxrviewer.classifiers.card import Card
from cxrviewer.classifiers.model import ServingModel
from cxrviewer.classifiers.registry import find, open_model, serving_id
from cxrviewer.datasets.splits import Part, SplitRow, read_split
from cxrviewer.errors import NotFoundError
from cxrviewer.evaluation.comparing import Difference, differences
from cxrviewer.evaluation.operating import MIN_POSITIVES
from cxrviewer.settings import Settings, get_settings
from cxrviewer.training.config import load_config
from cxrviewer.training.material import Material, gather
from cxrviewer.training.measuring import probabilities_of, rounded
from cxrviewer.training.predictions import PREDICTIONS, Predictions, read_predictions
from cxrviewer.training.publishing import SPLIT
from cxrviewer.training.scoring import Progress, score_files


@dataclass(frozen=True)
class ComparedPart:
    """One data set. new, serving: mean AUROC over labels with at least 20 positives, None where there is none."""

    dataset: str
    n_images: int
    n_patients: int
    labels: tuple[Difference, ...]

    @property
    def new(self) -> float | None:
        """The new model's mean."""
        return self._mean("new")

    @property
    def serving(self) -> float | None:
        """The serving model's mean over the same labels."""
        return self._mean("serving")

    def _mean(self, name: str) -> float | None:
        values = [getattr(row, name) for row in self.labels if row.n_positive >= MIN_POSITIVES]
        return float(np.mean(values)) if values else None


@dataclass(frozen=True)
class Comparison:
    """The run's model beside the serving one. left_out: report pictures that the serving model has learnt from.

    notes: what a reader must know before the figures, as sentences. parts: empty where nothing could be compared.
    """

    run: str
    new_model: str
    serving_model: str | None
    left_out: int
    notes: tuple[str, ...]
    parts: tuple[ComparedPart, ...]

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        parts = [
            {
                "dataset": part.dataset, "n_images": part.n_images, "n_patients": part.n_patients, "new": part.new,
                "serving": part.serving, "labels": [row.as_json() for row in part.labels],
            }
            for part in self.parts
        ]  # fmt: skip
        return {**rounded(asdict(self) | {"parts": parts})}


@dataclass(frozen=True)
class Fair:
    """Which of the run's report rows may be compared on, as indices, and why not the others."""

    rows: tuple[int, ...]
    notes: tuple[str, ...]


def compare_with_serving(
    run: Path, progress: Progress | None = None, settings: Settings | None = None
) -> Comparison:
    """Score the serving model on the run's report part, beside what the run's own model answered there.

    Raises NotFoundError (the run has no predictions, or its pictures are gone), SplitError, ModelBundleError.
    """
    settings = settings or get_settings()
    config, split = load_config(run / "config.json"), read_split(run / SPLIT)
    new = read_predictions(run / PREDICTIONS, split)
    serving = serving_id(settings)
    if serving is None:
        return Comparison(
            run.name, config.id, None, 0, ("No model serves yet: there is nothing to compare.",), ()
        )
    model = open_model(serving, settings)
    fair = fair_rows(new.rows, model.card, _split_beside(serving, settings))
    left_out = len(new.rows) - len(fair.rows)
    if not fair.rows:
        return Comparison(run.name, config.id, serving, left_out, fair.notes, ())
    parts = _parts(new, fair.rows, model, gather(config, run / SPLIT), progress)
    return Comparison(run.name, config.id, serving, left_out, fair.notes, parts)


def _split_beside(model_id: str, settings: Settings) -> tuple[SplitRow, ...] | None:
    file = find(model_id, settings) / SPLIT
    return read_split(file) if file.is_file() else None


def fair_rows(rows: Sequence[SplitRow], card: Card, split: Sequence[SplitRow] | None) -> Fair:
    """Rows that the serving model has not learnt from: neither the picture nor another one of the patient or group.

    Its tune part counts as learnt, since thresholds were chosen by it. Where no split lies beside the model, data sets
    that its card names are left out whole.
    """
    if split is None:
        named = {data.name for data in card.training_data}
        keep = tuple(i for i, row in enumerate(rows) if row.dataset not in named)
        notes = [f"{card.id} does not say which pictures it learnt from."]
        if len(keep) < len(rows):
            notes.append(f"It names {', '.join(sorted(named))}, so those are left out.")
        elif not named:
            notes.append("It may have learnt these: then its figures are too good.")
        return Fair(keep, tuple(notes))
    learnt = [row for row in split if row.part is not Part.REPORT]
    known = {
        (row.dataset, kind, getattr(row, kind)) for row in learnt for kind in ("image", "patient", "group")
    }
    keep = tuple(
        i
        for i, row in enumerate(rows)
        if not any((row.dataset, kind, getattr(row, kind)) in known for kind in ("image", "patient", "group"))
    )
    gone = len(rows) - len(keep)
    notes = [
        f"{gone} of {len(rows)} pictures are left out: {card.id} has learnt from them or from their patients."
    ]
    return Fair(keep, tuple(notes) if gone else ())


def _parts(
    new: Predictions, rows: Sequence[int], model: ServingModel, material: Material, progress: Progress | None
) -> tuple[ComparedPart, ...]:
    """A part a data set, over the labels that both models answer."""
    where = {(row.dataset, row.image): index for index, row in enumerate(material.split)}
    shared = [target.label for target in model.card.targets if target.label in new.names]
    if not shared:
        raise NotFoundError("The two models answer no label in common.", "Compare them by their reports.")
    chosen = [new.rows[i] for i in rows]
    paths = [material.picture(where[row.dataset, row.image]) for row in chosen]
    logits = score_files(model.serving, paths, progress).logits
    theirs = probabilities_of(model.card.targets, logits)
    theirs = theirs[:, [[t.label for t in model.card.targets].index(name) for name in shared]]
    columns = [new.names.index(name) for name in shared]
    ours, labels = (table[list(rows)][:, columns] for table in (new.probabilities, new.labels))
    found = []
    for dataset in dict.fromkeys(row.dataset for row in chosen):
        here = np.flatnonzero([row.dataset == dataset for row in chosen])
        people = [chosen[i].patient for i in here]
        compared = differences(labels[here], ours[here], theirs[here], shared, people)
        if compared:
            found.append(ComparedPart(dataset, len(here), len(set(people)), compared))
    return tuple(found)
