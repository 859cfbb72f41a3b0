"""A bundle for tests: plumbing only, its figures mean nothing."""

from __future__ import annotations

from pathlib import Path

import torch

from cxrviewer.classifiers.bundle import pack, save_bundle
from cxrviewer.classifiers.card import ArchitectureCard, Card, InputCard, TargetCard
from cxrviewer.classifiers.classifier import Architecture, Classifier
from cxrviewer.classifiers.preparing import InputSpec


def save_tiny_bundle(folder: Path, model_id: str = "tiny-1") -> Path:
    """Write an untrained bundle below a models folder: both heads, 64 pixels, thresholds of 0.4."""
    torch.manual_seed(0)
    spec = InputSpec(64)
    architecture = Architecture("tiny", input=spec)
    targets = tuple(
        TargetCard(
            head=target.head,
            label=target.label,
            prevalence=0.5,
            threshold=0.4,
            band_low=0.2,
            band_high=0.8,
            n_positive=50,
            n_negative=50,
        )
        for target in architecture.targets
    )
    card = Card(
        id=model_id,
        created="2026-01-01T00:00:00+00:00",
        title="Untrained, for tests",
        architecture=ArchitectureCard(backbone="tiny", heads=dict(architecture.heads)),
        input=InputCard(
            size=spec.size, channels=spec.channels, resize=spec.resize, normalisation=spec.normalisation
        ),
        targets=targets,
        intended_use="Tests.",
        limits=("Untrained.",),
        licence="Apache-2.0",
    )
    return save_bundle(folder, pack(Classifier(architecture)), card)
