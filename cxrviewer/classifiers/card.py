"""`card.json`: what a bundle is, what it was trained on, how it fared, and where it must not be used."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from cxrviewer.classifiers.architecture import NORMALISATIONS, RESIZES, Architecture, InputSpec
from cxrviewer.classifiers.targets import Target
from cxrviewer.errors import ModelBundleError
from cxrviewer.labels import Head

CARD = "card.json"
MAX_CARD_BYTES = 2 * 2**20
ID = r"^[a-z0-9][a-z0-9._-]{0,63}$"
"""What a bundle may be called: it names a folder."""
REMEDY = "Restore the bundle from its source, or choose another model."


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InputCard(_Part):
    """What the network is given; mirrors `InputSpec`. Cards written before there was a choice hold sentences."""

    size: int = Field(ge=32, le=1024)
    channels: int = Field(1, ge=1, le=3)
    resize: str
    normalisation: str
    harmonise: str = "none"
    lungs: str = "none"
    reference: tuple[float, ...] = Field((), max_length=1024)
    template: str = Field("", max_length=2 * 64 * 64)
    place: tuple[float, ...] = Field((), max_length=4)
    lungs_model: str = ""

    def spec(self) -> InputSpec:
        """The same as `preparing.py` takes it."""
        values = self.model_dump()
        values["resize"] = _NAMES.get(self.resize, self.resize)
        values["normalisation"] = _NAMES.get(self.normalisation, self.normalisation)
        return InputSpec(**values)


_NAMES = {sentence: name for table in (RESIZES, NORMALISATIONS) for name, sentence in table.items()}


class ArchitectureCard(_Part):
    """Enough to build the network again; heads in output order. stacks: of the heads that are more than linear."""

    backbone: str
    heads: dict[Head, tuple[str, ...]]
    dropout: float = Field(0.0, ge=0, lt=1)
    stacks: dict[Head, str] = {}
    options: dict[str, JsonValue] = {}

    @classmethod
    def of(cls, architecture: Architecture) -> ArchitectureCard:
        """What a bundle states of a network; dropout is of training alone."""
        heads = dict(architecture.heads)
        stacks = {
            head: name for head, name in architecture.stacks.items() if head in heads and name != "linear"
        }
        return cls(
            backbone=architecture.backbone,
            heads=heads,
            dropout=0.0,
            stacks=stacks,
            options=dict(architecture.options),
        )


class PointCard(_Part):
    """An operating point: a threshold on the calibrated probability, and what it gave on the tune part."""

    threshold: float = Field(ge=0, le=1)
    sensitivity: float | None = Field(None, ge=0, le=1)
    specificity: float | None = Field(None, ge=0, le=1)


class TargetCard(_Part):
    """Calibration, operating point and bands of one target, all chosen on the tune part.

    probability = sigmoid(slope * logit + intercept), which stands for `prevalence` (None: for none that is known, as of
    networks that others published).
    threshold, band_low, band_high: on that probability; None where too few positives allow one.
    points: the operating points that a site may choose instead, by the name that `CXR_OPERATING_POINT` takes.
    """

    head: Head
    label: str
    slope: float = Field(1.0, gt=0)
    intercept: float = 0.0
    prevalence: float | None = Field(gt=0, lt=1)
    threshold: float | None = Field(None, ge=0, le=1)
    rule: str = ""
    sensitivity: float | None = Field(None, ge=0, le=1)
    specificity: float | None = Field(None, ge=0, le=1)
    band_low: float | None = Field(None, ge=0, le=1)
    band_high: float | None = Field(None, ge=0, le=1)
    points: dict[str, PointCard] = {}
    n_positive: int = Field(ge=0)
    n_negative: int = Field(ge=0)

    def at(self, name: str) -> PointCard | None:
        """The operating point of that name, or the bundle's own; None where the target has none."""
        if self.threshold is None:
            return None
        own = PointCard(threshold=self.threshold, sensitivity=self.sensitivity, specificity=self.specificity)
        return self.points.get(name, own)

    @property
    def target(self) -> Target:
        """The target that this is about."""
        return Target(self.head, self.label)


class TrainingData(_Part):
    """One data set, by name and by a digest over the exact pictures and labels used."""

    name: str
    digest: str
    n_images: int = Field(ge=0)
    n_patients: int = Field(ge=0)
    licence: str
    citation: str
    use: str


class ScopeCard(_Part):
    """Header rules and picture statistics that decide whether the model may answer (see `scope.py`).

    ages: span in years that a head was trained on, by head; outside it the answer carries a caution.
    """

    modalities: tuple[str, ...] = ("CR", "DX", "DR", "RG", "OT", "SC", "")
    ages: dict[Head, tuple[float, float]] = {}
    thresholds: dict[str, float] = {}
    measured: dict[str, JsonValue] = {}


class Card(_Part):
    """The whole card. `metrics` and `checks` hold what was measured, as JSON, and nothing else."""

    id: str = Field(pattern=ID)
    created: str
    task: Literal["classification", "segmentation"] = "classification"
    title: str = ""
    architecture: ArchitectureCard
    input: InputCard
    targets: tuple[TargetCard, ...] = ()
    scope: ScopeCard = ScopeCard()
    intended_use: str
    limits: tuple[str, ...]
    training_data: tuple[TrainingData, ...] = ()
    split: dict[str, JsonValue] = {}
    recipe: dict[str, JsonValue] = {}
    metrics: dict[str, JsonValue] = {}
    checks: dict[str, JsonValue] = {}
    software: dict[str, str] = {}
    licence: str
    weights_sha256: str = ""

    @model_validator(mode="after")
    def _serves(self) -> Card:
        if self.task == "classification":
            network = self.network()
            if tuple(t.target for t in self.targets) != network.targets:
                raise ValueError("targets are not the heads' labels in output order")
            if len(set(network.targets)) < len(network.targets):
                raise ValueError("a label stands twice in a head")
            if not network.input.known:
                raise ValueError("pictures are prepared in a way that this program does not know")
        return self

    def network(self) -> Architecture:
        """The architecture to build."""
        heads = tuple(self.architecture.heads.items())
        made = self.architecture
        return Architecture(made.backbone, heads, self.input.spec(), made.dropout, made.stacks, made.options)


def read_card(path: Path) -> Card:
    """The card of a bundle folder, without its weights. Raises ModelBundleError."""
    file = path / CARD
    try:
        if file.stat().st_size > MAX_CARD_BYTES:
            raise ModelBundleError(f"The card of model {path.name} is larger than 2 MiB.", REMEDY)
        card = Card.model_validate_json(file.read_bytes())
    except OSError as exc:
        raise ModelBundleError(f"Model {path.name} has no readable card.json.", REMEDY) from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelBundleError(
            f"The card of model {path.name} is refused at {where}: {first['msg']}.", REMEDY
        ) from exc
    if card.id != path.name:
        raise ModelBundleError(
            f"The card in folder {path.name} belongs to another model.", "Rename the folder to the card's id."
        )
    return card
