"""What goes into the store and comes out of it: frozen values that hold no connection and no pixels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cxrviewer.classifiers.prediction import Band, Prediction
from cxrviewer.classifiers.targets import Target
from cxrviewer.studies.radiograph import Identity, Metadata, View


class Order(StrEnum):
    """How a list of studies is sorted; ties fall back to the newest import."""

    NEWEST = "newest"
    STUDY_DATE = "study date"
    PNEUMONIA = "pneumonia"
    NAME = "name"


@dataclass(frozen=True)
class StudyFilter:
    """Which studies are wanted. An empty field asks for nothing.

    text: part of the name, number or file name, any case. in_scope, positive: of the cover's last result.
    since, until: study date `YYYY-MM-DD`, both included.
    """

    text: str = field(default="", repr=False)
    view: View | None = None
    in_scope: bool | None = None
    positive: bool | None = None
    since: str = ""
    until: str = ""
    order: Order = Order.NEWEST


@dataclass(frozen=True)
class ResultSummary:
    """One line of a list: the last answer on a study's cover picture. Probabilities in [0, 1].

    pneumonia and top are None where the picture is out of scope or the bundle lacks that head.
    """

    in_scope: bool
    reasons: tuple[str, ...]
    cautions: tuple[str, ...]
    pneumonia: float | None
    positive: bool | None
    band: Band | None
    top_label: str | None
    top_probability: float | None
    model_id: str
    weights_sha256: str
    app_version: str
    created: str


@dataclass(frozen=True)
class StudyRow:
    """A study as the worklist shows it.

    digest: the cover picture's: the first frontal one, else the first. imported: UTC, ISO 8601.
    metadata is the cover picture's.
    """

    id: str
    digest: str
    identity: Identity
    metadata: Metadata
    imported: str
    instances: int
    frames: int
    source_name: str = field(default="", repr=False)
    result: ResultSummary | None = None


@dataclass(frozen=True)
class StudyPage:
    """One page of a list, and how many studies match in all. `page` counts from 1."""

    rows: tuple[StudyRow, ...]
    total: int
    page: int
    size: int

    @property
    def pages(self) -> int:
        """Pages in all, at least one."""
        return max(1, -(-self.total // self.size))


@dataclass(frozen=True)
class InstanceRow:
    """One stored file.

    digest: sha256 of the bytes received, the key everywhere. stored_digest: sha256 of the bytes kept; another
    one where a DICOM preamble was set to zero.
    """

    digest: str
    stored_digest: str
    study_id: str
    frames: int
    identity: Identity
    metadata: Metadata
    imported: str
    source_name: str = field(default="", repr=False)


@dataclass(frozen=True)
class StoredResult:
    """A prediction with everything that promise G16 names, as it was saved.

    variant: what besides the weights decides the answer (calibration, site prevalence, program), a digest.
    thresholds: operating point by target name; None where the model has none for it.
    """

    prediction: Prediction
    variant: str
    thresholds: Mapping[str, float | None]


@dataclass(frozen=True)
class ExplanationKey:
    """What decides a map: nothing else may, so equal keys mean equal maps."""

    digest: str
    frame: int
    weights_sha256: str
    method: str
    target: Target
    options: tuple[tuple[str, float | int | str], ...] = ()
    app_version: str = ""

    @property
    def name(self) -> str:
        """sha256 of all of it, hexadecimal: the map's file name."""
        parts = [self.digest, self.frame, self.weights_sha256, self.method, self.target.slug]
        text = json.dumps([*parts, sorted(self.options), self.app_version])
        return hashlib.sha256(text.encode()).hexdigest()
