"""The straight path of Integrated Gradients, with steps placed where the logit is not yet understood.

Each step gives the logit and its gradient at one place. Between two neighbours the trapezium rule says how much the
logit should rise, and the two logits say how much it did: every panel knows its own error, at no further cost. The
worst panels are halved, and nothing is thrown away. With ever finer panels this is the trapezium rule, exact in the
limit for any network whose gradient is continuous almost everywhere.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

Alphas = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Looked:
    """What the network says at N places. heights: (N,) logits; gradients: (N, C, S, S) float32, on the CPU."""

    heights: torch.Tensor
    gradients: torch.Tensor


Look = Callable[[Alphas], Looked]
"""(N,) positions on the path, in [0, 1] -> logits and gradients there."""


@dataclass(frozen=True, eq=False)
class Step:
    """One position on the path. slope: of the logit along the path; gradient: (C, S, S)."""

    alpha: float
    height: float
    slope: float
    gradient: torch.Tensor


@dataclass(frozen=True, eq=False)
class Panel:
    """The stretch between two neighbouring steps."""

    low: Step
    high: Step

    @property
    def error(self) -> float:
        """The rise that the trapezium rule gives, less the rise that is there; in logits."""
        length = self.high.alpha - self.low.alpha
        return length * (self.low.slope + self.high.slope) / 2 - (self.high.height - self.low.height)

    @property
    def middle(self) -> float:
        """Half way."""
        return (self.low.alpha + self.high.alpha) / 2


class Ascent:
    """The integral of the gradient along a path, refined until the caller is content.

    direction: (C, S, S), picture less baseline. `look` is asked for many positions at a time.
    """

    def __init__(self, direction: torch.Tensor, look: Look, count: int) -> None:
        """`count` steps at first, at equal distances, both ends among them; at least 2."""
        self._direction, self._look = direction.double(), look
        self.steps: list[Step] = self._taken(np.linspace(0, 1, count))

    def refine(self, most: int) -> None:
        """Halve the worst panels, `most` of them where there are as many."""
        worst = sorted(self._panels(), key=lambda panel: -abs(panel.error))[:most]
        for step in self._taken(np.array([panel.middle for panel in worst])):
            insort(self.steps, step, key=lambda known: known.alpha)

    @property
    def delta(self) -> float:
        """Sum of the attributions less the rise of the logit along the whole path."""
        return sum(panel.error for panel in self._panels())

    @property
    def rise(self) -> float:
        """Of the logit along the whole path."""
        return self.steps[-1].height - self.steps[0].height

    @property
    def roughness(self) -> float:
        """Sum of the panels' errors without their signs: the delta, did they not cancel."""
        return sum(abs(panel.error) for panel in self._panels())

    def integral(self) -> torch.Tensor:
        """(C, S, S) float64: the mean gradient along the path."""
        alphas = np.array([step.alpha for step in self.steps])
        # Half of each neighbouring panel; the ends have one neighbour only.
        around = np.concatenate([[alphas[0]], (alphas[1:] + alphas[:-1]) / 2, [alphas[-1]]])
        total = torch.zeros_like(self._direction)
        for step, weight in zip(self.steps, np.diff(around), strict=True):
            total += float(weight) * step.gradient
        return total

    def _panels(self) -> list[Panel]:
        return [Panel(low, high) for low, high in pairwise(self.steps)]

    def _taken(self, alphas: Alphas) -> list[Step]:
        seen = self._look(alphas)
        slopes = (seen.gradients.double() * self._direction).sum((1, 2, 3))
        return [
            Step(float(alpha), float(height), float(slope), gradient)
            for alpha, height, slope, gradient in zip(
                alphas, seen.heights, slopes, seen.gradients, strict=True
            )
        ]
