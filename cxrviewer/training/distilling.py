"""Learning from finished networks: one network is taught what several agree on (Hinton et al., arXiv 1503.02531).

Teachers and pupil see the same changed picture (Beyer et al., CVPR 2022): what a teacher says of a picture that it
knows by heart teaches little, what it says of one that nobody has seen before does. Averaging stays in here: the
network that is published is a single one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.functional import interpolate

from cxrviewer.classifiers.architecture import Architecture, InputSpec
from cxrviewer.classifiers.bundle import Bundle, open_bundle
from cxrviewer.classifiers.classifier import Classifier
from cxrviewer.classifiers.preparing import standardise
from cxrviewer.classifiers.registry import find
from cxrviewer.classifiers.targets import Target
from cxrviewer.errors import ConfigurationError
from cxrviewer.settings import Settings
from cxrviewer.training.config import TrainingConfig
from cxrviewer.training.material import Material
from cxrviewer.training.starting import refuse_leak


@dataclass(frozen=True, eq=False)
class Teachers:
    """Frozen networks, each asked at its own picture size.

    targets: what the K columns of an answer mean. A plain value and no module: its weights are in no checkpoint.
    """

    networks: tuple[Classifier, ...]
    targets: tuple[Target, ...]

    def to(self, device: torch.device) -> None:
        """Move the networks to where the pictures are."""
        for network in self.networks:
            network.to(device)

    @torch.no_grad()
    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, C, S, S), standardised -> (N, K): the mean of the probabilities of those that know a target, else NaN."""
        answers = pictures.new_full((len(self.networks), len(pictures), len(self.targets)), torch.nan)
        for answer, network in zip(answers, self.networks, strict=True):
            known = [k for k, target in enumerate(self.targets) if target in network.targets]
            columns = [network.index(self.targets[k]) for k in known]
            answer[:, known] = network(_at(pictures, network)).float().sigmoid()[:, columns]
        return answers.nanmean(0)


def teachers_of(
    config: TrainingConfig, material: Material, pupil: Architecture, settings: Settings
) -> Teachers | None:
    """The networks that a recipe names; None where it names none.

    Raises NotFoundError or ModelBundleError, SplitError where one has learnt a picture that this run judges by,
    ConfigurationError where one cannot teach this pupil.
    """
    found = [_teacher(name, material, settings) for name in config.distillation.teachers]
    return teachers([bundle.classifier() for bundle in found], pupil) if found else None


def _teacher(name: str, material: Material, settings: Settings) -> Bundle:
    folder = Path(name) if Path(name).is_dir() else find(name, settings)
    refuse_leak(material, folder)
    bundle = open_bundle(folder)
    if bundle.card.task != "classification":
        raise ConfigurationError(
            f"Model {bundle.card.id} is a {bundle.card.task} model.",
            "Name classification models as teachers.",
        )
    return bundle


def teachers(networks: Sequence[Classifier], pupil: Architecture) -> Teachers:
    """Raises ConfigurationError where a network shares no target with the pupil, or is shown pictures otherwise."""
    for network in networks:
        if not set(network.targets) & set(pupil.targets):
            raise ConfigurationError(
                "A teacher knows none of the run's labels.", "Choose another one, or other heads."
            )
        if _prepared(network.architecture.input) != _prepared(pupil.input):
            raise ConfigurationError(
                "A teacher is shown pictures that are prepared otherwise than this run's.",
                "Use the preparation of its card, or another teacher.",
            )
    return Teachers(tuple(network.eval().requires_grad_(False) for network in networks), pupil.targets)


def _prepared(spec: InputSpec) -> tuple[object, ...]:
    return spec.channels, spec.resize, spec.normalisation, spec.harmonise, spec.lungs


def taught_targets(targets: torch.Tensor, told: torch.Tensor, weight: float, unstated: bool) -> torch.Tensor:
    """(N, K) of 1, 0, NaN and (N, K) probabilities or NaN -> (N, K) in [0, 1] or NaN.

    weight: how much the teachers count where a label is stated as well. unstated: whether they alone count where it is
    not; otherwise it stays unstated.
    """
    both = torch.where(told.isnan(), targets, (1 - weight) * targets + weight * told)
    return torch.where(targets.isnan(), told, both) if unstated else both


def _at(pictures: torch.Tensor, network: Classifier) -> torch.Tensor:
    """The pictures at the teacher's size. Reducing commutes with every normalisation but the one by each picture's own
    deviation, which is done again."""
    spec = network.architecture.input
    if pictures.shape[-1] == spec.size:
        return pictures
    smaller = interpolate(pictures, (spec.size, spec.size), mode="bilinear", antialias=True)
    return standardise(smaller) if spec.normalisation == "per-image" else smaller
