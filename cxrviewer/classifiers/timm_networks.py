"""Networks that torchvision lacks and timm has (`pip install timm`, Apache-2.0). timm is imported by the call."""

from __future__ import annotations

from typing import Any

from torch import nn

from cxrviewer.errors import ConfigurationError


def resnetv2_152(channels: int) -> nn.Sequential:
    """ResNetV2-152 (He et al., ECCV 2016: norm and ReLU before each convolution), random weights.

    (N, channels, S, S) -> (N, 2048, S / 32, S / 32), after the last norm and its ReLU. Raises ConfigurationError.
    """
    try:
        import timm
    except ImportError as exc:
        raise ConfigurationError(
            "timm is not installed, and ResNetV2-152 is one of its networks.",
            "Install it with pip install timm, or take resnet152.",
        ) from exc
    network: Any = timm.create_model(
        "resnetv2_152", pretrained=False, num_classes=0, global_pool="", in_chans=channels
    )
    features = nn.Sequential()
    features.add_module("stem", network.stem)
    for number, stage in enumerate(network.stages, 1):
        features.add_module(f"stage{number}", stage)
    features.add_module("norm", network.norm)
    return features
