"""The pictures that a DICOMDIR lists (PS3.10 clause 8, PS3.3 annex F). Runs in the decoding child."""

from __future__ import annotations

from cxrviewer.errors import CxrError, UnreadableError
from cxrviewer.studies.dicom import read_header
from cxrviewer.studies.grayscale import items
from cxrviewer.studies.structure import dissect


def read_directory(data: bytes) -> list[tuple[str, ...]]:
    """Referenced File ID (0004,1500) of every IMAGE record, in order. Raises UnreadableError, TooLargeError."""
    try:
        dataset = read_header(dissect(data))
        records = items(dataset, "DirectoryRecordSequence")
        return [
            _components(record.get("ReferencedFileID"))
            for record in records
            if record.get("DirectoryRecordType") == "IMAGE" and record.get("ReferencedFileID")
        ]
    except (CxrError, MemoryError):
        raise
    except Exception as error:  # a parser of others on hostile bytes: whatever it raises means damaged
        raise UnreadableError("The DICOMDIR is damaged.", "Open the folder without it.") from error


def _components(value: object) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(str(part) for part in value)  # type: ignore[attr-defined]
