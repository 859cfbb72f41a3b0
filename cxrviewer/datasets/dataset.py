"""The contract of a data set: a folder becomes rows, and a row says who, what and how sure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrviewer.studies.radiograph import View


@dataclass(frozen=True)
class Box:
    """A reader's box as fractions of the picture: left, top, width, height in [0, 1]."""

    label: str
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Row:
    """One picture. `labels` holds 1.0 or 0.0 for what is stated; a label that is not stated is not in it.

    patient: unique over all data sets (`nih:61`), or the best hint that the owner gives.
    group: what must stay in one part of a split: the patient, joined with every near-duplicate of theirs.
    expert: a box or a radiologist's own label exists, so the row belongs in the report part.
    """

    image: str
    patient: str
    group: str
    labels: Mapping[str, float]
    view: View | None = None
    age_years: float | None = None
    sex: str | None = None
    mask: str | None = None
    boxes: tuple[Box, ...] = ()
    expert: bool = False


@dataclass(frozen=True)
class Terms:
    """Under which terms something may be used, and how its makers want to be named."""

    licence: str
    citation: str


@dataclass(frozen=True)
class Dataset:
    """Rows below one folder. `missing` lists the images that a label file names and the folder lacks.

    ages: span in years as the owner states it, where the rows do not. mask_terms: of the lung masks, if any.
    """

    name: str
    root: Path
    rows: tuple[Row, ...]
    labels: tuple[str, ...]
    missing: tuple[str, ...] = ()
    licence: str = ""
    citation: str = ""
    notes: tuple[str, ...] = ()
    ages: tuple[float, float] | None = None
    mask_terms: Terms | None = None

    def targets(self, labels: tuple[str, ...]) -> NDArray[np.float32]:
        """float32 (N, K): 1, 0, or NaN where a row does not state the label."""
        table = [[row.labels.get(label, np.nan) for label in labels] for row in self.rows]
        return np.array(table, np.float32).reshape(len(self.rows), len(labels))


def digest_of(dataset: Dataset) -> str:
    """sha256 over every image's path, content and labels, in sorted order: names the exact data used."""
    total = hashlib.sha256()
    for row in sorted(dataset.rows, key=lambda row: row.image):
        content = hashlib.sha256((dataset.root / row.image).read_bytes()).hexdigest()
        labels = ",".join(f"{name}={value:g}" for name, value in sorted(row.labels.items()))
        total.update(f"{row.image}\t{content}\t{labels}\n".encode())
    return total.hexdigest()


def digest_of_masks(dataset: Dataset) -> str:
    """sha256 over every mask's file name and content, in the pictures' order: names the exact masks used."""
    total = hashlib.sha256()
    for row in sorted(dataset.rows, key=lambda row: row.image):
        if row.mask is not None:
            content = hashlib.sha256(Path(row.mask).read_bytes()).hexdigest()
            total.update(f"{row.image}\t{content}\n".encode())
    return total.hexdigest()
