"""What a classifier answers about one radiograph, with all that is needed to reproduce it (G16)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cxrviewer.classifiers.targets import Target
from cxrviewer.labels import Head


class Band(StrEnum):
    """How a probability reads. `low`: below the sensitivity-0.95 threshold; `high`: above the specificity-0.95 one."""

    LOW = "low"
    UNSURE = "unsure"
    HIGH = "high"


@dataclass(frozen=True)
class Score:
    """One target's answer.

    logit: the network's own output; probability: calibrated, in [0, 1], at `prevalence`.
    threshold: the operating point on the probability, or None where too few positives allowed one; `positive` is
    then None as well. sensitivity, specificity: of that operating point, measured on the tune part.
    band: None where the two band thresholds cross.
    """

    target: Target
    logit: float
    probability: float
    prevalence: float | None = None
    threshold: float | None = None
    positive: bool | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    band: Band | None = None


@dataclass(frozen=True)
class ScopeAnswer:
    """Is this a picture that the model was made for?

    reasons: why not (empty in scope). cautions: in scope, but something a reader must know (an adult shown to a
    head trained on children).
    """

    in_scope: bool
    reasons: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Provenance:
    """Which weights, which program and which arithmetic gave the answer."""

    model_id: str
    weights_sha256: str
    app_version: str
    engine: str
    device: str
    preprocessing: str
    created: str
    """Time of the answer, UTC, ISO 8601."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one frame. `scores` is empty where the picture is out of scope."""

    digest: str
    frame: int
    scope: ScopeAnswer
    scores: tuple[Score, ...]
    provenance: Provenance
    seconds: float

    def of(self, head: Head) -> tuple[Score, ...]:
        """The scores of one head, in the vocabulary's order; empty where the bundle lacks it or out of scope."""
        return tuple(score for score in self.scores if score.target.head is head)

    @property
    def pneumonia(self) -> Score | None:
        """The binary head's score."""
        return next(iter(self.of(Head.PNEUMONIA)), None)

    @property
    def findings(self) -> tuple[Score, ...]:
        """The findings' scores, highest probability first."""
        return tuple(sorted(self.of(Head.FINDINGS), key=lambda score: -score.probability))
