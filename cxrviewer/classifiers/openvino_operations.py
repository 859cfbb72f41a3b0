"""MODULES and FUNCTIONS: torch's layers and functions, each as OpenVINO has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from openvino import opset13 as ops
from torch import nn
from torch.nn import functional

Node = Any
"""A value of OpenVINO's graph; the package states no types."""


class UnknownOperationError(Exception):
    """The network holds an operation that the tables below lack. It never leaves this room."""


def sides(node: Node) -> tuple[int, ...]:
    """Of a node with one output, or of one of several; -1 where a side is open."""
    shape = node.get_output_partial_shape(0) if hasattr(node, "outputs") else node.get_partial_shape()
    return tuple(side.get_length() if side.is_static else -1 for side in shape)


def array_of(tensor: torch.Tensor) -> NDArray[np.float32]:
    """A weight as OpenVINO takes it: float32, on the CPU."""
    return np.asarray(tensor.detach().float().cpu().contiguous().numpy())


def _pair(size: Any) -> list[int]:
    return list(size) if isinstance(size, tuple | list) else [size, size]


def _convolution(layer: nn.Conv2d, picture: Node) -> Node:
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        raise UnknownOperationError("a convolution that pads otherwise than with zeros")
    pads, weight = _pair(layer.padding), array_of(layer.weight)
    how = (_pair(layer.stride), pads, pads, _pair(layer.dilation))
    if layer.groups == 1:
        result = ops.convolution(picture, weight, *how)
    else:
        grouped = weight.reshape(layer.groups, -1, *weight.shape[1:])
        result = ops.group_convolution(picture, grouped, *how)
    return result if layer.bias is None else ops.add(result, array_of(layer.bias).reshape(1, -1, 1, 1))


def _batch_norm(layer: nn.BatchNorm2d, picture: Node) -> Node:
    return _batch_normalised(
        picture, layer.running_mean, layer.running_var, layer.weight, layer.bias, False, 0.0, layer.eps
    )


def _batch_normalised(
    value: Node,
    mean: torch.Tensor | None,
    variance: torch.Tensor | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,  # of training alone
    eps: float = 1e-5,
) -> Node:
    """In the order of torch's function."""
    if mean is None or variance is None or weight is None or bias is None or training:
        raise UnknownOperationError("batch norm without statistics or weights of its own")
    numbers = (array_of(weight), array_of(bias), array_of(mean), array_of(variance))
    return ops.batch_norm_inference(value, *numbers, eps)


def _layer_norm(layer: nn.LayerNorm, value: Node) -> Node:
    return _layer_normalised(value, layer.normalized_shape, layer.weight, layer.bias, layer.eps)


def _layer_normalised(
    value: Node,
    shape: Sequence[int],
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
) -> Node:
    axes = np.arange(-len(shape), 0, dtype=np.int64)
    result = ops.mvn(value, axes, True, eps, "inside_sqrt")
    if weight is not None:
        result = ops.multiply(result, array_of(weight))
    return result if bias is None else ops.add(result, array_of(bias))


def _linear(layer: nn.Linear, rows: Node) -> Node:
    result = ops.matmul(rows, array_of(layer.weight), False, True)
    return result if layer.bias is None else ops.add(result, array_of(layer.bias))


def _max_pool(layer: nn.MaxPool2d, picture: Node) -> Node:
    how = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    return _largest(picture, *how, layer.ceil_mode, layer.return_indices)


def _largest(
    picture: Node,
    size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Node:
    """In the order of torch's function."""
    if ceil_mode or return_indices or _pair(dilation) != [1, 1]:
        raise UnknownOperationError("max pooling with dilation, indices or a rounded-up size")
    pads, window = _pair(padding), _pair(size)
    pooled = ops.max_pool(picture, _pair(stride or size), [1, 1], pads, pads, window, "floor", "explicit")
    return pooled.output(0)  # the other one is the index of each largest value


def _averaged(
    picture: Node,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Node:
    """torch's function; padding counts as zeros that are averaged too."""
    if ceil_mode or not count_include_pad or divisor_override is not None:
        raise UnknownOperationError("average pooling that leaves out the rim, or with a divisor of its own")
    pads, window = _pair(padding), _pair(kernel_size)
    return ops.avg_pool(picture, _pair(stride or kernel_size), pads, pads, window, False, "floor", "explicit")


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


def _mean_pool(layer: nn.AdaptiveAvgPool2d, picture: Node) -> Node:
    if layer.output_size not in (1, (1, 1)):
        raise UnknownOperationError("adaptive pooling to more than one place")
    return mean_over(picture, (2, 3), True)


def permute(value: Node, order: Sequence[int]) -> Node:
    """The axes in another order."""
    return ops.transpose(value, np.array(order, np.int64))


def flatten(value: Node, start: int) -> Node:
    """Zeros keep a side as it is; what lies from `start` on becomes one."""
    return ops.reshape(value, np.array([0] * start + [-1], np.int64), True)


def part_of(value: Node, key: object) -> Node:
    """value[:, a:b:c] and the like: slices alone."""
    keys = key if isinstance(key, tuple) else (key,)
    if not all(isinstance(one, slice) for one in keys):
        raise UnknownOperationError("an index that is no slice")
    axes = [axis for axis, one in enumerate(keys) if one != slice(None)]
    most = np.iinfo(np.int64).max
    starts = np.array([keys[axis].start or 0 for axis in axes], np.int64)
    stops = np.array([most if keys[axis].stop is None else keys[axis].stop for axis in axes], np.int64)
    steps = np.array([keys[axis].step or 1 for axis in axes], np.int64)
    return ops.slice(value, starts, stops, steps, np.array(axes, np.int64))


def _padded(picture: Node, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Node:
    """torch names the last side first."""
    if mode != "constant" or value:
        raise UnknownOperationError("padding with something else than zeros")
    missing = [0] * (len(sides(picture)) - len(pad) // 2)
    begin, end = missing + list(pad[0::2])[::-1], missing + list(pad[1::2])[::-1]
    return ops.pad(picture, np.array(begin, np.int64), np.array(end, np.int64), "constant", np.float32(0))


def _attention(queries: Node, keys: Node, values: Node) -> Node:
    return ops.scaled_dot_product_attention(queries, keys, values)


def _sum(first: object, second: object) -> Node:
    return ops.add(_operand_of(first), _operand_of(second))


def _product(first: object, second: object) -> Node:
    return ops.multiply(_operand_of(first), _operand_of(second))


def _operand_of(value: Any) -> Any:
    """As `_operand`, for what is a node already."""
    return array_of(value) if isinstance(value, torch.Tensor) else value


def _same(_layer: nn.Module, value: Node) -> Node:
    return value


def mean_over(value: Node, dim: Any, keepdim: bool = False) -> Node:
    """The mean over some axes."""
    return ops.reduce_mean(value, np.asarray(dim, np.int64).reshape(-1), keepdim)


def _cat(values: list[Node], dim: int = 0) -> Node:
    return values[0] if len(values) == 1 else ops.concat(values, dim)


MODULES: dict[type[nn.Module], Callable[..., Node]] = {
    nn.Conv2d: _convolution,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.LayerNorm: _layer_norm,
    nn.ReLU: lambda _layer, value: ops.relu(value),
    nn.SiLU: lambda _layer, value: ops.swish(value),
    nn.GELU: lambda layer, value: ops.gelu(value, "erf" if layer.approximate == "none" else "tanh"),
    nn.Sigmoid: lambda _layer, value: ops.sigmoid(value),
    nn.Flatten: lambda layer, value: flatten(value, layer.start_dim),
    nn.AdaptiveAvgPool2d: _mean_pool,
    nn.Linear: _linear,
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _average_pool,
    nn.Dropout: _same,
    nn.Identity: _same,
}

FUNCTIONS: dict[Any, Callable[..., Node]] = {
    torch.cat: _cat,
    torch.permute: permute,
    torch.Tensor.add: _sum,
    torch.Tensor.mul: _product,
    functional.relu: lambda value, inplace=False: ops.relu(value),
    functional.batch_norm: _batch_normalised,
    functional.layer_norm: _layer_normalised,
    functional.max_pool2d: _largest,
    functional.avg_pool2d: _averaged,
    functional.pad: _padded,
    functional.scaled_dot_product_attention: _attention,
}
