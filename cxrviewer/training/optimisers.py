"""OPTIMISERS: how a gradient becomes a step. Norms and biases are not decayed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from cxrviewer.training.config import TrainingConfig

Groups = list[dict[str, Any]]


def _adamw(groups: Groups, rate: float, _momentum: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=rate)


def _adam(groups: Groups, rate: float, _momentum: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=rate)


def _adamax(groups: Groups, rate: float, _momentum: float) -> torch.optim.Optimizer:
    return torch.optim.Adamax(groups, lr=rate)


def _rmsprop(groups: Groups, rate: float, momentum: float) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(groups, lr=rate, momentum=momentum)


def _sgd(groups: Groups, rate: float, momentum: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=rate, momentum=momentum)


OPTIMISERS: dict[str, Callable[[Groups, float, float], torch.optim.Optimizer]] = {
    "adamw": _adamw,  # Loshchilov and Hutter, ICLR 2019: decay apart from the gradient
    "adam": _adam,  # Kingma and Ba, ICLR 2015; here and below the decay is part of the gradient
    "adamax": _adamax,  # the same paper, by the largest gradient instead of the mean square
    "rmsprop": _rmsprop,
    "sgd": _sgd,
}


def optimiser_of(config: TrainingConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser of all parameters, frozen ones too.

    A parameter without a gradient is passed over and has no state, so that stages may freeze and thaw as they like
    while the optimiser, and what a checkpoint holds of it, stays the same.
    """
    every = list(parameters)
    groups: Groups = [
        {"params": [p for p in every if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in every if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimisation = config.optimisation
    return OPTIMISERS[optimisation.optimizer](groups, config.learning_rate, optimisation.momentum)
