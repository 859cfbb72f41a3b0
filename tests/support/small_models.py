"""Small networks, cards and radiographs for tests: random weights, so their figures mean nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cxrviewer.classifiers.backbones import BACKBONES
from cxrviewer.classifiers.bundle import open_bundle, pack, save_bundle
from cxrviewer.classifiers.card import ArchitectureCard, Card, InputCard, TargetCard
from cxrviewer.classifiers.classifier import Architecture, Classifier
from cxrviewer.classifiers.model import ServingModel
from cxrviewer.classifiers.preparing import InputSpec
from cxrviewer.studies.phantoms import make_phantom
from cxrviewer.studies.radiograph import Metadata, Radiograph, View

SIZE = 64
HEAVY = ("efficientnet-b4", "resnet152", "resnetv2-152", "vit-b16")
"""Backbones that take seconds to build."""
every_backbone = [pytest.param(name, marks=[pytest.mark.slow] * (name in HEAVY)) for name in BACKBONES]


def small_size(backbone: str) -> int:
    """A small picture that the backbone takes and that leaves it more than one place to look at."""
    return 128 if backbone == "inception-v3" else SIZE


def small_network(
    backbone: str = "tiny", seed: int = 0, size: int = 0, channels: int = 1, **changes: Any
) -> Classifier:
    """A network in evaluation mode whose batch norms have statistics that matter. `changes`: of its architecture."""
    if backbone == "resnetv2-152":
        pytest.importorskip("timm")
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    spec = InputSpec(size or small_size(backbone), channels)
    network = Classifier(Architecture(backbone, **({"input": spec} | changes))).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.6, 1.6, generator=generator)
            with torch.no_grad():
                module.weight.normal_(1, 0.1, generator=generator)
                module.bias.normal_(0, 0.1, generator=generator)
    return network


def small_card(model_id: str = "small-1", architecture: Architecture | None = None, **changes: Any) -> Card:
    """The card of `small_network`; `changes` replace its fields, and `target` those of every target."""
    made = architecture or Architecture("tiny", input=InputSpec(SIZE))
    about = {"prevalence": 0.5, "threshold": 0.4, "n_positive": 50, "n_negative": 50}
    about |= changes.pop("target", {})
    values: dict[str, Any] = {
        "id": model_id,
        "created": "2026-01-01T00:00:00+00:00",
        "architecture": ArchitectureCard.of(made),
        "input": InputCard(
            size=made.input.size,
            channels=made.input.channels,
            resize=made.input.resize,
            normalisation=made.input.normalisation,
        ),
        "targets": tuple(TargetCard(head=t.head, label=t.label, **about) for t in made.targets),
        "intended_use": "Tests.",
        "limits": ("Untrained.",),
        "licence": "Apache-2.0",
    }
    return Card(**(values | changes))


def save_small(
    parent: Path, model_id: str = "small-1", *, seed: int = 0, scope_tensors: Any = None, **changes: Any
) -> Path:
    """A whole bundle below `parent`."""
    return save_bundle(parent, pack(small_network(seed=seed), scope_tensors), small_card(model_id, **changes))


def small_model(folder: Path, *, site_prevalence: float | None = None, **changes: Any) -> ServingModel:
    """A serving model on torch, from a bundle that it writes below `folder`."""
    bundle = open_bundle(save_small(folder, **changes))
    return ServingModel(bundle, engine="torch", device="cpu", site_prevalence=site_prevalence)


def radiograph(pixels: NDArray[Any], **changes: Any) -> Radiograph:
    """A frontal chest by its header. `changes`: fields of the radiograph, or `metadata` for its header's."""
    stated: dict[str, Any] = {
        "format": "DICOM",
        "modality": "DX",
        "body_part": "CHEST",
        "view": View.PA,
        "age_years": 4.0,
    }
    stated |= changes.pop("metadata", {})
    values = np.array(pixels, np.float32)
    digest = hashlib.sha256(values.tobytes()).hexdigest()
    return Radiograph(values, digest, Metadata(**stated), **changes)


def phantom_radiograph(seed: int = 3, size: int = 128, **changes: Any) -> Radiograph:
    """A phantom as a radiograph."""
    return radiograph(make_phantom(seed, size=size).pixels, **changes)
