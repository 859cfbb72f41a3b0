"""Networks whose answer is known by hand, behind the same door as trained ones."""

from __future__ import annotations

import torch
from torch import nn

from cxrviewer.classifiers.classifier import Architecture, Classifier
from cxrviewer.classifiers.preparing import InputSpec
from cxrviewer.classifiers.serving import ServingClassifier
from cxrviewer.labels import Head

LABELS = ("first", "second")


class Weigh(nn.Module):
    """(N, 1, S, S) -> (N, 1, S, S): every pixel times its own weight. Not rectified, so linear."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights[None, None])

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures * self.weights


class Above(nn.Module):
    """(N, 1, S, S) -> (N, 1, S, S): by how much a pixel is brighter than `level` deviations above the mean."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level = level

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.relu(pictures - self.level)


class Handmade(Classifier):
    """Two targets: `first` is the sum of the backbone's output, `second` is minus twice that."""

    def __init__(self, backbone: nn.Module, size: int) -> None:
        nn.Module.__init__(self)
        self.architecture = Architecture("tiny", ((Head.FINDINGS, LABELS),), InputSpec(size))
        self.backbone, self.neck = backbone, None
        self.dropout = nn.Dropout(0.0)
        head = nn.Linear(1, 2)
        with torch.no_grad():
            # Times the number of places, because pooling divides by it.
            head.weight.copy_(torch.tensor([[1.0], [-2.0]]) * size**2)
            head.bias.zero_()
        self.heads = nn.ModuleDict({Head.FINDINGS.value: head})


def serving(network: Classifier) -> ServingClassifier:
    """Behind the door, on torch and the CPU."""
    return ServingClassifier(
        network, model_id="handmade", weights_sha256="0" * 64, engine="torch", device="cpu"
    )


def handmade(backbone: nn.Module, size: int = 24) -> ServingClassifier:
    """A handmade network, served."""
    return serving(Handmade(backbone, size))
