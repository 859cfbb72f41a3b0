"""Radiographs, errors and file lists as headers and arrays, and back.

The child works on hostile bytes and may have been taken over by them. So nothing of it is unpickled, every field is
rebuilt by type, and text is cleaned again on this side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cxrviewer.errors import (
    CxrError,
    DecodingTimeoutError,
    NotFoundError,
    TooLargeError,
    UnreadableError,
    UnsupportedError,
)
from cxrviewer.studies.channel import Arrays, WireError, whole_number
from cxrviewer.studies.deidentify import plain_text
from cxrviewer.studies.limits import MAX_FRAMES
from cxrviewer.studies.radiograph import (
    Identity,
    Metadata,
    PixelSpacing,
    Radiograph,
    SpacingReference,
    Tag,
    View,
    Voi,
    VoiLut,
    Window,
    WindowFunction,
)

MAX_REFERENCES: Final = 5_000
ERRORS: Final[dict[str, type[CxrError]]] = {
    error.kind: error
    for error in (UnreadableError, UnsupportedError, TooLargeError, NotFoundError, DecodingTimeoutError)
}


def pack_error(error: CxrError) -> dict[str, Any]:
    """An error as a header."""
    return {"ok": False, "kind": error.kind, "message": error.message, "remedy": error.remedy}


def unpack_error(header: Mapping[str, Any]) -> CxrError:
    """A header as an error; an unknown kind counts as unreadable."""
    kind = ERRORS.get(str(header.get("kind")), UnreadableError)
    return kind(_text(header.get("message"), 400) or "", _text(header.get("remedy"), 400) or "")


def pack(radiograph: Radiograph) -> tuple[dict[str, Any], list[Any]]:
    """A radiograph as a header and the arrays behind it, in the header's order."""
    pixels = radiograph.pixels
    arrays: Arrays = {"pixels": np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))}
    if radiograph.padding is not None:
        arrays["padding"] = np.ascontiguousarray(radiograph.padding).view(np.uint8)
    voi: dict[str, Any] | None = None
    if isinstance(radiograph.voi, VoiLut):
        arrays["table"] = np.ascontiguousarray(radiograph.voi.table)
        voi = {"first": radiograph.voi.first, "name": radiograph.voi.name}
    elif radiograph.voi is not None:
        voi = asdict(radiograph.voi)
    header = {
        "ok": True,
        "arrays": {name: list(array.shape) for name, array in arrays.items()},
        "metadata": asdict(radiograph.metadata),
        "identity": asdict(radiograph.identity),
        "voi": voi,
        "presets": [asdict(preset) for preset in radiograph.presets[:64]],
        "inverted": radiograph.inverted,
        "spacing": asdict(radiograph.spacing) if radiograph.spacing else None,
        "frame": radiograph.frame,
        "frames": radiograph.frames,
        "tags": [[tag.number, tag.keyword, tag.vr, tag.value] for tag in radiograph.tags],
        "warnings": list(radiograph.warnings),
    }
    if pixels.dtype.kind != "f":
        header["whole"] = arrays["pixels"].dtype.str
    return header, list(arrays.values())


def unpack(header: Mapping[str, Any], arrays: Arrays, digest: str) -> Radiograph:
    """Rebuild a radiograph from what the child sent; `digest` is this side's own. Raises WireError."""
    try:
        return _unpack(header, arrays, digest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WireError("a field is missing or of another type") from error


def pack_references(references: list[tuple[str, ...]]) -> dict[str, Any]:
    """The File IDs of a DICOMDIR as a header."""
    return {"ok": True, "files": [list(reference) for reference in references[:MAX_REFERENCES]]}


def unpack_references(header: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A header as File IDs: at most eight components of at most 64 characters (PS3.10 8.2 allows 16)."""
    files = header.get("files")
    if not isinstance(files, list) or len(files) > MAX_REFERENCES:
        raise WireError("list of files expected")
    return [tuple(_text(part, 64) or "" for part in parts[:8]) for parts in files if isinstance(parts, list)]


def _unpack(header: Mapping[str, Any], arrays: Arrays, digest: str) -> Radiograph:
    pixels, padding = arrays["pixels"], arrays.get("padding")
    if "whole" not in header and not bool(np.isfinite(pixels).all()):
        raise WireError("pixels are not finite")
    if padding is not None and padding.shape != pixels.shape:
        raise WireError("padding of another shape")
    frames = whole_number(header["frames"], 1, MAX_FRAMES)
    return Radiograph(
        pixels=pixels,
        digest=digest,
        metadata=_metadata(header["metadata"]),
        voi=_voi(header["voi"], arrays.get("table")),
        presets=tuple(_window(preset) for preset in header["presets"]),
        inverted=header["inverted"] is True,
        padding=None if padding is None else padding != 0,
        spacing=_spacing(header["spacing"]),
        frame=whole_number(header["frame"], 1, frames),
        frames=frames,
        identity=Identity(
            **{name: _text(header["identity"][name], 128) or "" for name in Identity.__annotations__}
        ),
        tags=tuple(Tag(*(_text(part, 120) or "" for part in tag)) for tag in header["tags"]),
        warnings=tuple(_text(warning, 400) or "" for warning in header["warnings"]),
    )


def _metadata(fields: Mapping[str, Any]) -> Metadata:
    view = fields["view"]
    return Metadata(
        **{name: _text(fields[name], 128) for name in _METADATA_TEXT if name != "format"},
        format=_text(fields["format"], 16) or "",
        view=None if view is None else View(view),
        age_years=None if fields["age_years"] is None else _number(fields["age_years"]),
        bits_stored=None if fields["bits_stored"] is None else whole_number(fields["bits_stored"], 1, 16),
        for_processing=fields["for_processing"] is True,
        lossy=fields["lossy"] is True,
    )


_METADATA_TEXT: Final = (
    "modality", "body_part", "laterality", "sex", "study_date", "photometric", "transfer_syntax", "sop_class",
    "sop_instance_uid", "series_instance_uid", "study_instance_uid", "patient_orientation",
)  # fmt: skip


def _voi(fields: Mapping[str, Any] | None, table: NDArray[Any] | None) -> Voi | None:
    if fields is None:
        return None
    if table is None:
        return _window(fields)
    if not bool(((table >= 0) & (table <= 1)).all()):
        raise WireError("LUT outside 0 to 1")
    return VoiLut(whole_number(fields["first"], -(1 << 31), 1 << 31), table, _text(fields["name"], 64) or "")


def _window(fields: Mapping[str, Any]) -> Window:
    function = WindowFunction(fields["function"])
    return Window(
        _number(fields["center"]), _number(fields["width"]), function, _text(fields["name"], 64) or ""
    )


def _spacing(fields: Mapping[str, Any] | None) -> PixelSpacing | None:
    if fields is None:
        return None
    factor = fields["magnification"]
    return PixelSpacing(
        _number(fields["row_mm"]),
        _number(fields["column_mm"]),
        SpacingReference(fields["reference"]),
        _text(fields["attribute"], 64) or "",
        None if factor is None else _number(factor),
    )


def _text(value: object, limit: int) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise WireError("text expected")
    return plain_text(value, limit)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise WireError("finite number expected")
    return float(value)
