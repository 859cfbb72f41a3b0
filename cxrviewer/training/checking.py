"""What a network may be using besides the lungs: view, age, sex, source, and what lies outside the lung masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxrviewer.classifiers.preparing import reduce
from cxrviewer.classifiers.serving import ServingClassifier
from cxrviewer.datasets import Row
from cxrviewer.datasets.splits import Part
from cxrviewer.evaluation.ranking import auroc
from cxrviewer.evaluation.shortcuts import (
    learnt_elsewhere,
    one_hot,
    out_of_fold,
    shortcut_aurocs,
    with_unstated,
)
from cxrviewer.labels import Head
from cxrviewer.training.material import Material
from cxrviewer.training.pictures import inside_lungs, read_grey
from cxrviewer.training.scoring import score_small

MIN_LUNG = 0.05
"""A mask that covers less of the picture than this shows no pair of lungs."""

Named = dict[str, float | None]


def header_shortcuts(
    rows: Sequence[Row], labels: NDArray[np.float32], learn: NDArray[np.bool_], names: Sequence[str]
) -> dict[str, Named]:
    """AUROC of each label by view, age and sex alone, and by all three; empty where the data set states none.

    rows, labels (N, K): all of one data set. learn (N,): the rows that a network had to learn from; the others are
    scored, as they are for the network.
    """
    columns = {
        "view": one_hot([None if row.view is None else row.view.value for row in rows]),
        "age": with_unstated([row.age_years for row in rows]),
        "sex": one_hot([row.sex for row in rows]),
    }
    known = {name: values for name, values in columns.items() if (values.std(0) > 0).any()}
    if not known or learn.all():
        return {}
    known["view, age and sex"] = np.hstack(list(known.values()))
    return {
        name: {label: _by_header(values, labels[:, k], learn) for k, label in enumerate(names)}
        for name, values in known.items()
    }


def _by_header(
    features: NDArray[np.float64], labels: NDArray[np.float32], learn: NDArray[np.bool_]
) -> float | None:
    scores = learnt_elsewhere(features, labels, learn)
    return None if scores is None else auroc(labels[~learn], scores)


def source_shortcut(
    sources: NDArray[np.int64], labels: NDArray[np.float32], patients: Sequence[str], names: Sequence[str]
) -> Named:
    """AUROC of each label that more than one data set states, by the data set alone."""
    features = one_hot([str(source) for source in sources])
    several = [k for k in range(labels.shape[1]) if len(set(sources[~np.isnan(labels[:, k])].tolist())) > 1]
    found = shortcut_aurocs({"source": features}, labels[:, several], patients)["source"]
    return {names[k]: value for k, value in zip(several, found, strict=True)}


def sources_told_apart(
    features: NDArray[np.float32], sources: NDArray[np.int64], patients: Sequence[str], names: Sequence[str]
) -> Named:
    """AUROC with which a linear probe on the pooled features tells each data set from the others: 0.5 is blind."""
    found: Named = {}
    present = [k for k in range(len(names)) if (sources == k).any()]
    for k in present if len(present) > 1 else []:
        label = (sources == k).astype(np.float64)
        scores = out_of_fold(features.astype(np.float64), label, patients)
        found[names[k]] = None if scores is None else auroc(label, scores)
    return found


def lung_dependence(serving: ServingClassifier, material: Material) -> dict[str, float | int | None]:
    """AUROC of the pneumonia head with the whole picture, with the lungs alone, without them, and with them moved.

    What is taken away becomes the mean grey of what is left. Moved lungs stand in the surroundings of another picture,
    dealt at random: the answer should then follow the lungs and not the surroundings (0.5). Of the report part's rows
    that have a lung mask.
    """
    target = next((t for t in serving.targets if t.head is Head.PNEUMONIA), None)
    rows = [int(i) for i in material.chosen(Part.REPORT) if material.mask(int(i)) is not None]
    if target is None or not rows:
        return {}
    pictures, lungs, labels = [], [], []
    for row in rows:
        mask = material.mask(row)
        if mask is None:
            continue
        grey, outline = read_grey(material.picture(row)), inside_lungs(read_grey(mask))
        prepared = serving.preparer.picture(grey)
        frame = prepared.frame.scaled(grey.shape[:2], outline.shape[:2])
        inside = reduce(frame.cut(outline), serving.spec.size) > 0.5
        if inside.mean() >= MIN_LUNG:
            pictures.append(prepared.square)
            lungs.append(inside)
            labels.append(material.targets[row, material.labels.index(target.label)])
    if not pictures:
        return {}
    column, truth, inside = serving.targets.index(target), np.array(labels), np.stack(lungs)
    whole = np.stack(pictures)

    def logits(shown: NDArray[np.float32]) -> NDArray[np.float32]:
        return score_small(serving, shown).logits[:, column]

    around = np.random.default_rng(0).permutation(len(whole))
    moved = logits(np.where(inside, whole, whole[around]))
    return {
        "pictures": len(whole),
        "whole picture": auroc(truth, logits(whole)),
        "lungs alone": auroc(truth, logits(keep(whole, inside))),
        "without lungs": auroc(truth, logits(keep(whole, ~inside))),
        "moved, by the lungs": auroc(truth, moved),
        "moved, by the surroundings": auroc(truth[around], moved),
    }


def keep(pictures: NDArray[np.float32], shown: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(N, S, S) with all that is not shown set to the mean grey of what is."""
    count = shown.sum((1, 2), keepdims=True).clip(1)
    mean = (pictures * shown).sum((1, 2), keepdims=True) / count
    return np.where(shown, pictures, mean).astype(np.float32)
