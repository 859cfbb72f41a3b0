"""An adapter over torchxrayvision's data sets (Cohen et al., MIDL 2022), for those without a reader of their own.

Optional: `pip install "cxrviewer[torchxrayvision]"`. The library reads label files and pictures its own way, so line
numbers and refusals are its own too; pictures come out as it scales them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import JsonValue

from cxrviewer.datasets.dataset import Dataset, Row
from cxrviewer.datasets.options import Options
from cxrviewer.errors import ConfigurationError, LabelFileError, NotFoundError, UnreadableError
from cxrviewer.labels import canonical
from cxrviewer.studies.radiograph import View

CLASSES = (
    "NIH_Dataset", "NIH_Google_Dataset", "RSNA_Pneumonia_Dataset", "PC_Dataset", "CheX_Dataset", "MIMIC_Dataset",
    "BRAX_Dataset", "Openi_Dataset", "COVID19_Dataset", "NLMTB_Dataset", "TBX11K_Dataset",
    "SIIM_Pneumothorax_Dataset", "VinDr_Dataset", "StonyBrookCOVID_Dataset", "ObjectCXR_Dataset",
)  # fmt: skip
LICENCE = "see the data set's own page"
CITATION = "Cohen et al., TorchXRayVision, MIDL 2022, and the data set's own paper"
RANGE = 1024.0
"""The library scales pictures to -1024 .. 1024."""
NO_PATIENTS = "The library states no patients here: a picture counts as a patient of its own."

_VIEWS = {"PA": View.PA, "AP": View.AP, "AP Supine": View.AP, "L": View.LATERAL, "LATERAL": View.LATERAL}


class XrayVisionOptions(Options):
    """data: one of the library's classes. arguments: its own, by name; `imgpath` is the folder unless given."""

    data: str = ""
    arguments: dict[str, JsonValue] = {}


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of the library's, encoded as a PNG of 16 bit where it is asked for."""

    name: str
    source: Any
    index: int

    def read_bytes(self) -> bytes:
        """A whole PNG file. Raises UnreadableError."""
        try:
            pixels = np.asarray(self.source[self.index]["img"], np.float32)
        except Exception as exc:  # the library's readers raise whatever their own libraries raise
            raise UnreadableError(f"{self.name} cannot be read.", "Fetch it again, or leave it out.") from exc
        grey = pixels.reshape(pixels.shape[-2:])
        levels = np.rint((grey / RANGE + 1) / 2 * 65535).clip(0, 65535).astype(np.uint16)
        stream = BytesIO()
        Image.fromarray(levels).save(stream, "PNG", compress_level=1)
        return stream.getvalue()


def read(root: Path, options: Options | None = None) -> Dataset:
    """The library's rows. Raises ConfigurationError, NotFoundError, or LabelFileError where the library gives up."""
    choice = options if isinstance(options, XrayVisionOptions) else XrayVisionOptions()
    if not root.is_dir() or not any(root.iterdir()):
        raise NotFoundError("The folder is empty or absent.", "Point at the folder with the pictures.")
    if choice.data not in CLASSES:
        raise ConfigurationError(
            "The option data must name one of the library's data sets.",
            f"Choose one of {', '.join(CLASSES)}.",
        )
    source = _open(choice, root)
    labels = tuple(canonical(name) for name in source.pathologies)
    stated = np.asarray(source.labels, np.float64)
    views, patients = _column(source, "view"), _column(source, "patientid")
    rows = []
    members: dict[str, Item] = {}
    for index, values in enumerate(stated):
        image = f"{choice.data}!{index:07d}"
        members[image] = Item(image, source, index)
        patient = f"xrayvision:{choice.data}:{image if patients is None else patients[index]}"
        positive = {k: float(v) for k, v in zip(labels, values, strict=True) if v in (0.0, 1.0)}
        view = None if views is None else _VIEWS.get(str(views[index]))
        rows.append(Row(image, patient, patient, positive, view))
    notes = (NO_PATIENTS,) if patients is None else ()
    return Dataset(
        "torchxrayvision", root, tuple(rows), labels, (), LICENCE, CITATION, notes, members=members
    )


def _open(choice: XrayVisionOptions, root: Path) -> Any:
    try:
        import torchxrayvision
    except ImportError as exc:
        raise ConfigurationError(
            "torchxrayvision is not installed.", 'Install it with pip install "cxrviewer[torchxrayvision]".'
        ) from exc
    try:
        return getattr(torchxrayvision.datasets, choice.data)(**{"imgpath": str(root), **choice.arguments})
    except Exception as exc:  # the library raises bare exceptions and whatever pandas raises
        raise LabelFileError(
            f"torchxrayvision could not open the folder as {choice.data}.",
            "Give its arguments (csvpath and others) with the option arguments; its documentation names them.",
        ) from exc


def _column(source: Any, name: str) -> Sequence[object] | None:
    table = getattr(source, "csv", None)
    if table is None or name not in table:
        return None
    found: list[object] = table[name].tolist()
    return found
