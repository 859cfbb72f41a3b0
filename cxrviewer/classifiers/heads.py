"""STACKS: what lies between the pooled features and a head's logits."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from cxrviewer.errors import ConfigurationError


def _linear(width: int, outputs: int) -> nn.Module:
    return nn.Linear(width, outputs)


def _dense_128(width: int, outputs: int) -> nn.Module:
    stack = nn.Sequential()
    stack.add_module("dense", nn.Linear(width, 128))
    stack.add_module("relu", nn.ReLU(inplace=False))
    stack.add_module("drop", nn.Dropout(0.1))
    stack.add_module("out", nn.Linear(128, outputs))
    return stack


def _dense_512_128_32(width: int, outputs: int) -> nn.Module:
    """Norm after the activation, in the order of the Keras notebooks that this repeats."""
    stack, before = nn.Sequential(), width
    for units in (512, 128, 32):
        stack.add_module(f"dense{units}", nn.Linear(before, units))
        stack.add_module(f"relu{units}", nn.ReLU(inplace=False))
        if units > 32:
            stack.add_module(f"norm{units}", nn.BatchNorm1d(units))
        before = units
    stack.add_module("out", nn.Linear(before, outputs))
    return stack


LINEAR = "linear"
STACKS: dict[str, Callable[[int, int], nn.Module]] = {
    LINEAR: _linear,
    "dense-128": _dense_128,
    "dense-512-128-32": _dense_512_128_32,
}
"""Each: (width of the pooled features, outputs) -> (N, width) to (N, outputs)."""


def stack(name: str, width: int, outputs: int) -> nn.Module:
    """The head of that stack. Raises ConfigurationError with the names there are."""
    if name not in STACKS:
        raise ConfigurationError(f"There is no head called {name}.", f"Choose one of {', '.join(STACKS)}.")
    return STACKS[name](width, outputs)


def last_layer(head: nn.Module) -> nn.Linear:
    """The layer that gives the head's numbers."""
    found = head if isinstance(head, nn.Linear) else head.get_submodule("out")
    assert isinstance(found, nn.Linear)
    return found


def fold(layer: nn.Linear) -> nn.Linear:
    """Two numbers a label, (negative, positive) in turn -> their difference, one number a label.

    sigmoid(positive - negative) is the softmax's second share, so nothing of an answer changes.
    """
    folded = nn.Linear(layer.in_features, layer.out_features // 2, device=layer.weight.device)
    with torch.no_grad():
        folded.weight.copy_(layer.weight[1::2] - layer.weight[0::2])
        folded.bias.copy_(layer.bias[1::2] - layer.bias[0::2])
    return folded
