"""The radiograph: one decoded frame with what is needed to show it, measure on it and score it.

Pixels are kept as *modality values* (PS3.3 C.11.1 already applied). What a reader sees and what a network is
given are two functions of them: `display()` takes the reader's window, `presentation()` never does (G6).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (0.5, 99.5)
"""Where a file states no VOI transform, these percentiles of its unpadded pixels become black and white."""


class WindowFunction(StrEnum):
    """VOI LUT Function (0028,1056), PS3.3 C.11.2.1.3."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


class SpacingReference(StrEnum):
    """Where a millimetre is measured (PS3.3 10.7.1.3)."""

    CALIBRATED = "calibrated"
    DETECTOR = "at detector"
    UNKNOWN = "unknown"


class View(StrEnum):
    """Projection, as the header states it."""

    PA = "PA"
    AP = "AP"
    LATERAL = "lateral"
    OTHER = "other"


@dataclass(frozen=True)
class Window:
    """A window in modality units. `width` > 0 (>= 1 for LINEAR). `name` is the file's own explanation, or ours."""

    center: float
    width: float
    function: WindowFunction = WindowFunction.LINEAR
    name: str = ""

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Modality values (any shape) -> float32 in [0, 1], PS3.3 C.11.2.1.2 and C.11.2.1.3."""
        center, width = np.float32(self.center), np.float32(self.width)
        if self.function is WindowFunction.SIGMOID:
            exponent = np.clip(np.float32(-4) * (values - center) / width, -80, 80)
            return np.asarray(1 / (1 + np.exp(exponent)), np.float32)
        if self.function is WindowFunction.LINEAR:
            # (c - 0.5) and (w - 1): the standard's own off-by-half, so that 8-bit data map onto themselves.
            center, width = center - np.float32(0.5), width - np.float32(1)
        if width <= 0:
            return np.asarray(values > center, np.float32)
        shaded = np.asarray(values - center, np.float32)  # the one copy; the rest in place: a film is large
        shaded /= width
        shaded += np.float32(0.5)
        return np.clip(shaded, 0, 1, out=shaded)


@dataclass(frozen=True, eq=False)
class VoiLut:
    """A VOI LUT Sequence item (0028,3010), PS3.3 C.11.2.1.1.

    `table`: float32 (N,), already divided by its largest possible output, so in [0, 1]; `first`: the modality
    value that maps to `table[0]`. Values outside take the first or the last entry.
    """

    first: int
    table: NDArray[np.float32]
    name: str = ""

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Modality values (any shape) -> float32 in [0, 1]."""
        index = np.clip(np.rint(values).astype(np.int64) - self.first, 0, len(self.table) - 1)
        return np.asarray(self.table[index], np.float32)


Voi = Window | VoiLut


@dataclass(frozen=True)
class PixelSpacing:
    """Millimetres a pixel, down the rows and along the columns, and what that millimetre means."""

    row_mm: float
    column_mm: float
    reference: SpacingReference
    attribute: str
    """The DICOM keyword it was read from."""
    magnification: float | None = None
    """EstimatedRadiographicMagnificationFactor, where the file states it (already divided out: no)."""


@dataclass(frozen=True)
class Metadata:
    """What a header states that is safe to keep and to show: no name, number, date of birth or free text."""

    format: str
    """`DICOM`, `JPEG` or `PNG`."""
    modality: str | None = None
    body_part: str | None = None
    view: View | None = None
    laterality: str | None = None
    """Image laterality `L`, `R`, `B`, `U`; a frontal chest has none, or U."""
    age_years: float | None = None
    sex: str | None = None
    study_date: str | None = None
    """`YYYY-MM-DD`."""
    photometric: str | None = None
    bits_stored: int | None = None
    transfer_syntax: str | None = None
    sop_class: str | None = None
    sop_instance_uid: str | None = None
    series_instance_uid: str | None = None
    study_instance_uid: str | None = None
    for_processing: bool = False
    """PresentationIntentType is FOR PROCESSING: not a picture to read; no score."""
    patient_orientation: str | None = None
    lossy: bool = False


@dataclass(frozen=True)
class Identity:
    """Who the patient is. Shown masked on the screen, never logged: every field is kept out of repr()."""

    patient_name: str = field(default="", repr=False)
    patient_id: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)

    @property
    def initials(self) -> str:
        """`J. D.` for `Doe^Jane`; empty where no name is stated."""
        family, _, given = self.patient_name.partition("^")
        parts = [given.strip()[:1], family.strip()[:1]]
        return " ".join(f"{part.upper()}." for part in parts if part.isalnum())


@dataclass(frozen=True)
class Tag:
    """One line of the tags panel. `value` is plain text, shortened, control characters removed."""

    number: str
    """`(0008,0060)`."""
    keyword: str
    vr: str
    value: str = field(repr=False)


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One frame of one instance.

    pixels: (H, W) float32, modality values (PS3.3 C.11.1), read-only. Colour pictures are their luminance.
    padding: (H, W) bool or None: True where the file says PixelPaddingValue; shown black, ignored in statistics.
    voi: the file's first VOI transform (LUT before window), or None where it states none.
    presets: every window that the file names, in its order.
    inverted: True where high values are to be shown dark (MONOCHROME1 or Presentation LUT Shape INVERSE).
    digest: sha256 of the bytes received, hexadecimal; `frame` counts from 1 to `frames`.
    """

    pixels: NDArray[np.float32]
    digest: str
    metadata: Metadata
    voi: Voi | None = None
    presets: tuple[Window, ...] = ()
    inverted: bool = False
    padding: NDArray[np.bool_] | None = None
    spacing: PixelSpacing | None = None
    frame: int = 1
    frames: int = 1
    identity: Identity = field(default_factory=Identity)
    tags: tuple[Tag, ...] = field(default=(), repr=False)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.pixels.setflags(write=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.pixels.shape
        return height, width

    @property
    def full_range(self) -> tuple[float, float]:
        """Smallest and largest modality value outside the padding."""
        values = self.unpadded()
        return float(values.min()), float(values.max())

    def unpadded(self) -> NDArray[np.float32]:
        """The pixels that are picture: (N,) without padding, or all of them where nothing else is left."""
        if self.padding is None or bool(self.padding.all()):
            return self.pixels.reshape(-1)
        return self.pixels[~self.padding]

    def auto_window(self) -> Window:
        """The stated percentiles as a LINEAR_EXACT window."""
        low, high = (float(v) for v in np.percentile(self.unpadded(), PERCENTILES))
        width = max(high - low, 1e-6)
        return Window((low + high) / 2, width, WindowFunction.LINEAR_EXACT, "auto")

    def presentation(self) -> NDArray[np.float32]:
        """The network's picture: (H, W) float32 in [0, 1], white is dense, whatever the reader's window is."""
        return self._shade(self._own_voi())

    def presented_rows(self, count: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """`presentation()` in pieces of `count` rows, each with its first row's number: for one pass over a film."""
        voi = self._own_voi()
        for first in range(0, self.shape[0], count):
            yield first, self._shade(voi, slice(first, first + count))

    def _own_voi(self) -> Voi:
        return self.voi if self.voi is not None else self.auto_window()

    def display(self, voi: Voi | None = None, invert: bool = False) -> NDArray[np.uint8]:
        """The reader's picture: (H, W) uint8. `voi` None takes the file's own; `invert` swaps black and white."""
        if voi is None:
            voi = self._own_voi()
        shaded = self._shade(voi)
        return np.rint((1 - shaded if invert else shaded) * 255).astype(np.uint8)

    def _shade(self, voi: Voi, rows: slice = slice(None)) -> NDArray[np.float32]:
        shaded = voi.apply(self.pixels[rows])
        if self.inverted:
            np.subtract(np.float32(1), shaded, out=shaded)
        if self.padding is not None:
            shaded[self.padding[rows]] = 0
        return shaded
