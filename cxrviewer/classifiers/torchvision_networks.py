"""The feature parts of torchvision's networks, their weights named as torchvision names them (less `features.`).

torchvision is imported by the call, not with this file: densenet.py says what that costs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

_AROUND = ("avgpool", "fc", "AuxLogits", "dropout")
"""What torchvision's ResNets and Inception hold besides features."""


def build(name: str, channels: int) -> nn.Sequential:
    """The features of torchvision's network of that name, random weights. (N, channels, S, S) -> (N, F, h, w)."""
    import torchvision

    arguments: dict[str, Any] = {"weights": None}
    if name == "inception_v3":
        # Its own way of filling takes many seconds.
        arguments |= {"aux_logits": False, "init_weights": False}
    network = torchvision.models.get_model(name, **arguments)
    if hasattr(network, "features"):
        features = nn.Sequential(*network.features)
        if name.startswith("convnext"):
            features.add_module("norm", network.classifier[0])
    else:
        features = nn.Sequential()
        for part, module in network.named_children():
            if part not in _AROUND:
                features.add_module(part, module)
        # The last block's ReLU is in place, or no module; after it a ReLU changes nothing.
        features.add_module("relu5", nn.ReLU(inplace=False))
    first_convolution(features, channels)
    return features


def first_convolution(features: nn.Module, channels: int) -> None:
    """Exchange the first convolution for one that takes so many channels; with weights of its own."""
    for name, module in features.named_modules():
        if isinstance(module, nn.Conv2d):
            if module.in_channels != channels:
                parent, _, leaf = name.rpartition(".")
                features.get_submodule(parent).add_module(leaf, _like(module, channels))
            return


def _like(old: nn.Conv2d, channels: int) -> nn.Conv2d:
    assert isinstance(old.padding, tuple)
    size, stride, padding = (tuple(pair) for pair in (old.kernel_size, old.stride, old.padding))
    new = nn.Conv2d(channels, old.out_channels, size, stride, padding, bias=old.bias is not None)  # type: ignore[arg-type]
    if not new.weight.is_meta:
        with torch.no_grad():  # the same spread of the sums as with three channels
            new.weight.normal_(0, float(old.weight.std()) * (old.in_channels / channels) ** 0.5)
    return new
