"""The step after a run that asks whether its maps point at what readers marked. Written into the run.

It stands here because it joins what must not know each other: training's data and split, and the explainers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cxrviewer.classifiers.bundle import open_bundle
from cxrviewer.classifiers.registry import bundle_below
from cxrviewer.classifiers.serving import ServingClassifier
from cxrviewer.classifiers.targets import Target
from cxrviewer.datasets import Row, rle
from cxrviewer.datasets.splits import Part
from cxrviewer.errors import NotFoundError
from cxrviewer.evaluation.overlap import mean_interval
from cxrviewer.explainers import EXPLAINERS, explainer
from cxrviewer.files import write_whole
from cxrviewer.labels import PNEUMONIA, Head, canonical
from cxrviewer.settings import get_settings
from cxrviewer.studies.opening import open_study
from cxrviewer.studies.radiograph import Radiograph
from cxrviewer.training.config import load_config
from cxrviewer.training.material import Material, gather
from cxrviewer.trust.localisation import (
    Area,
    Localised,
    Map,
    box_area,
    chance,
    localise,
    mask_area,
    means_of_others,
    middle,
    on_grid,
)

EXPLANATIONS = "explanations.json"
QUICK = ("gradcam",)
"""Methods that are asked about every area; the others about a sample."""
MEASURES = ("pointing", "energy", "iou")
DIGITS = 4

Tell = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Case:
    """One label marked on one picture. index: the row in the material."""

    index: int
    dataset: str
    patient: str
    target: Target
    area: Area


def check_maps(run: Path, sample: int, seed: int, tell: Tell) -> dict[str, Any]:
    """Explain every marked area of the report part and judge the maps; writes `explanations.json`. Raises CxrError."""
    settings = get_settings()
    bundle = open_bundle(bundle_below(run))
    serving = ServingClassifier(
        bundle.classifier(), model_id=bundle.card.id, weights_sha256=bundle.card.weights_sha256,
        engine=settings.engine, device=settings.device,
    )  # fmt: skip
    material = gather(load_config(run / "config.json"), run / "split.csv")
    cases = list(cases_of(material, serving.targets))
    if not cases:
        raise NotFoundError(
            "No picture of the report part has an area that a reader marked and this model answers.",
            "Add a data set with boxes or masks: nih, rsna, vindr or siim.",
        )
    drawn = np.random.default_rng(seed).permutation(len(cases))[:sample]
    chosen = {name: cases if name in QUICK else [cases[i] for i in sorted(drawn)] for name in EXPLAINERS}
    found = _judged(serving, material, chosen, tell)
    content = {"sample": sample, "seed": seed, "model": bundle.card.id} | summary(cases, found)
    write_whole(run / EXPLANATIONS, json.dumps(content, indent=1, allow_nan=False) + "\n")
    return content


def cases_of(material: Material, targets: Sequence[Target]) -> Iterator[Case]:
    """Every label that is marked on a picture of the report part and that the model answers, areas joined."""
    for index in material.chosen(Part.REPORT):
        row = material.rows[int(index)]
        name = material.datasets[int(material.source[index])].name
        for target in targets:
            areas = list(_areas(row, target, partial(_shape, material, int(index))))
            if areas:
                yield Case(int(index), name, row.patient, target, np.logical_or.reduce(areas))


def _areas(row: Row, target: Target, shape: Callable[[], tuple[int, int]]) -> Iterator[Area]:
    for box in row.boxes:
        if _means(target, box.label):
            yield box_area(box.left, box.top, box.width, box.height)
    for runs in row.lesions:
        if any(value == 1 and _means(target, label) for label, value in row.labels.items()):
            yield mask_area(rle.decode(runs, *shape()))


def _means(target: Target, label: str) -> bool:
    """A marked pneumonia belongs to the head that was trained on it: lower case is the binary one."""
    if label == PNEUMONIA or target.label == PNEUMONIA:
        return label == target.label and target.head is Head.PNEUMONIA
    return canonical(label) == canonical(target.label)


def _shape(material: Material, index: int) -> tuple[int, int]:
    return _radiograph(material, index).shape


def _radiograph(material: Material, index: int) -> Radiograph:
    return open_study(material.picture(index).read_bytes())


Judged = dict[str, list[tuple[Case, Localised]]]


def _judged(
    serving: ServingClassifier, material: Material, chosen: dict[str, list[Case]], tell: Tell
) -> Judged:
    """By the name of each kind of map, its cases with how it did, the baselines after the methods."""
    total, done = sum(len(cases) for cases in chosen.values()), 0
    found: Judged = {}
    means: Judged = {}
    for name, cases in chosen.items():
        method, maps = explainer(name), []
        for case in cases:
            radiograph = _radiograph(material, case.index)
            maps.append(on_grid(method.explain(serving, radiograph, case.target).heatmap()))
            done += 1
            tell(done / total)
        if maps:
            people = [case.patient for case in cases]
            found[method.title] = _localised(cases, maps)
            means[f"Mean map of {method.title}"] = _localised(cases, means_of_others(maps, people))
    cases = chosen[QUICK[0]]
    areas = [case.area.astype(np.float64) for case in cases]
    usual = means_of_others(areas, [case.patient for case in cases])
    return found | means | {
        "Where readers marked others": _localised(cases, usual),
        "Middle of the picture": _localised(cases, [middle()] * len(cases)),
        "Chance": [(case, chance(case.area)) for case in cases],
    }  # fmt: skip


def _localised(cases: Iterable[Case], maps: Sequence[Map]) -> list[tuple[Case, Localised]]:
    return [(case, localise(values, case.area)) for case, values in zip(cases, maps, strict=True)]


def summary(cases: Sequence[Case], found: Judged) -> dict[str, Any]:
    """What `explanations.json` holds: means with intervals, people resampled, over all labels and by label."""
    labels = list(dict.fromkeys(case.target.label for case in cases))
    by_label = {
        label: {
            name: _mean(own)
            for name, judged in found.items()
            if (own := [pair for pair in judged if pair[0].target.label == label])
        }
        for label in labels
    }
    return {
        "datasets": list(dict.fromkeys(case.dataset for case in cases)),
        "n_areas": len(cases),
        "n_images": len({case.index for case in cases}),
        "n_patients": len({case.patient for case in cases}),
        "methods": {name: _mean(judged) for name, judged in found.items()},
        "labels": by_label,
    }


def _mean(judged: Sequence[tuple[Case, Localised]]) -> dict[str, Any]:
    people = [case.patient for case, _ in judged]
    content: dict[str, Any] = {"n": len(judged)}
    for name in MEASURES:
        values = np.array([getattr(how, name) for _, how in judged])
        ends = mean_interval(values, people) if len(set(people)) > 1 else None
        content[name] = round(float(values.mean()), DIGITS)
        content[f"{name}_ci95"] = ends and [round(end, DIGITS) for end in ends.as_list()]
    return content
