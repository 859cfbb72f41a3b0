"""Small radiographs and predictions whose every number is known."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxrviewer.archive import Archive
from cxrviewer.classifiers.prediction import Band, Prediction, Provenance, ScopeAnswer, Score
from cxrviewer.classifiers.targets import Target
from cxrviewer.labels import NIH_14, PNEUMONIA, Head
from cxrviewer.studies.radiograph import Identity, Metadata, Radiograph, View

WEIGHTS = "ab" * 32


def radiograph_of(data: bytes, uid: str | None = None, name: str = "", **metadata: object) -> Radiograph:
    """12 x 8, a ramp; all that is asked for stands in its header."""
    known = {"format": "DICOM", "view": View.PA, "study_instance_uid": uid} | metadata
    return Radiograph(
        pixels=np.linspace(0, 255, 96, dtype=np.float32).reshape(12, 8),
        digest=hashlib.sha256(data).hexdigest(),
        metadata=Metadata(**known),  # type: ignore[arg-type]
        identity=Identity(patient_name=name, patient_id="P1" if name else ""),
    )


def prediction_of(digest: str, frame: int = 1, pneumonia: float = 0.93, model: str = "tiny") -> Prediction:
    """15 scores: pneumonia as told, findings 0.01, 0.02, ... so that Hernia (0.14) is on top."""
    scores = [Score(Target(Head.PNEUMONIA, PNEUMONIA), 2.5, pneumonia, 0.74, 0.41, True, 0.9, 0.8, Band.HIGH)]
    for index, label in enumerate(NIH_14, start=1):
        scores.append(Score(Target(Head.FINDINGS, label), -index / 3, index / 100, None, None, None))
    provenance = Provenance(model, WEIGHTS, "0.1.0", "torch", "cpu", "squash 64", "2026-01-02T03:04:05+00:00")
    scope = ScopeAnswer(True, (), ("An adult.",))
    return Prediction(digest, frame, scope, tuple(scores), provenance, 0.04)


def refused(prediction: Prediction) -> Prediction:
    """The same picture, found to be out of scope."""
    return replace(prediction, scope=ScopeAnswer(False, ("Looks like a hand.",)), scores=())


@pytest.fixture
def radiograph() -> Callable[..., Radiograph]:
    """Makes the radiograph of some bytes."""
    return radiograph_of


@pytest.fixture
def prediction() -> Callable[..., Prediction]:
    """Makes an answer on a digest."""
    return prediction_of


@pytest.fixture
def out_of_scope() -> Callable[[Prediction], Prediction]:
    """Makes the refusal that stands in an answer's place."""
    return refused


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An empty store."""
    archive = Archive(tmp_path / "data")
    yield archive
    archive.close()
