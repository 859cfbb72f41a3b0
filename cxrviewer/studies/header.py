"""What a DICOM header states about the picture and the patient, as the plain values that the program keeps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from cxrviewer.studies.deidentify import plain_text
from cxrviewer.studies.grayscale import items
from cxrviewer.studies.radiograph import Identity, Metadata, Tag, View

MAX_TAGS: Final = 250
MAX_TAG_TEXT: Final = 120
_BINARY: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "OB or OW", "US or OW"})
_PARSE_FAULTS: Final = (
    ValueError,
    TypeError,
    NotImplementedError,
    OverflowError,
    KeyError,
    AttributeError,
    OSError,
)
"""What pydicom raises where one value is malformed; such a value counts as not stated."""

VIEW_POSITIONS: Final = {
    "PA": View.PA,
    "AP": View.AP,
    "LL": View.LATERAL,
    "RL": View.LATERAL,
    "LAT": View.LATERAL,
    "LATERAL": View.LATERAL,
    "LLD": View.OTHER,
    "RLD": View.OTHER,
    "LLO": View.OTHER,
    "RLO": View.OTHER,
}
"""View Position (0018,5101), C.8.1.1 and C.8.11.5, with the spellings that devices write. LLD and RLD are decubitus."""

VIEW_CODES: Final = {
    "272479007": View.PA,
    "399348003": View.AP,
    "399067008": View.LATERAL,
    "399173006": View.LATERAL,
    "399198007": View.LATERAL,
    "R-10214": View.PA,
    "R-10206": View.AP,
    "R-10228": View.LATERAL,
    "R-10236": View.LATERAL,
    "R-10232": View.LATERAL,
}
"""View Code Sequence (0054,0220), PS3.16 CID 4010: SNOMED CT, and the SRT codes of older files."""

_VIEW_WORDS: Final = (
    (re.compile(r"\b(lat(eral)?|ll|rl|profile?)\b"), View.LATERAL),
    (re.compile(r"\b(p\.?a\.?|postero-?anterior|posteroanterior)\b"), View.PA),
    (re.compile(r"\b(a\.?p\.?|antero-?posterior|anteroposterior)\b"), View.AP),
)


def text(dataset: Dataset, keyword: str, limit: int = 64) -> str | None:
    """A header value as plain text; None where it is absent, empty or malformed. Of several values the first."""
    try:
        value = dataset.get(keyword)
    except _PARSE_FAULTS:
        return None
    if value is None or isinstance(value, bytes):
        return None
    if not isinstance(value, str) and hasattr(value, "__len__") and hasattr(value, "__getitem__"):
        value = value[0] if len(value) else ""
    return plain_text(str(value), limit) or None


def metadata(dataset: Dataset, transfer_syntax: UID, photometric: str, stored: int, lossy: bool) -> Metadata:
    """The part of the header that is safe to keep: neither name nor number nor date of birth."""
    return Metadata(
        format="DICOM",
        modality=text(dataset, "Modality", 16),
        body_part=body_part(dataset),
        view=view(dataset),
        laterality=_one_of(dataset, ("ImageLaterality", "FrameLaterality", "Laterality"), frozenset("LRBU")),
        age_years=age_years(dataset),
        sex=_one_of(dataset, ("PatientSex",), frozenset("MFO")),
        study_date=_iso(dataset, ("StudyDate", "AcquisitionDate", "ContentDate")),
        photometric=photometric,
        bits_stored=stored,
        transfer_syntax=str(transfer_syntax),
        sop_class=text(dataset, "SOPClassUID"),
        sop_instance_uid=text(dataset, "SOPInstanceUID"),
        series_instance_uid=text(dataset, "SeriesInstanceUID"),
        study_instance_uid=text(dataset, "StudyInstanceUID"),
        for_processing=(text(dataset, "PresentationIntentType") or "").upper() == "FOR PROCESSING",
        patient_orientation=_orientation(dataset),
        lossy=lossy or text(dataset, "LossyImageCompression") == "01",
    )


def identity(dataset: Dataset) -> Identity:
    """Who the patient is, as plain text."""
    return Identity(
        patient_name=text(dataset, "PatientName", 128) or "",
        patient_id=text(dataset, "PatientID") or "",
        birth_date=_iso(dataset, ("PatientBirthDate",)) or "",
    )


def view(dataset: Dataset) -> View | None:
    """The projection: View Position, then the coded view, and only without either the words of a description."""
    position = (text(dataset, "ViewPosition") or "").upper()
    if position in VIEW_POSITIONS:
        return VIEW_POSITIONS[position]
    for item in items(dataset, "ViewCodeSequence")[:1]:
        code = text(item, "CodeValue") or ""
        return VIEW_CODES.get(code) or _view_by_words(text(item, "CodeMeaning")) or View.OTHER
    if position:
        return _view_by_words(position) or View.OTHER
    for keyword in ("ProjectionEponymousNameCodeSequence", "AcquisitionDeviceProcessingDescription"):
        found = _view_by_words(text(dataset, keyword, 120))
        if found:
            return found
    return _view_by_words(text(dataset, "SeriesDescription", 120))


def _view_by_words(words: str | None) -> View | None:
    """One view where the words name exactly one; none where they name several (`PA and lateral`)."""
    found = {view for pattern, view in _VIEW_WORDS if pattern.search((words or "").lower())}
    return found.pop() if len(found) == 1 else None


def body_part(dataset: Dataset) -> str | None:
    """Body Part Examined (0018,0015), else the meaning of the Anatomic Region Sequence (0008,2218); upper case."""
    stated = text(dataset, "BodyPartExamined", 32)
    for item in [] if stated else items(dataset, "AnatomicRegionSequence")[:1]:
        stated = text(item, "CodeMeaning", 32)
    return stated.upper() if stated else None


def age_years(dataset: Dataset) -> float | None:
    """Patient's Age (0010,1010), AS of PS3.5 6.2, else birth date against study date. In years."""
    stated = re.fullmatch(r"(\d{1,3})([DWMY])", (text(dataset, "PatientAge") or "").upper())
    if stated:
        return int(stated[1]) / {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}[stated[2]]
    born, taken = (
        _iso(dataset, ("PatientBirthDate",)),
        _iso(dataset, ("StudyDate", "AcquisitionDate", "ContentDate")),
    )
    if born and taken:
        years = (date.fromisoformat(taken) - date.fromisoformat(born)).days / 365.25
        return years if 0 <= years <= 130 else None
    return None


def _iso(dataset: Dataset, keywords: tuple[str, ...]) -> str | None:
    """The first of several DA attributes that is a date, as `YYYY-MM-DD`."""
    for keyword in keywords:
        digits = re.sub(r"[.\-/ ]", "", text(dataset, keyword) or "")
        try:
            return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])).isoformat()
        except ValueError:
            continue
    return None


def _one_of(dataset: Dataset, keywords: tuple[str, ...], allowed: frozenset[str]) -> str | None:
    for keyword in keywords:
        value = (text(dataset, keyword) or "").upper()
        if value in allowed:
            return value
    return None


def _orientation(dataset: Dataset) -> str | None:
    """Patient Orientation (0020,0020), C.7.6.1.1.1: `L\\F` for rows to the left and columns to the feet."""
    value = dataset.get("PatientOrientation")
    parts = (
        [plain_text(str(part), 8) for part in value]
        if isinstance(value, list) or hasattr(value, "append")
        else []
    )
    return "\\".join(parts) if len(parts) == 2 and all(parts) else None


def tags(dataset: Dataset) -> tuple[Tag, ...]:
    """The top level for the tags panel, in order, at most `MAX_TAGS` of it; pixels and other bulk as their size."""
    return tuple(_tags(dataset))


def _tags(dataset: Dataset) -> Iterator[Tag]:
    for tag in sorted(dataset.keys())[:MAX_TAGS]:
        label = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
        try:
            element = dataset[tag]
            yield Tag(label, _keyword(element), str(element.VR)[:8], _shown(element))
        except _PARSE_FAULTS:
            yield Tag(label, "", "UN", "<not readable>")


def _keyword(element: DataElement) -> str:
    return plain_text(element.keyword, 64) if not BaseTag(element.tag).is_private else "private"


def _shown(element: DataElement) -> str:
    value = element.value
    if element.VR == "SQ":
        return f"<{len(value or [])} items>"
    if element.VR in _BINARY or isinstance(value, bytes):
        size = len(value) if isinstance(value, bytes) else 2 * element.VM
        return f"<{size} bytes>"
    if isinstance(value, str) or not hasattr(value, "append"):
        return plain_text(str(value if value is not None else ""), MAX_TAG_TEXT)
    return plain_text("\\".join(str(part) for part in value[:32]), MAX_TAG_TEXT)
