"""The feature parts of DenseNets (Huang et al., CVPR 2017; arXiv 1608.06993), their weights named as torchvision does.

torchvision's own is the same function; a test holds the two together, weight by weight and value by value. Importing
torchvision brings its detection and video models and through them torch's compiler: 160 MB and half of the time until
the first answer, for a network that needs none of it. It is imported where its published weights are asked for.
"""

from __future__ import annotations

import torch
from torch import nn

GROWTH, NARROW = 32, 128
"""Maps that each layer adds, and maps between its two convolutions."""
DEPTHS = {"densenet121": (6, 12, 24, 16), "densenet169": (6, 12, 32, 32)}
"""Layers in each of the four blocks."""
FIRST = 64
"""Maps after the first convolution."""


class DenseLayer(nn.Module):
    """(N, C, h, w) -> (N, GROWTH, h, w): what one layer adds to the maps before it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(channels, NARROW, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(NARROW)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(NARROW, GROWTH, 3, padding=1, bias=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """The layer's own maps alone."""
        narrow = self.conv1(self.relu1(self.norm1(maps)))
        added: torch.Tensor = self.conv2(self.relu2(self.norm2(narrow)))
        return added


class DenseBlock(nn.ModuleDict):
    """(N, C, h, w) -> (N, C + layers * GROWTH, h, w): each layer sees all maps before it."""

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__({f"denselayer{i + 1}": DenseLayer(channels + i * GROWTH) for i in range(layers)})

    def layers(self) -> tuple[DenseLayer, ...]:
        """In the order in which they run."""
        return tuple(layer for layer in self.values() if isinstance(layer, DenseLayer))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """All maps, the block's input first."""
        for layer in self.layers():
            # Two parts at a time: a processor copies one long run of maps faster than many short ones.
            maps = torch.cat([maps, layer(maps)], 1)
        return maps


class Transition(nn.Sequential):
    """(N, C, h, w) -> (N, C / 2, h / 2, w / 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.pool = nn.AvgPool2d(2, 2)


def densenet(name: str, channels: int) -> nn.Sequential:
    """(N, channels, S, S) -> (N, 1024 or 1664, S / 32, S / 32), not negative, with random weights.

    torchvision applies its last ReLU as an in-place function; here it is a module and not in place, so that Grad-CAM
    and captum see its output.
    """
    features = densenet_features(name, channels)
    features.add_module("relu5", nn.ReLU(inplace=False))
    return features


def densenet_features(name: str, channels: int) -> nn.Sequential:
    """(N, channels, S, S) -> (N, F, S / 32, S / 32), with random weights. It ends in the last batch norm."""
    depths, features = DEPTHS[name], nn.Sequential()
    features.add_module("conv0", nn.Conv2d(channels, FIRST, 7, 2, 3, bias=False))
    features.add_module("norm0", nn.BatchNorm2d(FIRST))
    features.add_module("relu0", nn.ReLU(inplace=True))
    features.add_module("pool0", nn.MaxPool2d(3, 2, 1))
    width = FIRST
    for number, layers in enumerate(depths, 1):
        features.add_module(f"denseblock{number}", DenseBlock(width, layers))
        width += layers * GROWTH
        if number < len(depths):
            features.add_module(f"transition{number}", Transition(width))
            width //= 2
    features.add_module("norm5", nn.BatchNorm2d(width))
    for module in features.modules():
        # Without memory there is nothing to fill, and torch's way of filling it would import its compiler.
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight)
    return features
