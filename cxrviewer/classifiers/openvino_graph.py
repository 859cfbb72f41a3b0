"""A torch network as an OpenVINO model, operation by operation, in a fraction of a second.

OpenVINO's own converter traces the network with `torch.jit` (deprecated) and needs 5 s for a DenseNet-121, its way
through `torch.export` 12 s. `torch.fx` lists the same few operations in 0.2 s, and each has one counterpart: so a
model starts at once the first time too, and no converted copy lies on disk that could be damaged or exchanged.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
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
    except (UnknownOperationError, torch.fx.proxy.TraceError):
        model = openvino.convert_model(network, example_input=torch.zeros(1, *shape))
        model.reshape([-1, *shape])
        return model


def _translate(network: nn.Module, shape: Shape) -> Any:
    traced = torch.fx.symbolic_trace(network)
    values: dict[torch.fx.Node, Node] = {}
    picture = ops.parameter([-1, *shape], np.float32)

    def value(argument: object) -> Any:
        if isinstance(argument, torch.fx.Node):
            return values[argument]
        return [value(part) for part in argument] if isinstance(argument, list | tuple) else argument

    for node in traced.graph.nodes:
        arguments = [value(argument) for argument in node.args]
        if node.op == "placeholder":
            values[node] = picture
        elif node.op == "call_module":
            module = traced.get_submodule(str(node.target))
            values[node] = _known(MODULES, type(module))(module, *arguments)
        elif node.op in ("call_function", "call_method"):
            named = {name: value(argument) for name, argument in node.kwargs.items()}
            values[node] = _known(FUNCTIONS, node.target)(*arguments, **named)
        elif node.op == "output":
            outputs = arguments[0] if isinstance(arguments[0], list) else [arguments[0]]
            return openvino.Model(outputs, [picture], "classifier")
        else:
            raise UnknownOperationError(node.op)
    raise UnknownOperationError("a network without an output")


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

FUNCTIONS: dict[Any, Callable[..., Node]] = {
    torch.cat: _cat,
    operator.add: ops.add,
    operator.iadd: ops.add,
    "mean": _mean,
}
