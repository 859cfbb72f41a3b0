"""A folder per class: `CLASS/picture.png`, or `train|val|test/CLASS/picture.png`. The folder's name is the label."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from pydantic import field_validator

from cxrviewer.datasets.dataset import Dataset, Part, Row
from cxrviewer.datasets.files import files_below
from cxrviewer.datasets.options import Options
from cxrviewer.errors import NotFoundError
from cxrviewer.labels import PNEUMONIA, canonical

PARTS = {
    "train": Part.TRAIN, "val": Part.TUNE, "valid": Part.TUNE, "validation": Part.TUNE, "tune": Part.TUNE,
    "test": Part.REPORT, "report": Part.REPORT,
}  # fmt: skip
"""Names of parts as people write them."""
NOTE = "Nothing says who the patients are: a picture counts as a patient of its own."


class FolderOptions(Options):
    """patient: a regular expression whose first group, or whole match, in a file's name names the patient."""

    patient: str = ""

    @field_validator("patient")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as exc:
            raise ValueError("is no regular expression") from exc
        return value


def read(root: Path, options: Options | None = None) -> Dataset:
    """The folder's pictures. Raises NotFoundError."""
    choice = options if isinstance(options, FolderOptions) else FolderOptions()
    folder = files_below(root)
    found = [(PurePosixPath(path).parts, path) for path in folder.pictures()]
    inside_parts = bool(found) and all(len(p) == 3 and p[0].lower() in PARTS for p, _ in found)
    if not found or not (inside_parts or all(len(parts) == 2 for parts, _ in found)):
        raise NotFoundError(
            "The folder does not hold one folder of pictures a class.",
            "Arrange it as CLASS/picture.png, or as train/CLASS/picture.png for every part.",
        )
    classes = tuple(sorted({label_of(parts[-2]) for parts, _ in found}))
    patient_of = _patients(choice.patient)
    rows = []
    for parts, path in found:
        labels = {name: float(name == label_of(parts[-2])) for name in classes}
        patient = f"folder:{patient_of(PurePosixPath(path))}"
        official = PARTS[parts[0].lower()] if inside_parts else None
        rows.append(Row(path, patient, patient, labels, official=official))
    notes = (*(() if choice.patient else (NOTE,)), *folder.notes)
    return Dataset("folder", root, tuple(rows), classes, notes=notes)


def label_of(name: str) -> str:
    """A class as the vocabularies spell it; PNEUMONIA in any case is the binary head's."""
    return PNEUMONIA if name.strip().lower() == PNEUMONIA else canonical(name)


def _patients(pattern: str) -> Callable[[PurePosixPath], str]:
    if not pattern:
        return str
    compiled = re.compile(pattern)

    def named(path: PurePosixPath) -> str:
        match = compiled.search(path.stem)
        # A picture without a match is a patient of its own: the path can be no match's text.
        return (
            str(path)
            if match is None
            else (match.group(1) if compiled.groups else match.group()) or str(path)
        )

    return named
