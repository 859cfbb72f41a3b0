"""The contract of a data set: a folder becomes rows, and a row says who, what and how sure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cxrviewer.labels import canonical
from cxrviewer.studies.radiograph import View

ABNORMAL = "abnormal"
"""An auxiliary label of several data sets: 0 where the owner says that nothing was found."""
NO_FINDING = "No Finding"


class Part(StrEnum):
    """Which use a row may be put to."""

    TRAIN = "train"
    TUNE = "tune"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class Box:
    """A reader's box as fractions of the picture: left, top, width, height in [0, 1].

    reader: who drew it, by the owner's own sign, where several did.
    """

    label: str
    left: float
    top: float
    width: float
    height: float
    reader: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One picture. `labels` holds 1.0 or 0.0 for what is stated; a label that is not stated is not in it.

    patient: unique over all data sets (`nih:61`), or the best hint that the owner gives.
    group: what must stay in one part of a split: the patient, joined with every near-duplicate of theirs.
    mask: a file with the lungs. lesions: what is marked in the picture itself, as `rle.decode` reads it.
    expert: better labelled than the rest of its data set (a box, a radiologist's own label): for the report part.
    official: the part that the owner put it in.
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
    lesions: tuple[str, ...] = ()
    official: Part | None = None


class Member(Protocol):
    """A picture that is no file of its own. It is used as a Path would be: for its name and its bytes."""

    @property
    def name(self) -> str:
        """What errors call it."""

    def read_bytes(self) -> bytes:
        """A whole JPEG, PNG or DICOM file. Raises CxrError."""


@dataclass(frozen=True)
class Terms:
    """Under which terms something may be used, and how its makers want to be named."""

    licence: str
    citation: str


@dataclass(frozen=True)
class Dataset:
    """Rows below one folder. `missing` lists the images that a label file names and the folder lacks.

    members: the pictures by `Row.image`, where they are no files of their own. ages: span in years as the owner states
    it, where the rows do not. mask_terms: of the lung masks, if any.
    """

    name: str
    root: Path
    rows: tuple[Row, ...]
    labels: tuple[str, ...]
    missing: Sequence[str] = ()
    licence: str = ""
    citation: str = ""
    notes: tuple[str, ...] = ()
    ages: tuple[float, float] | None = None
    mask_terms: Terms | None = None
    members: Mapping[str, Member] = field(default_factory=dict, repr=False)

    def picture(self, row: Row) -> Path | Member:
        """Where a row's picture is read from."""
        return self.members[row.image] if self.members else self.root / row.image

    def targets(self, labels: tuple[str, ...]) -> NDArray[np.float32]:
        """float32 (N, K): 1, 0, or NaN where a row does not state the label, under any of its spellings."""
        spelt = {canonical(name): name for name in self.labels}
        own = [name if name in self.labels else spelt.get(canonical(name), name) for name in labels]
        table = [[row.labels.get(label, np.nan) for label in own] for row in self.rows]
        return np.array(table, np.float32).reshape(len(self.rows), len(labels))


def digest_of(dataset: Dataset) -> str:
    """sha256 over every image's path, content and labels, in sorted order: names the exact data used."""
    total = hashlib.sha256()
    for row in sorted(dataset.rows, key=lambda row: row.image):
        content = hashlib.sha256(dataset.picture(row).read_bytes()).hexdigest()
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
