"""The classifier: a backbone, pooling, and one head a vocabulary. It carries its labels."""

from __future__ import annotations

import copy
import dataclasses

import torch
from torch import nn

from cxrviewer.classifiers.architecture import Architecture
from cxrviewer.classifiers.backbones import Backbone, backbone
from cxrviewer.classifiers.heads import LINEAR, fold, last_layer, stack
from cxrviewer.classifiers.targets import Target, index_of, known, parse_target

__all__ = ["Architecture", "Classifier", "Target", "index_of", "known", "parse_target"]


class Classifier(nn.Module):
    """(N, C, S, S) float32, prepared -> (N, K) logits, K targets in the architecture's order: one a label, always.

    Where every head is linear after global average pooling (`linear`), a label's Grad-CAM has a closed form: the class
    weights times the feature maps (Zhou et al., CVPR 2016).

    A head trained under a softmax has two numbers a label inside (`two_way_logits`); its logit is their difference, and
    `folded` makes one linear layer of them for a bundle. Raises ConfigurationError, or NetworkError where published
    weights cannot be fetched.
    """

    def __init__(self, architecture: Architecture, pretrained: bool = False) -> None:
        super().__init__()
        spec = architecture.input
        self.architecture = architecture
        self.entry: Backbone = backbone(architecture.backbone, architecture.options)
        self.backbone = self.entry.build(spec.channels, pretrained, spec.size)
        self.neck = None if self.entry.neck is None else self.entry.neck(spec.size, self.entry.options)
        self.dropout = nn.Dropout(architecture.dropout)
        self.heads = nn.ModuleDict(
            {
                head.value: stack(
                    architecture.stacks.get(head, LINEAR),
                    self.entry.pooled_width,
                    len(labels) * (2 if head in architecture.two_way else 1),
                )
                for head, labels in architecture.heads
            }
        )

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every logit, in output order."""
        return self.architecture.targets

    @property
    def linear(self) -> bool:
        """True where a logit is a weighted sum of the feature maps' means."""
        return self.neck is None and all(isinstance(head, nn.Linear) for head in self.heads.values())

    @property
    def feature_layer(self) -> nn.Module:
        """The module whose output is what `features` returns."""
        return self.backbone.get_submodule(self.entry.feature_layer)

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, C, S, S) -> (N, F, h, w)."""
        maps: torch.Tensor = self.backbone(pictures)
        return maps

    def pooled(self, features: torch.Tensor) -> torch.Tensor:
        """(N, F, h, w) -> (N, P), what every head is given; dropout is part of it while training."""
        pooled = features.mean((2, 3)) if self.neck is None else self.neck(features)
        dropped: torch.Tensor = self.dropout(pooled)
        return dropped

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """(N, F, h, w) -> (N, K)."""
        pooled = self.pooled(features)
        two_way = {head.value for head in self.architecture.two_way}
        parts = []
        for name, head in self.heads.items():
            found = head(pooled)
            parts.append(found[:, 1::2] - found[:, 0::2] if name in two_way else found)
        return torch.cat(parts, 1)

    def two_way_logits(self, features: torch.Tensor) -> dict[str, torch.Tensor]:
        """For a softmax loss: (N, F, h, w) -> (N, labels, 2) for each `two_way` head, by its name; class 1: present.

        Draws dropout anew; cross-entropy of these equals binary cross-entropy of `logits`, number by number.
        """
        pooled = self.pooled(features)
        return {
            head.value: self.heads[head.value](pooled).unflatten(1, (-1, 2))
            for head, _ in self.architecture.heads
            if head in self.architecture.two_way
        }

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, C, S, S) -> (N, K) logits."""
        return self.logits(self.features(pictures))

    def folded(self) -> Classifier:
        """The same function with one number a label in every head, as a bundle holds it; itself where it is so."""
        if not self.architecture.two_way:
            return self
        network = copy.deepcopy(self)
        for head in self.architecture.two_way:
            if head.value not in network.heads:
                continue
            stacked = network.heads[head.value]
            layer = fold(last_layer(stacked))
            if isinstance(stacked, nn.Linear):
                network.heads[head.value] = layer
            else:
                stacked.add_module("out", layer)
        network.architecture = dataclasses.replace(self.architecture, two_way=frozenset())
        return network.train(self.training)

    def head_weights(self) -> torch.Tensor:
        """(K, F): the linear heads' weights, one row a target. Only where `linear`."""
        assert self.linear, "the heads are not linear in the pooled features"
        rows = []
        for head, _ in self.architecture.heads:
            weight = self.get_parameter(f"heads.{head}.weight")
            rows.append(weight[1::2] - weight[0::2] if head in self.architecture.two_way else weight)
        return torch.cat(rows)

    def index(self, target: Target) -> int:
        """Which logit. Raises UnknownTargetError."""
        return index_of(self.targets, target)
