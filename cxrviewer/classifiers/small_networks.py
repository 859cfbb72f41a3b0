"""Networks small enough to be written out: tiny (tests, first tries), the small CNN, a ResNet of chosen depth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn

DENSE = 64
"""Units of the small CNN's dense layer."""


def tiny(channels: int) -> nn.Sequential:
    """(N, channels, S, S) -> (N, 32, S / 8, S / 8)."""
    features = nn.Sequential()
    widths = (channels, 8, 16, 32)
    for index in range(3):
        features.add_module(f"conv{index}", nn.Conv2d(widths[index], widths[index + 1], 3, 2, 1, bias=False))
        features.add_module(f"norm{index}", nn.BatchNorm2d(widths[index + 1]))
        features.add_module(f"relu{index}", nn.ReLU(inplace=False))
    return features


def small_cnn(channels: int) -> nn.Sequential:
    """Three 3 x 3 convolutions without padding, 32, 64 and 64 maps, each with a ReLU; the features are the last.

    With its neck, the network that Keras' tutorial on little data made common (F. Chollet, 2016), as it is repeated on
    Kermany's pictures. (N, channels, S, S) -> (N, 64, about S / 4, S / 4).
    """
    features = nn.Sequential()
    widths = (channels, 32, 64, 64)
    for index in range(3):
        features.add_module(f"conv{index}", nn.Conv2d(widths[index], widths[index + 1], 3))
        features.add_module(f"relu{index}", nn.ReLU(inplace=False))
        if index < 2:
            features.add_module(f"pool{index}", nn.MaxPool2d(2))
    return features


def small_cnn_neck(size: int) -> nn.Sequential:
    """(N, 64, h, w) of pictures of that side -> (N, 64): the third pooling, and 64 units that see every place.

    Not a mean over places, so the network takes one size only.
    """
    side = size
    for _ in range(3):
        side = (side - 2) // 2
    neck = nn.Sequential()
    neck.add_module("pool", nn.MaxPool2d(2))
    neck.add_module("flat", nn.Flatten())
    neck.add_module("dense", nn.Linear(64 * side * side, DENSE))
    neck.add_module("relu", nn.ReLU(inplace=False))
    return neck


class SideBySide(nn.Module):
    """(N, C, S, S) -> (N, sum of the members' widths, h, w): the maps of several networks of the same grid."""

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.count = 0
        for member in members:
            self.add_module(f"member{self.count}", member)
            self.count += 1
        self.together = nn.Identity()

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """One member after the other."""
        maps = [self.get_submodule(f"member{number}")(pictures) for number in range(self.count)]
        joined: torch.Tensor = self.together(torch.cat(maps, 1))
        return joined


class Residual(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al., CVPR 2016).

    (N, before, h, w) -> (N, width, h / stride, w / stride).
    """

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=False)
        same = before == width and stride == 1
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """What the convolutions add to the maps, after a ReLU."""
        added = self.norm2(self.conv2(self.relu(self.norm1(self.conv1(maps)))))
        result: torch.Tensor = self.relu(added + self.shortcut(maps))
        return result


def resnet_blocks(channels: int, blocks: Sequence[int], widths: Sequence[int]) -> nn.Sequential:
    """(N, channels, S, S) -> (N, widths[-1], h, w), h = S / 4 / 2 ^ (stages - 1): the usual stem, then the stages."""
    features = nn.Sequential()
    features.add_module("conv1", nn.Conv2d(channels, widths[0], 7, 2, 3, bias=False))
    features.add_module("norm1", nn.BatchNorm2d(widths[0]))
    features.add_module("relu1", nn.ReLU(inplace=False))
    features.add_module("pool1", nn.MaxPool2d(3, 2, 1))
    before = widths[0]
    for number, (count, width) in enumerate(zip(blocks, widths, strict=True), 1):
        stage = nn.Sequential()
        for index in range(count):
            stage.add_module(f"block{index}", Residual(before, width, 2 if number > 1 and index == 0 else 1))
            before = width
        features.add_module(f"stage{number}", stage)
    # After the last block's own ReLU it changes nothing; it is used once, so that Grad-CAM can hang on it.
    features.add_module("relu5", nn.ReLU(inplace=False))
    for module in features.modules():
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return features
