"""How far labels can be guessed without looking at the lungs: from view, age, sex or source alone.

A network that does no better than these has learned nothing else. The direction is not assumed: a logistic
regression learns it on other patients, and every picture is scored by a model that has not seen its patient:
on the parts that a network learnt from where there are such, else on the other folds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from cxrviewer.evaluation.ranking import auroc

FOLDS = 5

Floats = NDArray[np.float64]


def one_hot(values: Sequence[str | None]) -> Floats:
    """(N,) of names -> (N, V) of 0 and 1; what is not stated has a column of its own."""
    names = sorted({value or "" for value in values})
    return np.array([[float((value or "") == name) for name in names] for value in values])


def with_unstated(values: Sequence[float | None]) -> Floats:
    """(N,) numbers -> (N, 3): the number (the mean where unstated), its square, and whether it was unstated."""
    numbers = np.array([np.nan if value is None else value for value in values], np.float64)
    unstated = np.isnan(numbers)
    filled = np.where(unstated, numbers[~unstated].mean() if not unstated.all() else 0.0, numbers)
    return np.column_stack([filled, filled**2, unstated])


def learnt_elsewhere(
    features: Floats, labels: NDArray[np.floating], learn: NDArray[np.bool_]
) -> NDArray[np.float64] | None:
    """(N, F), (N,) of 1, 0, NaN, (N,) -> (M,) log-odds of the M rows outside `learn`, by a model of those inside.

    The caller sees to it that no patient is on both sides. None where the rows to learn from lack a class.
    """
    known = learn & ~np.isnan(labels)
    positive = labels[known] == 1
    if positive.all() or not positive.any():
        return None
    return np.asarray(_model().fit(features[known], positive).decision_function(features[~learn]), np.float64)


def _model() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def out_of_fold(
    features: Floats, labels: NDArray[np.floating], patients: Sequence[str], seed: int = 0
) -> Floats | None:
    """(N, F), (N,) of 1, 0, NaN -> (N,) log-odds by models that never saw the patient, NaN where not stated.

    None where either class has fewer than one patient a fold.
    """
    keep = ~np.isnan(labels)
    positive, people = labels[keep] == 1, np.asarray(patients)[keep]
    if min(len(set(people[positive])), len(set(people[~positive]))) < FOLDS:
        return None
    scores = np.full(len(labels), np.nan)
    rows = np.flatnonzero(keep)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for learn, test in folds.split(features[keep], positive, people):
        model = _model().fit(features[keep][learn], positive[learn])
        scores[rows[test]] = model.decision_function(features[keep][test])
    return scores


def shortcut_aurocs(
    features: Mapping[str, Floats], labels: NDArray[np.floating], patients: Sequence[str], seed: int = 0
) -> dict[str, list[float | None]]:
    """For each named set of features (N, F), the AUROC (K) that it alone gives for each label (N, K)."""
    return {
        name: [_auroc(values, labels[:, k], patients, seed) for k in range(labels.shape[1])]
        for name, values in features.items()
    }


def _auroc(
    features: Floats, labels: NDArray[np.floating], patients: Sequence[str], seed: int
) -> float | None:
    scores = out_of_fold(features, labels, patients, seed)
    return None if scores is None else auroc(labels, scores)
