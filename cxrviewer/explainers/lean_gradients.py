"""The same DenseNet with a cheaper backward pass, for gradients of the input alone.

Much of an eager pass goes to moving numbers about: each dense layer joins all maps before it into a new tensor and
normalises them in several passes. Here a dense block writes into one buffer, a frozen batch norm is one multiply-add
or part of the convolution before it, and what is kept for the way back is only what a ReLU passed. Values are those
of the eager network up to rounding. Figures: docs/decisions/0015-explanations.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import conv2d

from cxrviewer.classifiers.classifier import Classifier
from cxrviewer.classifiers.densenet import DenseBlock, DenseLayer, Transition

Network = Callable[[torch.Tensor], torch.Tensor]
"""(N, C, S, S) -> (N, K) logits."""


@dataclass(frozen=True, eq=False)
class _Affine:
    """A batch norm in evaluation mode: scale and shift, (1, C, 1, 1) each."""

    scale: torch.Tensor
    shift: torch.Tensor

    @classmethod
    def of(cls, norm: nn.BatchNorm2d) -> _Affine:
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * scale
        return cls(scale[None, :, None, None], shift[None, :, None, None])

    def rectified(self, maps: torch.Tensor) -> torch.Tensor:
        """relu(norm(maps)), a new tensor."""
        return torch.addcmul(self.shift, maps, self.scale).relu_()

    def back(self, gradient: torch.Tensor, passed: torch.Tensor) -> torch.Tensor:
        """Gradient of `rectified`'s argument, given that of its value and the value. May write into `gradient`."""
        return _rectifier_back(gradient, passed).mul_(self.scale)


def _rectifier_back(gradient: torch.Tensor, passed: torch.Tensor) -> torch.Tensor:
    """Zero where the ReLU passed nothing; in place, because new memory costs as much as the sum itself."""
    found: torch.Tensor = torch.ops.aten.threshold_backward.grad_input(
        gradient, passed, 0, grad_input=gradient
    )
    return found


def _convolution_back(
    gradient: torch.Tensor, seen: torch.Tensor, weight: torch.Tensor, padding: int
) -> torch.Tensor:
    """Gradient of a convolution's input, stride 1. `seen`: that input; only its shape matters."""
    found: tuple[torch.Tensor, ...] = torch.ops.aten.convolution_backward(
        gradient,
        seen,
        weight,
        None,
        [1, 1],
        [padding, padding],
        [1, 1],
        False,
        [0, 0],
        1,
        [True, False, False],
    )
    return found[0]


class _Layer:
    """One dense layer: norm, ReLU, 1 x 1, norm, ReLU, 3 x 3. The second norm is folded into the 1 x 1."""

    def __init__(self, layer: DenseLayer) -> None:
        self.first, second = _Affine.of(layer.norm1), _Affine.of(layer.norm2)
        narrow = layer.conv1.weight * second.scale.transpose(0, 1)
        self.narrow, self.shift = narrow.contiguous(memory_format=torch.channels_last), second.shift.flatten()
        self.wide: torch.Tensor = layer.conv2.weight

    @property
    def growth(self) -> int:
        """How many maps it adds."""
        return self.wide.shape[0]

    def forward(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Maps so far -> new maps, and what both ReLUs passed."""
        passed = self.first.rectified(maps)
        narrowed = conv2d(passed, self.narrow, self.shift).relu_()
        return conv2d(narrowed, self.wide, padding=1), passed, narrowed

    def back(self, gradient: torch.Tensor, passed: torch.Tensor, narrowed: torch.Tensor) -> torch.Tensor:
        """Gradient of the new maps -> what it adds to that of the maps so far."""
        inner = _rectifier_back(_convolution_back(gradient, narrowed, self.wide, 1), narrowed)
        return self.first.back(_convolution_back(inner, passed, self.narrow, 0), passed)


class _Block(torch.autograd.Function):
    """A dense block in one buffer, (N, all its channels, h, w)."""

    @staticmethod
    def forward(ctx: Any, maps: torch.Tensor, layers: list[_Layer]) -> torch.Tensor:
        count, start, height, width = maps.shape
        grown = sum(layer.growth for layer in layers)
        buffer = torch.empty(
            (count, start + grown, height, width),
            dtype=maps.dtype, device=maps.device, memory_format=torch.channels_last,
        )  # fmt: skip
        buffer[:, :start] = maps
        kept, filled = [], start
        for layer in layers:
            new, passed, narrowed = layer.forward(buffer[:, :filled])
            buffer[:, filled : filled + new.shape[1]] = new
            filled += new.shape[1]
            kept += [passed, narrowed]
        ctx.save_for_backward(*kept)
        ctx.layers, ctx.start = layers, start
        return buffer

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        total = gradient.clone(memory_format=torch.channels_last)
        end = total.shape[1]
        for number in reversed(range(len(ctx.layers))):
            layer: _Layer = ctx.layers[number]
            begin = end - layer.growth
            new = total[:, begin:end].contiguous(memory_format=torch.channels_last)
            passed, narrowed = ctx.saved_tensors[2 * number : 2 * number + 2]
            total[:, :begin] += layer.back(new, passed, narrowed)
            end = begin
        return total[:, : ctx.start], None


class _Rectify(torch.autograd.Function):
    """A frozen batch norm and its ReLU."""

    @staticmethod
    def forward(ctx: Any, maps: torch.Tensor, affine: _Affine) -> torch.Tensor:
        passed = affine.rectified(maps)
        ctx.save_for_backward(passed)
        ctx.affine = affine
        return passed

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.affine.back(gradient.clone(), ctx.saved_tensors[0]), None


def lean(network: Classifier) -> Network:
    """The network's own function with a cheaper way back, where its backbone is a DenseNet; else the network.

    For a network in evaluation mode whose weights stay as they are while the answer is in use.
    """
    parts = dict(network.backbone.named_children())
    if not any(isinstance(part, DenseBlock) for part in parts.values()):
        return network
    with torch.no_grad():
        steps = [step for name in parts for step in _steps(name, parts)]

    def run(pictures: torch.Tensor) -> torch.Tensor:
        maps = pictures
        for step in steps:
            maps = step(maps)
        return network.logits(maps)

    return run


def _steps(name: str, parts: dict[str, nn.Module]) -> list[Network]:
    """What one child of a DenseNet's features becomes."""
    part = parts[name]
    if isinstance(part, DenseBlock):
        layers = [_Layer(layer) for layer in part.layers()]
        return [lambda maps: _Block.apply(maps, layers)]
    if isinstance(part, Transition):
        # Pooled first, the 1 x 1 convolution has a quarter of the pixels; both are linear, so the order is free.
        return [_rectify(part.norm), part.pool, part.conv]
    if isinstance(part, nn.BatchNorm2d):
        return [_rectify(part)]
    # Its ReLU was taken with the batch norm before it.
    return [] if isinstance(part, nn.ReLU) else [part]


def _rectify(norm: nn.BatchNorm2d) -> Network:
    affine = _Affine.of(norm)
    return lambda maps: _Rectify.apply(maps, affine)
