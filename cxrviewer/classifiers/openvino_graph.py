"""A torch network as an OpenVINO model, operation by operation, in a fraction of a second.

OpenVINO's own converter traces the network with `torch.jit` (deprecated) and needs 5 s for a DenseNet-121, its way
through `torch.export` 12 s. Here the network runs once on values that write down what is done to them; it needs the
same few operations, and each has one counterpart. So a model starts at once the first time too, and no converted copy
lies on disk that could be damaged or exchanged.

`torch.fx` would list the operations as well, but meanwhile it exchanges `Module.__call__` for the whole process: a
network that another thread runs at that moment fails, or gets into the list.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from openvino import opset13 as ops
from torch import nn

Node = Any
"""A value of OpenVINO's graph; the package states no types."""
Shape = tuple[int, int, int]
"""Channels, height and width of a picture; the batch stays open until the model is reshaped."""


class UnknownOperationError(Exception):
    """The network holds an operation that the tables below lack. It never leaves this room."""


def openvino_model(network: nn.Module, shape: Shape) -> Any:
    """An `openvino.Model` (N, *shape) float32 -> the network's outputs in evaluation mode, in their order.

    network: a module with one input that returns a tensor or a tuple of them. What the tables do not know is left
    to OpenVINO's own converter.
    """
    try:
        return _translate(network, shape)
    except (UnknownOperationError, TypeError):  # TypeError: a function of torch that takes tensors alone
        model = openvino.convert_model(network, example_input=torch.zeros(1, *shape))
        model.reshape([-1, *shape])
        return model


def _translate(network: nn.Module, shape: Shape) -> Any:
    picture = ops.parameter([-1, *shape], np.float32)
    # A copy of the modules, not of their numbers: those in use stay as they are.
    own = {id(kept): kept for kept in (*network.parameters(), *network.buffers())}
    outputs = _recording(copy.deepcopy(network, own))(_Value(picture))
    listed = outputs if isinstance(outputs, list | tuple) else [outputs]
    return openvino.Model([_node(output) for output in listed], [picture], "classifier")


class _Value:
    """What flows through the network instead of numbers: a node of the graph that is being built."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def __add__(self, other: object) -> _Value:
        return _Value(ops.add(self.node, _node(other)))

    def mean(self, dim: Any, keepdim: bool = False) -> _Value:
        return _Value(_mean(self.node, dim, keepdim))

    def __bool__(self) -> bool:
        raise UnknownOperationError("a network whose way depends on the picture")

    def __getattr__(self, name: str) -> Any:
        raise UnknownOperationError(name)

    @classmethod
    def __torch_function__(
        cls, function: Any, _types: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> _Value:
        return cls(_known(FUNCTIONS, function)(*map(_plain, args), **(kwargs or {})))


class _Recorded(nn.Module):
    """Stands in for one module of torch.nn, and writes it down instead of running it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, value: object) -> _Value:
        return _Value(_known(MODULES, type(self.layer))(self.layer, _node(value)))


def _recording(module: nn.Module) -> nn.Module:
    """The module with every layer of torch.nn in it exchanged."""
    if type(module).__module__.startswith("torch.nn") and not isinstance(module, _CONTAINERS):
        return _Recorded(module)
    for name, child in list(module._modules.items()):  # named_children() leaves out what has a second name
        if child is not None:
            module.add_module(name, _recording(child))
    return module


def _node(value: object) -> Node:
    if not isinstance(value, _Value):
        raise UnknownOperationError("an operation with something that is not computed from the picture")
    return value.node


def _plain(argument: Any) -> Any:
    if isinstance(argument, list | tuple):
        return [_node(part) if isinstance(part, _Value) else part for part in argument]
    return _node(argument) if isinstance(argument, _Value) else argument


def _known(table: Mapping[Any, Callable[..., Node]], key: Any) -> Callable[..., Node]:
    if key not in table:
        raise UnknownOperationError(str(key))
    return table[key]


def _numbers(tensor: torch.Tensor) -> NDArray[np.float32]:
    return np.asarray(tensor.detach().float().cpu().contiguous().numpy())


def _pair(size: Any) -> list[int]:
    return list(size) if isinstance(size, tuple) else [size, size]


def _convolution(layer: nn.Conv2d, picture: Node) -> Node:
    if layer.groups != 1 or layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        raise UnknownOperationError("a grouped convolution, or one that pads otherwise than with zeros")
    pads = _pair(layer.padding)
    result = ops.convolution(
        picture, _numbers(layer.weight), _pair(layer.stride), pads, pads, _pair(layer.dilation)
    )
    return result if layer.bias is None else ops.add(result, _numbers(layer.bias).reshape(1, -1, 1, 1))


def _batch_norm(layer: nn.BatchNorm2d, picture: Node) -> Node:
    if layer.running_mean is None or layer.running_var is None or not layer.affine:
        raise UnknownOperationError("batch norm without statistics or weights of its own")
    scale, shift = _numbers(layer.weight), _numbers(layer.bias)
    mean, variance = _numbers(layer.running_mean), _numbers(layer.running_var)
    return ops.batch_norm_inference(picture, scale, shift, mean, variance, layer.eps)


def _linear(layer: nn.Linear, rows: Node) -> Node:
    result = ops.matmul(rows, _numbers(layer.weight), False, True)
    return result if layer.bias is None else ops.add(result, _numbers(layer.bias).reshape(1, -1))


def _max_pool(layer: nn.MaxPool2d, picture: Node) -> Node:
    if layer.ceil_mode or layer.return_indices or _pair(layer.dilation) != [1, 1]:
        raise UnknownOperationError("max pooling with dilation, indices or a rounded-up size")
    pads = _pair(layer.padding)
    pooled = ops.max_pool(
        picture, _pair(layer.stride), [1, 1], pads, pads, _pair(layer.kernel_size), "floor", "explicit"
    )
    return pooled.output(0)  # the other one is the index of each largest value


def _average_pool(layer: nn.AvgPool2d, picture: Node) -> Node:
    if layer.ceil_mode or _pair(layer.padding) != [0, 0] or layer.divisor_override is not None:
        raise UnknownOperationError("average pooling with padding or a divisor of its own")
    size, stride = _pair(layer.kernel_size), _pair(layer.stride)

    def pooled(value: Node) -> Node:
        return ops.avg_pool(value, stride, [0, 0], [0, 0], size, True, "floor", "explicit")

    if not _mixes_channels_only(picture):
        return pooled(picture)
    # Both are linear and the convolution never looks beside its pixel, so the order is free: pooled first, it has
    # a quarter of the pixels (a DenseNet's transitions are a tenth of its work).
    before, weights = (picture.input_value(number) for number in range(2))
    return ops.convolution(pooled(before), weights, [1, 1], [0, 0], [0, 0], [1, 1])


def _mixes_channels_only(value: Node) -> bool:
    """True for a 1 x 1 convolution of stride 1 without a bias."""
    if value.get_type_name() != "Convolution":
        return False
    how = value.get_attributes()
    pads = [*how["pads_begin"], *how["pads_end"]]
    return list(value.input_value(1).get_shape())[2:] == list(how["strides"]) == [1, 1] and not any(pads)


def _same(_layer: nn.Module, value: Node) -> Node:
    return value


def _mean(value: Node, dim: Any, keepdim: bool = False) -> Node:
    return ops.reduce_mean(value, np.asarray(dim, np.int64).reshape(-1), keepdim)


def _cat(values: list[Node], dim: int = 0) -> Node:
    return values[0] if len(values) == 1 else ops.concat(values, dim)


MODULES: dict[type[nn.Module], Callable[..., Node]] = {
    nn.Conv2d: _convolution,
    nn.BatchNorm2d: _batch_norm,
    nn.ReLU: lambda _layer, value: ops.relu(value),
    nn.Linear: _linear,
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _average_pool,
    nn.Dropout: _same,
    nn.Identity: _same,
}

FUNCTIONS: dict[Any, Callable[..., Node]] = {torch.cat: _cat}

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
