"""Parts of a data set: train, tune, report. A group of rows is never in two of them (G23).

`tune` serves selection, calibration and thresholds; `report` is looked at once a bundle. Rows of patients
with an expert's label or box always go to `report`.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxrviewer.datasets.dataset import Dataset, Part, Row
from cxrviewer.datasets.tables import read_table, refuse
from cxrviewer.errors import SplitError

__all__ = ["COLUMNS", "Fractions", "Part", "SplitRow", "check", "read_split", "split_by_group", "write_split"]

COLUMNS = ("dataset", "patient", "group", "image", "part")


@dataclass(frozen=True)
class Fractions:
    """Shares of the groups without an expert's label; `train` takes what is left."""

    tune: float = 0.1
    report: float = 0.1


@dataclass(frozen=True)
class SplitRow:
    """One line of `split.csv`."""

    dataset: str
    patient: str
    group: str
    image: str
    part: Part


def split_by_group(dataset: Dataset, fractions: Fractions, seed: int) -> tuple[SplitRow, ...]:
    """Deal whole groups to the parts, by strata of each group's rarest positive label; same seed, same split."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in dataset.rows:
        groups[row.group].append(row)
    frequency = Counter(label for row in dataset.rows for label, value in row.labels.items() if value == 1)
    strata: dict[str, list[str]] = defaultdict(list)
    parts: dict[str, Part] = {}
    for name, rows in sorted(groups.items()):
        if any(row.expert for row in rows):
            parts[name] = Part.REPORT
        else:
            strata[_rarest(rows, frequency)].append(name)
    rng = np.random.default_rng(seed)
    for _, names in sorted(strata.items()):
        parts.update(_deal(names, fractions, rng))
    rows_out = [
        SplitRow(dataset.name, row.patient, row.group, row.image, parts[row.group]) for row in dataset.rows
    ]
    check(rows_out)
    return tuple(rows_out)


def _rarest(rows: Sequence[Row], frequency: Mapping[str, int]) -> str:
    positive = {label for row in rows for label, value in row.labels.items() if value == 1}
    return min(positive, key=lambda label: (frequency[label], label), default="")


def _deal(names: Sequence[str], fractions: Fractions, rng: np.random.Generator) -> dict[str, Part]:
    """Positions are drawn, shifted by one random amount and cut: small strata get their share on average."""
    order = rng.permutation(len(names))
    positions = (np.argsort(order) + rng.random()) / max(len(names), 1)
    cuts = (fractions.tune, fractions.tune + fractions.report)
    return {name: _part(position % 1.0, cuts) for name, position in zip(names, positions, strict=True)}


def _part(position: float, cuts: tuple[float, float]) -> Part:
    if position < cuts[0]:
        return Part.TUNE
    return Part.REPORT if position < cuts[1] else Part.TRAIN


def check(rows: Sequence[SplitRow]) -> None:
    """Raises SplitError where a patient, group or picture stands in two parts."""
    for kind in ("patient", "group", "image"):
        parts: dict[tuple[str, str], set[Part]] = defaultdict(set)
        for row in rows:
            parts[(row.dataset, getattr(row, kind))].add(row.part)
        leaks = sum(len(found) > 1 for found in parts.values())
        if leaks:
            raise SplitError(
                f"{leaks} of {len(parts)} {kind}s stand in more than one part.", "Split again by patient."
            )


def write_split(rows: Sequence[SplitRow], path: Path) -> None:
    """Write `split.csv`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([row.dataset, row.patient, row.group, row.image, row.part.value] for row in rows)


def read_split(path: Path) -> tuple[SplitRow, ...]:
    """Read and check `split.csv`. Raises LabelFileError or SplitError."""
    table = read_table(path, COLUMNS)
    parts = {part.value for part in Part}
    refuse(
        path.name,
        [n for n, line in table if line["part"] not in parts],
        f"part is none of {', '.join(sorted(parts))}",
    )
    rows = tuple(
        SplitRow(line["dataset"], line["patient"], line["group"], line["image"], Part(line["part"]))
        for _, line in table
    )
    check(rows)
    return rows
