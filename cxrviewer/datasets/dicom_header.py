"""The few things that a data set's DICOM pictures state and its label file does not.

Only the head of a file is read, and no pixel is decoded: that is left to `studies.open_study` and its child.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import dcmread

from cxrviewer.errors import UnreadableError
from cxrviewer.studies import header
from cxrviewer.studies.radiograph import View

HEAD_BYTES = 64 << 10
"""More than the headers of the published sets take; pixels come after."""
MAX_SIDE = 65_535
_WANTED = ["Rows", "Columns", "PatientID", "PatientAge", "PatientSex", "ViewPosition"]


@dataclass(frozen=True, slots=True)
class Facts:
    """rows, columns: pixels. patient: the owner's pseudonym, empty where none is stated."""

    rows: int
    columns: int
    patient: str
    view: View | None
    age_years: float | None
    sex: str | None


def facts_of(path: Path) -> Facts:
    """Read one header. Raises UnreadableError."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        dataset = dcmread(BytesIO(head), stop_before_pixels=True, specific_tags=_WANTED)
        rows, columns = int(dataset.Rows), int(dataset.Columns)
        found = Facts(
            rows,
            columns,
            header.text(dataset, "PatientID") or "",
            header.view(dataset),
            header.age_years(dataset),
            header.text(dataset, "PatientSex") or None,
        )
    except Exception as exc:  # a parser of others on any bytes: whatever it raises means that it is no DICOM
        raise UnreadableError(
            f"The header of {path.name} cannot be read, or states no Rows and Columns (0028,0010 and 0028,0011).",
            "Fetch it again, or leave it out.",
        ) from exc
    if not (0 < rows <= MAX_SIDE and 0 < columns <= MAX_SIDE):
        raise UnreadableError(f"{path.name} states a picture without pixels.", "Fetch it again.")
    return found


def facts_of_all(root: Path, paths: list[str]) -> list[Facts]:
    """Read many headers, in order; most of the time goes into waiting for the disk."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda path: facts_of(root / path), paths))
