"""The straight path of Integrated Gradients, and steps placed on it where the logit changes.

The path is cut into panels. The logit at the panels' edges comes from cheap forward passes on the fast engine; a
gradient is taken in the middle of each panel. The slope there times the panel's length must equal the rise of the
logit across it, so every panel knows its own error, and the worst ones are cut in three: the old gradient stays the
middle of the middle third, nothing is thrown away. With ever finer panels this is the midpoint rule, exact in the
limit for any network whose gradient is continuous almost everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

Alphas = NDArray[np.float64]
Heights = Callable[[Alphas], NDArray[np.float64]]
"""(N,) positions on the path in [0, 1] -> (N,) logits."""
Gradients = Callable[[Alphas], torch.Tensor]
"""(N,) positions on the path -> (N, C, S, S) float32 gradients of the logit, on the CPU."""


@dataclass(frozen=True)
class Edge:
    """A position on the path, in [0, 1], and the logit there."""

    alpha: float
    height: float


@dataclass(frozen=True, eq=False)
class Panel:
    """A stretch of the path. gradient: (C, S, S), in its middle; slope: of the logit there, along the path."""

    low: Edge
    high: Edge
    gradient: torch.Tensor
    slope: float

    @property
    def length(self) -> float:
        """Share of the path."""
        return self.high.alpha - self.low.alpha

    @property
    def rise(self) -> float:
        """Of the logit across the panel."""
        return self.high.height - self.low.height

    @property
    def error(self) -> float:
        """What the midpoint rule gives here, less what is true."""
        return self.length * self.slope - self.rise


class Ascent:
    """The integral of the gradient along a path, refined until the caller is content.

    direction: (C, S, S), picture less baseline. heights and gradients are asked for many positions at a time.
    """

    def __init__(self, direction: torch.Tensor, heights: Heights, gradients: Gradients) -> None:
        self._direction = direction.double()
        self._heights, self._gradients = heights, gradients
        self.panels: list[Panel] = []
        self.forwards = 0

    def start(self, panels: int) -> None:
        """Equal panels first."""
        edges = self._edges(np.linspace(0, 1, panels + 1))
        self.panels = self._panels(list(pairwise(edges)))

    def refine(self, most: int) -> None:
        """Cut the worst panels in three: the fewest that hold half of all error, at most `most` of them."""
        worst = sorted(self.panels, key=lambda panel: -abs(panel.error))
        held = np.cumsum([abs(panel.error) for panel in worst])
        count = min(int(np.searchsorted(held, held[-1] / 2)) + 1, most)
        self.panels = worst[count:] + self._cut(worst[:count])

    @property
    def steps(self) -> int:
        """Gradients taken so far."""
        return len(self.panels)

    @property
    def delta(self) -> float:
        """Sum of the attributions less the rise of the logit along the whole path."""
        return sum(panel.error for panel in self.panels)

    @property
    def rise(self) -> float:
        """Of the logit along the whole path."""
        return sum(panel.rise for panel in self.panels)

    @property
    def roughness(self) -> float:
        """Sum of the panels' errors without their signs: what `delta` could be, did they not cancel."""
        return sum(abs(panel.error) for panel in self.panels)

    def integral(self) -> torch.Tensor:
        """(C, S, S) float64: the mean gradient along the path."""
        total = torch.zeros_like(self._direction)
        for panel in self.panels:
            total += panel.length * panel.gradient
        return total

    def _edges(self, alphas: Alphas) -> list[Edge]:
        self.forwards += len(alphas)
        return [Edge(float(a), float(h)) for a, h in zip(alphas, self._heights(alphas), strict=True)]

    def _panels(self, bounds: Sequence[tuple[Edge, Edge]]) -> list[Panel]:
        middles = np.array([(low.alpha + high.alpha) / 2 for low, high in bounds])
        gradients = self._gradients(middles)
        slopes = (gradients.double() * self._direction).sum((1, 2, 3))
        return [
            Panel(low, high, gradient, float(slope))
            for (low, high), gradient, slope in zip(bounds, gradients, slopes, strict=True)
        ]

    def _cut(self, panels: Sequence[Panel]) -> list[Panel]:
        lows = np.array([panel.low.alpha for panel in panels])
        lengths = np.array([panel.length for panel in panels])
        inner = self._edges(np.concatenate([lows + lengths / 3, lows + lengths * 2 / 3]))
        first, second = inner[: len(panels)], inner[len(panels) :]
        outer = [(panel.low, edge) for panel, edge in zip(panels, first, strict=True)]
        outer += [(edge, panel.high) for panel, edge in zip(panels, second, strict=True)]
        middle = [
            Panel(low, high, panel.gradient, panel.slope)
            for panel, low, high in zip(panels, first, second, strict=True)
        ]
        return self._panels(outer) + middle
