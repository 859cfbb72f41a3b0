"""The classifier: a backbone, global average pooling, and one linear head a vocabulary. It carries its labels."""

from __future__ import annotations

import torch
from torch import nn

from cxrviewer.classifiers.architecture import Architecture
from cxrviewer.classifiers.backbones import backbone
from cxrviewer.classifiers.targets import Target, index_of, known, parse_target

__all__ = ["Architecture", "Classifier", "Target", "index_of", "known", "parse_target"]


class Classifier(nn.Module):
    """(N, C, S, S) float32, standardised -> (N, K) logits, K targets in the architecture's order.

    Every head is linear after global average pooling, so a label's Grad-CAM has a closed form:
    the class weights times the feature maps (Zhou et al., CVPR 2016).
    """

    def __init__(self, architecture: Architecture, pretrained: bool = False) -> None:
        super().__init__()
        entry = backbone(architecture.backbone)
        self.architecture = architecture
        self.backbone = entry.build(architecture.input.channels, pretrained)
        self.dropout = nn.Dropout(architecture.dropout)
        self.heads = nn.ModuleDict(
            {head.value: nn.Linear(entry.width, len(labels)) for head, labels in architecture.heads}
        )

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every logit, in output order."""
        return self.architecture.targets

    @property
    def feature_layer(self) -> nn.Module:
        """The module whose output is what `features` returns."""
        return self.backbone.get_submodule(backbone(self.architecture.backbone).feature_layer)

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, C, S, S) -> (N, F, h, w), not negative."""
        maps: torch.Tensor = self.backbone(pictures)
        return maps

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """(N, F, h, w) -> (N, K)."""
        pooled = self.dropout(features.mean((2, 3)))
        return torch.cat([head(pooled) for head in self.heads.values()], 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, C, S, S) -> (N, K) logits."""
        return self.logits(self.features(pictures))

    def head_weights(self) -> torch.Tensor:
        """(K, F): the linear heads' weights, one row a target."""
        return torch.cat([self.get_parameter(f"heads.{head}.weight") for head, _ in self.architecture.heads])

    def index(self, target: Target) -> int:
        """Which logit. Raises UnknownTargetError."""
        return index_of(self.targets, target)
