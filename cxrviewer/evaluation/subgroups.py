"""The same numbers for some of the people: by age, sex, view. Where few remain, a flag says so beside the interval.

A network that does well on average may fail those who are few in it (Larrazabal et al., PNAS 2020;117:12592).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from cxrviewer.evaluation.bootstrap import Draws, Interval, interval, resampled_ranking
from cxrviewer.evaluation.measuring import Task, listed
from cxrviewer.evaluation.operating import MIN_POSITIVES
from cxrviewer.evaluation.operating_draws import NOTHING, with_intervals
from cxrviewer.evaluation.ranking import auroc

AGE_BANDS = ((0, "under 1"), (1, "1 to 4"), (5, "5 to 17"), (18, "18 to 39"), (40, "40 to 59"), (60, "60 to 79"),
             (80, "80 and over"))  # fmt: skip
"""First year of each band, and its name."""

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class SubgroupMetrics:
    """One label among some of the people. auroc: None where a class is missing.

    few: fewer positives or negatives than an operating point is chosen by, so that chance rules the figures.
    sensitivity, specificity: at the label's own threshold, None where it has none.
    """

    label: str
    n_positive: int
    n_negative: int
    few: bool
    auroc: float | None
    auroc_ci95: Interval | None
    sensitivity: float | None
    sensitivity_ci95: Interval | None
    specificity: float | None
    specificity_ci95: Interval | None


@dataclass(frozen=True)
class Subgroup:
    """The people whose `attribute` (age, sex, view) is `value`. labels: those that any of their rows states."""

    attribute: str
    value: str
    n_images: int
    n_patients: int
    labels: tuple[SubgroupMetrics, ...]

    def as_json(self) -> dict[str, object]:
        """Plain values; intervals as [low, high]."""
        labels = [{name: listed(value) for name, value in vars(found).items()} for found in self.labels]
        return asdict(self) | {"labels": labels}


def age_band(years: float | None) -> str | None:
    """The band's name; None where the age is not stated."""
    names = [name for first, name in AGE_BANDS if years is not None and years >= first]
    return names[-1] if names else None


def subgroups(
    labels: Floats,
    probabilities: Floats,
    tasks: Sequence[Task],
    patients: Sequence[str],
    attributes: Mapping[str, Sequence[str | None]],
    seed: int = 0,
) -> tuple[Subgroup, ...]:
    """(N, K) of 1, 0, NaN; (N, K); K tasks; N patients; attribute -> N values (None: not stated, in no group).

    An attribute that divides nobody is left out: its one group is the whole.
    """
    people = np.asarray(patients)
    found = []
    for attribute, values in attributes.items():
        names = sorted({value for value in values if value is not None}, key=_order)
        for name in names if len(names) > 1 else []:
            rows = np.flatnonzero([value == name for value in values])
            draws = Draws.of(people[rows].tolist(), seed=seed)
            measured = tuple(_measured(labels[rows], probabilities[rows], tasks, draws))
            found.append(Subgroup(attribute, name, len(rows), len(set(people[rows])), measured))
    return tuple(found)


def _order(name: str) -> tuple[int, str]:
    bands = [band for _, band in AGE_BANDS]
    return (bands.index(name) if name in bands else 0, name)


def _measured(
    labels: Floats, probabilities: Floats, tasks: Sequence[Task], draws: Draws
) -> Iterator[SubgroupMetrics]:
    for k, task in enumerate(tasks):
        truth, chances = labels[:, k], probabilities[:, k]
        positives, negatives = int((truth == 1).sum()), int((truth == 0).sum())
        if not positives + negatives:
            continue
        at = NOTHING if task.threshold is None else with_intervals(truth, chances, task.threshold, draws)
        yield SubgroupMetrics(
            label=task.name,
            n_positive=positives,
            n_negative=negatives,
            few=min(positives, negatives) < MIN_POSITIVES,
            auroc=auroc(truth, chances),
            auroc_ci95=interval(resampled_ranking(truth, chances, draws).auroc),
            sensitivity=at.point.sensitivity,
            sensitivity_ci95=at.ci95.get("sensitivity"),
            specificity=at.point.specificity,
            specificity_ci95=at.ci95.get("specificity"),
        )
