"""What a card says besides numbers: data by digest, split, recipe, ages, limits, software."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from pydantic import JsonValue, TypeAdapter

from cxrviewer import __version__
from cxrviewer.classifiers.card import TrainingData
from cxrviewer.datasets import Dataset, digest_of, digest_of_masks
from cxrviewer.datasets.splits import Part
from cxrviewer.labels import Head
from cxrviewer.training.calibrating import Calibrated
from cxrviewer.training.config import TrainingConfig
from cxrviewer.training.material import Material

PACKAGES = ("torch", "torchvision", "lightning", "numpy", "scikit-learn", "safetensors")

WEAK = 0.8
"""A mean AUROC below this is said beside every score."""

BLIND = 0.6
"""AUROC without the lungs above which the network has read something else."""

_JSON = TypeAdapter(dict[str, JsonValue])


def training_data(material: Material, masks: bool) -> tuple[TrainingData, ...]:
    """Every data set by the digest of its exact pictures and labels, and lung masks by theirs where used."""
    entries = []
    for index, dataset in enumerate(material.datasets):
        entries.append(_pictures(dataset, material, index))
        if masks and (entry := _masks(dataset)) is not None:
            entries.append(entry)
    return tuple(entries)


def _pictures(dataset: Dataset, material: Material, index: int) -> TrainingData:
    counts = ", ".join(f"{len(material.chosen(part, index))} {part}" for part in Part)
    return TrainingData(
        name=dataset.name,
        digest=digest_of(dataset),
        n_images=len(dataset.rows),
        n_patients=len({row.patient for row in dataset.rows}),
        licence=dataset.licence,
        citation=dataset.citation,
        use=f"pictures: {counts}",
    )


def _masks(dataset: Dataset) -> TrainingData | None:
    masked = [row for row in dataset.rows if row.mask is not None]
    if not masked or dataset.mask_terms is None:
        return None
    return TrainingData(
        name=f"{dataset.name} lung masks",
        digest=digest_of_masks(dataset),
        n_images=len(masked),
        n_patients=len({row.patient for row in masked}),
        licence=dataset.mask_terms.licence,
        citation=dataset.mask_terms.citation,
        use="auxiliary task while training; serving needs no mask",
    )


def recipe_of(config: TrainingConfig) -> dict[str, JsonValue]:
    """The configuration without the folders of the machine it ran on."""
    sources = tuple(
        source.model_copy(
            update={
                "root": "",
                "together": Path(source.together).name,
                "options": {k: v for k, v in source.options.items() if k != "arguments"},
            }
        )
        for source in config.sources
    )
    teachers = tuple(Path(name).name for name in config.distillation.teachers)
    public = config.model_copy(
        update={
            "sources": sources,
            "start": Path(config.start).name,
            "distillation": config.distillation.model_copy(update={"teachers": teachers}),
        }
    )
    return _JSON.validate_json(public.model_dump_json())


def split_proof(split: Path, material: Material) -> dict[str, JsonValue]:
    """The digest of `split.csv`, which goes with the bundle, and how many pictures and groups a part holds."""
    parts: dict[str, JsonValue] = {}
    for part in Part:
        rows = [row for row in material.split if row.part is part]
        parts[part.value] = {"images": len(rows), "groups": len({(row.dataset, row.group) for row in rows})}
    digest = hashlib.sha256(split.read_bytes()).hexdigest()
    return {"file": split.name, "sha256": digest, "parts": parts}


def ages_of(material: Material, calibrated: Calibrated) -> dict[Head, tuple[float, float]]:
    """The span of ages in years that a head's main data set holds: as its rows state it, else as its owner does."""
    spans: dict[Head, tuple[float, float]] = {}
    for head, source in calibrated.sources.items():
        dataset = material.datasets[source]
        stated = [row.age_years for row in dataset.rows if row.age_years is not None]
        span = (min(stated), max(stated)) if stated else dataset.ages
        if span is not None:
            spans[head] = span
    return spans


def limits_of(material: Material, calibrated: Calibrated) -> tuple[str, ...]:
    """Where the numbers end, in sentences short enough to stand beside a score."""
    limits = ["Frontal views only: no lateral, no other body part or modality."]
    ages = ages_of(material, calibrated)
    for head, source in calibrated.sources.items():
        name = "The pneumonia answer" if head is Head.PNEUMONIA else "The findings"
        span = f", ages {ages[head][0]:g} to {ages[head][1]:g}" if head in ages else ""
        limits.append(f"{name}: calibrated on {material.datasets[source].name}{span}.")
    names = [
        data.name for index, data in enumerate(material.datasets) if len(material.chosen(Part.TRAIN, index))
    ]
    limits.append(f"Learnt from {', '.join(names)} alone: other hospitals and machines are untested.")
    without = sum(target.threshold is None for target in calibrated.targets)
    if without:
        count = f"{without} of {len(calibrated.targets)} answers"
        limits.append(f"{count} have no operating point: too few positives to choose one by.")
    return tuple(limits)


def measured_limits(metrics: dict[str, JsonValue], checks: dict[str, JsonValue]) -> tuple[str, ...]:
    """What the report part and the checks say against the model, as sentences a reader cannot miss."""
    return tuple(_weak_findings(metrics)) + tuple(_beyond_lungs(checks))


def _weak_findings(metrics: dict[str, JsonValue]) -> Iterator[str]:
    report = metrics.get("report")
    for name, part in report.items() if isinstance(report, dict) else ():
        if not isinstance(part, dict) or not isinstance(part.get("labels"), dict):
            continue
        mean, interval, labels = part.get("mean_auroc"), part.get("mean_auroc_ci95"), part["labels"]
        several = (
            sum(value is not None for value in labels.values()) > 1 if isinstance(labels, dict) else False
        )
        if several and isinstance(mean, float) and isinstance(interval, list) and mean < WEAK:
            yield (
                f"The findings are weak: mean AUROC {mean:.2f} ({interval[0]:.2f} to {interval[1]:.2f}) "
                f"on {part['n_images']} pictures of {name}."
            )


def _beyond_lungs(checks: dict[str, JsonValue]) -> Iterator[str]:
    shown = checks.get("pneumonia_auroc_by_what_is_shown")
    if not isinstance(shown, dict):
        return
    whole, alone, without = (shown.get(key) for key in ("whole picture", "lungs alone", "without lungs"))
    if (
        isinstance(whole, float)
        and isinstance(alone, float)
        and isinstance(without, float)
        and without > BLIND
    ):
        yield (
            f"The pneumonia answer does not rest on the lungs alone: AUROC {whole:.3f} on whole pictures, "
            f"{alone:.3f} on lungs alone, {without:.3f} with the lungs hidden."
        )
    lungs, around = (shown.get(f"moved, by the {what}") for what in ("lungs", "surroundings"))
    if isinstance(lungs, float) and isinstance(around, float) and around > BLIND:
        yield (
            f"Lungs set into another picture's surroundings: the answer follows the lungs with AUROC {lungs:.3f} and "
            f"the surroundings with {around:.3f} (0.5 would be right)."
        )


def software() -> dict[str, str]:
    """Versions of what made the bundle."""
    own = {"cxrviewer": __version__, "python": platform.python_version()}
    return own | {name: version(name) for name in PACKAGES}
