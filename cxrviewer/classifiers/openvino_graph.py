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
from openvino import opset13 as ops
from torch import nn

from cxrviewer.classifiers.openvino_operations import (
    FUNCTIONS,
    MODULES,
    Node,
    UnknownOperationError,
    array_of,
    flatten,
    mean_over,
    part_of,
    permute,
    sides,
)  # fmt: skip

Shape = tuple[int, int, int]
"""Channels, height and width of a picture; the batch stays open until the model is reshaped."""


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

    @property
    def shape(self) -> tuple[int, ...]:
        """Sides that are known; -1 for the batch, which is all that stays open."""
        return sides(self.node)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __add__(self, other: object) -> _Value:
        return _Value(ops.add(self.node, _operand(other)))

    def __sub__(self, other: object) -> _Value:
        return _Value(ops.subtract(self.node, _operand(other)))

    def __mul__(self, other: object) -> _Value:
        return _Value(ops.multiply(self.node, _operand(other)))

    __radd__, __rmul__ = __add__, __mul__

    def __getitem__(self, key: object) -> _Value:
        return _Value(part_of(self.node, key))

    def mean(self, dim: Any, keepdim: bool = False) -> _Value:
        return _Value(mean_over(self.node, dim, keepdim))

    def permute(self, *order: int) -> _Value:
        return _Value(permute(self.node, order))

    def reshape(self, *shape: int) -> _Value:
        return _Value(ops.reshape(self.node, np.array(shape, np.int64), False))

    def flatten(self, start_dim: int = 0) -> _Value:
        return _Value(flatten(self.node, start_dim))

    def unbind(self, dim: int) -> tuple[_Value, ...]:
        count = self.shape[dim]
        parts = ops.split(self.node, np.int64(dim), count)
        return tuple(_Value(ops.squeeze(part, np.array([dim], np.int64))) for part in parts.outputs())

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


def _operand(value: object) -> Any:
    """The other side of a sum or a product: a node, or a number or a weight."""
    if isinstance(value, int | float):
        return np.float32(value)
    return array_of(value) if isinstance(value, torch.Tensor) else _node(value)


def _plain(argument: Any) -> Any:
    if isinstance(argument, list | tuple):
        return [_node(part) if isinstance(part, _Value) else part for part in argument]
    return _node(argument) if isinstance(argument, _Value) else argument


def _known(table: Mapping[Any, Callable[..., Node]], key: Any) -> Callable[..., Node]:
    if key not in table:
        raise UnknownOperationError(str(key))
    return table[key]


_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
