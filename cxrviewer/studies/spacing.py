"""How long a pixel is, and where that millimetre is measured (PS3.3 10.7.1.3).

A projection magnifies: a detector's millimetre is not the patient's. So a length is called calibrated only where the
file says how it was, or where Pixel Spacing was changed away from the spacing at the detector.
"""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset

from cxrviewer.studies.grayscale import macro, numbers
from cxrviewer.studies.header import text
from cxrviewer.studies.radiograph import PixelSpacing, SpacingReference

_SLICES: Final = frozenset({"CT", "MR", "PT", "NM", "US", "OPT"})
"""Modalities whose Pixel Spacing is in the plane of the patient (C.7.6.2.1.1): no projection, nothing to calibrate."""

_SAME: Final = 1e-3
"""Relative difference up to which two spacings count as equal (they are written with few digits)."""


def pixel_spacing(dataset: Dataset, groups: list[Dataset]) -> PixelSpacing | None:
    """The spacing that the file states, or None.

    | stated                                                   | attribute                  | measured     |
    | Pixel Spacing with Pixel Spacing Calibration Type        | PixelSpacing               | calibrated   |
    | Pixel Spacing unlike Imager or Nominal Scanned one       | PixelSpacing               | calibrated   |
    | Imager Pixel Spacing, alone or equal to Pixel Spacing    | ImagerPixelSpacing         | at detector  |
    | Nominal Scanned Pixel Spacing, alone or equal (on film)  | NominalScannedPixelSpacing | unknown      |
    | Pixel Spacing alone, of slices                           | PixelSpacing               | calibrated   |
    | Pixel Spacing alone, of a projection                     | PixelSpacing               | unknown      |
    """
    plain = _pair(macro(groups, "PixelMeasuresSequence"), "PixelSpacing")
    imager, scanned = _pair(dataset, "ImagerPixelSpacing"), _pair(dataset, "NominalScannedPixelSpacing")
    other = imager or scanned
    if plain:
        slices = (text(dataset, "Modality") or "").upper() in _SLICES
        calibrated = text(dataset, "PixelSpacingCalibrationType") is not None
        if calibrated or slices or (other and not _equal(plain, other)):
            return PixelSpacing(*plain, SpacingReference.CALIBRATED, "PixelSpacing")
    if imager:
        factor = (numbers(dataset, "EstimatedRadiographicMagnificationFactor") or [0.0])[0]
        magnification = factor if 1 <= factor <= 10 else None
        return PixelSpacing(*imager, SpacingReference.DETECTOR, "ImagerPixelSpacing", magnification)
    if scanned:
        return PixelSpacing(*scanned, SpacingReference.UNKNOWN, "NominalScannedPixelSpacing")
    return PixelSpacing(*plain, SpacingReference.UNKNOWN, "PixelSpacing") if plain else None


def _pair(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    """Row and column spacing in mm; None where it is absent or no length."""
    values = numbers(dataset, keyword)
    return (values[0], values[1]) if len(values) == 2 and min(values) > 0 else None


def _equal(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(abs(a - b) <= _SAME * max(a, b) for a, b in zip(one, other, strict=True))
