"""The grayscale pipeline of one frame: stored values -> modality values, with what a display needs beside them.

    stored values -> PixelPaddingValue mask        C.7.5.1.1.2
                  -> Modality LUT or rescale       C.11.1
                  -> VOI LUT or window             C.11.2   (kept as a function, applied in radiograph.py)
                  -> polarity                      C.7.6.3.1.2, C.11.6   (kept as a flag)

Clauses are of PS3.3. Multi-frame files may state rescale and window in functional groups (C.7.6.16).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from cxrviewer.errors import UnreadableError
from cxrviewer.studies.deidentify import plain_text
from cxrviewer.studies.pixel_data import PixelFormat, number
from cxrviewer.studies.radiograph import VoiLut, Window, WindowFunction


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; none where it is absent or no sequence."""
    value = dataset.get(keyword)
    return (
        [item for item in value if isinstance(item, Dataset)]
        if value is not None and not isinstance(value, bytes | str)
        else []
    )


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """A DS, FD or IS attribute of any multiplicity; what is not a finite number is left out."""
    value = dataset.get(keyword)
    found = []
    for part in value if isinstance(value, MultiValue | list | tuple) else [value]:
        try:
            found.append(float(part))
        except (TypeError, ValueError):
            continue
    return [part for part in found if np.isfinite(part)]


def frame_groups(dataset: Dataset, frame: int) -> list[Dataset]:
    """Where attributes of frame `frame` (from 1) may stand: its functional groups, the shared ones, the top level.

    C.7.6.16.1: a group is either shared or per frame, so the order only matters for files that say both.
    """
    per_frame = items(dataset, "PerFrameFunctionalGroupsSequence")
    places = per_frame[frame - 1 : frame] + items(dataset, "SharedFunctionalGroupsSequence")[:1]
    return [*places, dataset]


def macro(groups: list[Dataset], sequence: str) -> Dataset:
    """The first item of a functional group macro; the top level itself where no group has it."""
    for group in groups[:-1]:
        for item in items(group, sequence):
            return item
    return groups[-1]


def padding_mask(stored: NDArray[Any], dataset: Dataset, layout: PixelFormat) -> NDArray[np.bool_] | None:
    """C.7.5.1.1.2: stored values from Pixel Padding Value to Pixel Padding Range Limit, both included, either order."""
    if dataset.get("PixelPaddingValue") in (None, ""):
        return None
    first = _as_stored(number(dataset, "PixelPaddingValue"), layout)
    last = _as_stored(number(dataset, "PixelPaddingRangeLimit", first), layout)
    low, high = sorted((first, last))
    mask = stored == first if low == high else (stored >= low) & (stored <= high)
    return mask if bool(mask.any()) else None


def _as_stored(value: int, layout: PixelFormat) -> int:
    """A US or SS value as the pixels' own sign: implicit files often carry the wrong one of the two."""
    value &= 0xFFFF
    return value - 0x10000 if layout.signed and value >= 0x8000 else value


def modality_values(
    stored: NDArray[Any], dataset: Dataset, layout: PixelFormat, groups: list[Dataset]
) -> NDArray[Any]:
    """C.11.1: the Modality LUT Sequence, or else Rescale Slope and Intercept, or else the stored values.

    Returns (H, W) float32, or `stored` itself where nothing is rescaled: whole numbers are half as much to carry.
    Raises UnreadableError for a table without data or a slope of zero.
    """
    for item in items(dataset, "ModalityLUTSequence")[:1]:
        first, _, table = lookup_table(item, layout.signed)
        index = np.clip(stored.astype(np.int32) - first, 0, len(table) - 1)
        return np.asarray(table[index], np.float32)
    place = macro(groups, "PixelValueTransformationSequence")
    slope = (numbers(place, "RescaleSlope") or [1.0])[0]
    intercept = (numbers(place, "RescaleIntercept") or [0.0])[0]
    if slope == 0:
        raise UnreadableError("Rescale Slope (0028,1053) is zero.", "Export the image again.")
    if slope == 1 and intercept == 0:
        return stored
    values = stored.astype(np.float32)
    if slope != 1:
        values *= np.float32(slope)
    if intercept != 0:
        values += np.float32(intercept)
    return values


def lookup_table(item: Dataset, signed: bool) -> tuple[int, int, NDArray[np.uint16]]:
    """First value mapped, bits of an entry, entries: LUT Descriptor (0028,3002) and LUT Data (0028,3006), C.11.1.1.

    `signed`: whether the first value mapped is; an implicit file does not say. Zero entries mean 65,536.
    """
    descriptor = numbers(item, "LUTDescriptor")
    if len(descriptor) != 3:
        raise UnreadableError(
            "LUT Descriptor (0028,3002) does not hold three numbers.", "Export the image again."
        )
    entries, first, bits = (int(part) for part in descriptor)
    entries = (entries & 0xFFFF) or 0x10000
    if signed and first >= 0x8000:
        first -= 0x10000
    data = item.get("LUTData")
    if isinstance(data, bytes):
        # Entries of 8 bits may be packed two to a word (C.11.1.1.1), which shows in the length alone.
        narrow = len(data) < 2 * entries
        table = np.frombuffer(data, np.uint8 if narrow else _word(item))
    elif isinstance(data, MultiValue | list | tuple):
        table = np.asarray([int(part) & 0xFFFF for part in data], np.uint16)
        if len(table) < entries <= 2 * len(table):
            table = table.astype("<u2").view(np.uint8)
    else:
        table = np.zeros(0, np.uint16)
    if len(table) < entries:
        raise UnreadableError(
            f"LUT Data (0028,3006) holds {len(table)} entries of {entries}.", "Export the image again."
        )
    return first, bits, table[:entries].astype(np.uint16)


def _word(item: Dataset) -> str:
    little = item.original_encoding[1]
    return ">u2" if little is False else "<u2"


def voi_lut(dataset: Dataset, groups: list[Dataset], signed: bool, pixels: NDArray[Any]) -> VoiLut | None:
    """C.11.2.1.1: the first item of the VOI LUT Sequence, its output divided by the largest that its bits allow.

    The first value mapped is read as signed where the stored values are, or where any of `pixels` is negative.
    """
    for place in (dataset, macro(groups, "FrameVOILUTSequence")):
        for item in items(place, "VOILUTSequence")[:1]:
            signed = signed or float(pixels.min()) < 0
            first, bits, table = lookup_table(item, signed)
            # Some writers understate the bits; the largest entry then is the white they meant.
            white = max((1 << min(max(bits, 1), 16)) - 1, int(table.max()))
            name = plain_text(str(item.get("LUTExplanation") or ""), 40)
            return VoiLut(first, (table / np.float32(white)).astype(np.float32), name)
    return None


def windows(groups: list[Dataset]) -> tuple[Window, ...]:
    """C.11.2.1.2: every pair of Window Center and Window Width, with its explanation and its function (C.11.2.1.3).

    Pairs whose width is not allowed for their function (below 1 for LINEAR, not above 0 for the others) are left out.
    """
    place = macro(groups, "FrameVOILUTSequence")
    stated = str(place.get("VOILUTFunction") or "LINEAR").strip().upper()
    function = WindowFunction(stated) if stated in set(WindowFunction) else WindowFunction.LINEAR
    return tuple(_windows(place, function))


def _windows(place: Dataset, function: WindowFunction) -> Iterator[Window]:
    centers, widths = numbers(place, "WindowCenter"), numbers(place, "WindowWidth")
    names = place.get("WindowCenterWidthExplanation")
    names = [str(name) for name in names] if isinstance(names, MultiValue | list) else [str(names or "")]
    for i, (center, width) in enumerate(zip(centers, widths, strict=False)):
        if width >= 1 if function is WindowFunction.LINEAR else width > 0:
            yield Window(center, width, function, plain_text(names[i], 40) if i < len(names) else "")


def is_inverted(photometric: str, dataset: Dataset) -> bool:
    """Whether large values are shown dark: MONOCHROME1 (C.7.6.3.1.2) or Presentation LUT Shape INVERSE (C.11.6).

    A DX image says both for one and the same thing (C.8.11.3.1.2), so together they still invert once.
    """
    shape = str(dataset.get("PresentationLUTShape") or "").strip().upper()
    return photometric == "MONOCHROME1" or shape == "INVERSE"
