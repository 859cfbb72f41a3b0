"""BACKBONES: the networks to choose from. Each ends in a ReLU module whose output is the feature layer.

torchvision's DenseNet applies its last ReLU as an in-place function; here it is a module and not in place, so
that Grad-CAM and captum see its output. torchvision itself is imported by the entries that need it (densenet.py says
what that costs).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from cxrviewer.classifiers.densenet import densenet121_features
from cxrviewer.errors import ConfigurationError


@dataclass(frozen=True)
class Backbone:
    """One entry of the table.

    build(channels, pretrained): a module (N, channels, S, S) -> (N, width, h, w), features after the last ReLU.
    middle: name of the submodule whose output (N, middle_width, S/16, S/16) auxiliary tasks in training use.
    """

    build: Callable[[int, bool], nn.Module]
    width: int
    feature_layer: str
    middle: str
    middle_width: int


def _first_convolution(convolution: nn.Module | torch.Tensor, channels: int) -> nn.Conv2d:
    """The same convolution for another number of channels; pretrained colour weights are summed into grey."""
    assert isinstance(convolution, nn.Conv2d)
    if convolution.in_channels == channels:
        return convolution
    # Every network in the table begins with a 7 x 7 convolution of stride 2.
    new = nn.Conv2d(channels, convolution.out_channels, 7, stride=2, padding=3, bias=False)
    with torch.no_grad():
        summed = convolution.weight.sum(1, keepdim=True) / channels
        new.weight.copy_(summed.expand_as(new.weight))
    return new


def _densenet121(channels: int, pretrained: bool) -> nn.Module:
    if pretrained:
        import torchvision

        published = torchvision.models.densenet121(weights="IMAGENET1K_V1").features
        features = densenet121_features(3)
        features.load_state_dict(published.state_dict())
        features.conv0 = _first_convolution(features.conv0, channels)
    else:
        features = densenet121_features(channels)
    features.add_module("relu5", nn.ReLU(inplace=False))
    return features


def _resnet(name: str) -> Callable[[int, bool], nn.Module]:
    def build(channels: int, pretrained: bool) -> nn.Module:
        import torchvision

        net = torchvision.models.get_model(name, weights="DEFAULT" if pretrained else None)
        net.conv1 = _first_convolution(net.conv1, channels)
        parts = {part: module for part, module in net.named_children() if part not in ("avgpool", "fc")}
        features = nn.Sequential()
        for part, module in parts.items():
            features.add_module(part, module)
        # The last block's ReLU is in place and shared by three uses; after it a ReLU changes nothing.
        features.add_module("relu5", nn.ReLU(inplace=False))
        return features

    return build


def _tiny(channels: int, pretrained: bool) -> nn.Module:
    if pretrained:
        raise ConfigurationError(
            "The tiny network has no published weights.", "Start it from random weights."
        )
    features = nn.Sequential()
    widths = (channels, 8, 16, 32)
    for index in range(3):
        features.add_module(f"conv{index}", nn.Conv2d(widths[index], widths[index + 1], 3, 2, 1, bias=False))
        features.add_module(f"norm{index}", nn.BatchNorm2d(widths[index + 1]))
        features.add_module(f"relu{index}", nn.ReLU(inplace=False))
    return features


BACKBONES: dict[str, Backbone] = {
    "densenet121": Backbone(_densenet121, 1024, "relu5", "denseblock3", 1024),
    "resnet18": Backbone(_resnet("resnet18"), 512, "relu5", "layer3", 256),
    "resnet50": Backbone(_resnet("resnet50"), 2048, "relu5", "layer3", 1024),
    "tiny": Backbone(_tiny, 32, "relu2", "relu2", 32),
}


def backbone(name: str) -> Backbone:
    """The entry of that name. Raises ConfigurationError with the names there are."""
    if name not in BACKBONES:
        raise ConfigurationError(
            f"There is no backbone called {name}.", f"Choose one of {', '.join(BACKBONES)}."
        )
    return BACKBONES[name]
