"""Learning from finished networks: one network is taught what several agree on (Hinton et al., arXiv 1503.02531).

Teachers and pupil see the same changed picture (Beyer et al., CVPR 2022): what a teacher says of a picture that it
knows by heart teaches little, what it says of one that nobody has seen before does. Averaging stays in here: the
network that is published is a single one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import interpolate

from cxrviewer.classifiers.classifier import Classifier
from cxrviewer.classifiers.preparing import standardise
from cxrviewer.classifiers.targets import Target
from cxrviewer.errors import ConfigurationError


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


def teachers(networks: Sequence[Classifier], targets: tuple[Target, ...], channels: int) -> Teachers:
    """Raises ConfigurationError where a network shares no target with the pupil, or takes other channels."""
    for network in networks:
        if not set(network.targets) & set(targets):
            raise ConfigurationError("A teacher knows none of the run's labels.", "Choose another one.")
        if network.architecture.input.channels != channels:
            raise ConfigurationError(
                "A teacher takes pictures of other channels.", "Choose one that takes as many."
            )
    return Teachers(tuple(network.eval().requires_grad_(False) for network in networks), targets)


def taught_targets(targets: torch.Tensor, told: torch.Tensor, weight: float, unstated: bool) -> torch.Tensor:
    """(N, K) of 1, 0, NaN and (N, K) probabilities or NaN -> (N, K) in [0, 1] or NaN.

    weight: how much the teachers count where a label is stated as well. unstated: whether they alone count where it is
    not; otherwise it stays unstated.
    """
    both = torch.where(told.isnan(), targets, (1 - weight) * targets + weight * told)
    return torch.where(targets.isnan(), told, both) if unstated else both


def _at(pictures: torch.Tensor, network: Classifier) -> torch.Tensor:
    size = network.architecture.input.size
    if pictures.shape[-1] == size:
        return pictures
    return standardise(interpolate(pictures, (size, size), mode="bilinear", antialias=True))
