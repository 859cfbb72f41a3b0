"""What is in a data set: counts, labels not stated, who was examined how, and whether it would leak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from cxrviewer.datasets import read_dataset
from cxrviewer.datasets.dataset import Dataset, Row
from cxrviewer.datasets.grouping import identical_pictures

SHOWN = 20
"""How many missing files or duplicates are named; the counts tell the rest."""

UNSTATED = "unstated"


@dataclass(frozen=True)
class LabelCount:
    """Pictures that a label is stated for, either way, and those it is not stated for."""

    positive: int
    negative: int
    unstated: int


@dataclass(frozen=True)
class AgeSummary:
    """Ages in years; None where not one picture states an age."""

    youngest: float | None
    median: float | None
    oldest: float | None
    unstated: int


@dataclass(frozen=True)
class LeakCheck:
    """What would let one person stand in two parts of a split.

    groups: sets of rows that a split keeps whole. repeated_patients: people with more than one picture.
    identical_pictures: sets of byte-identical files. across_patients: those of them that name more than one
    patient; joined: those of these that the reader's own groups already keep together. examples: their files.
    """

    groups: int
    repeated_patients: int
    identical_pictures: int
    across_patients: int
    joined: int
    examples: tuple[tuple[str, ...], ...]

    @property
    def safe(self) -> bool:
        """True where the groups alone keep every known duplicate together."""
        return self.across_patients == self.joined


@dataclass(frozen=True)
class Inspection:
    """The answer of `datasets inspect`. `missing_files` counts what label files name and the folder lacks.

    official: pictures by the owner's own parts. lesions: marked areas, apart from the lung masks.
    """

    dataset: str
    images: int
    patients: int
    missing_files: int
    labels: dict[str, LabelCount]
    missing_examples: tuple[str, ...]
    views: dict[str, int]
    sexes: dict[str, int]
    ages: AgeSummary
    expert_images: int
    boxes: int
    masks: int
    lesions: int
    official: dict[str, int]
    leak_check: LeakCheck
    licence: str
    citation: str
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """Plain values for `json.dumps`, in the order above."""
        return asdict(self)


def inspect(name: str, root: Path, options: Mapping[str, JsonValue] | None = None) -> Inspection:
    """Read a folder as the named data set and count. Raises CxrError as `read_dataset` does."""
    return inspect_dataset(read_dataset(name, root, options))


def inspect_dataset(dataset: Dataset) -> Inspection:
    """Count what a reader found."""
    rows = dataset.rows
    return Inspection(
        dataset=dataset.name,
        images=len(rows),
        patients=len({row.patient for row in rows}),
        missing_files=len(dataset.missing),
        labels={label: _count(rows, label) for label in dataset.labels},
        missing_examples=tuple(dataset.missing[:SHOWN]),
        views=tally([row.view for row in rows]),
        sexes=tally([row.sex for row in rows]),
        ages=_ages(rows),
        expert_images=sum(row.expert for row in rows),
        boxes=sum(len(row.boxes) for row in rows),
        masks=sum(row.mask is not None for row in rows),
        lesions=sum(len(row.lesions) for row in rows),
        official=dict(Counter(str(row.official) for row in rows if row.official is not None).most_common()),
        leak_check=check_leaks(dataset),
        licence=dataset.licence,
        citation=dataset.citation,
        notes=dataset.notes,
    )


def check_leaks(dataset: Dataset) -> LeakCheck:
    """Compare the pictures' bytes; reads every file that has another of the same size."""
    same = identical_pictures(dataset)
    across = [rows for rows in same if len({row.patient for row in rows}) > 1]
    pictures = Counter(row.patient for row in dataset.rows)
    return LeakCheck(
        groups=len({row.group for row in dataset.rows}),
        repeated_patients=sum(count > 1 for count in pictures.values()),
        identical_pictures=len(same),
        across_patients=len(across),
        joined=sum(len({row.group for row in rows}) == 1 for rows in across),
        examples=tuple(tuple(row.image for row in rows) for rows in across[:SHOWN]),
    )


def _count(rows: tuple[Row, ...], label: str) -> LabelCount:
    values = [row.labels.get(label) for row in rows]
    return LabelCount(values.count(1.0), values.count(0.0), values.count(None))


def tally(values: Sequence[str | None]) -> dict[str, int]:
    """How often each value stands there, the most frequent first; None counts as not stated."""
    return dict(Counter(UNSTATED if value is None else str(value) for value in values).most_common())


def _ages(rows: tuple[Row, ...]) -> AgeSummary:
    ages = [row.age_years for row in rows if row.age_years is not None]
    if not ages:
        return AgeSummary(None, None, None, len(rows))
    return AgeSummary(min(ages), float(np.median(ages)), max(ages), len(rows) - len(ages))
