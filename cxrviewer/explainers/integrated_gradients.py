"""Integrated Gradients (Sundararajan et al., ICML 2017; arXiv 1703.01365) of a logit.

The mean gradient on the straight path from a baseline to the picture, times their difference. Its values must add up
to the difference of the logits (completeness); what is missing is the delta, which is always reported.

A network with ReLUs has a gradient that jumps along the path, so rules for smooth functions gain little from more
steps. `adaptive` places steps where the logit is not yet understood (path.py) and stops at the tolerance; `uniform`
is captum's Gauss-Legendre rule with exactly `steps` steps. Figures: docs/decisions/0015-explanations.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from cxrviewer.errors import ConfigurationError
from cxrviewer.explainers.baselines import BASELINES, endpoints
from cxrviewer.explainers.explainer import Attribution, Explainer, Request
from cxrviewer.explainers.lean_gradients import lean
from cxrviewer.explainers.path import Alphas, Ascent, Looked

RELATIVE, ABSOLUTE = 0.01, 0.01
"""Converged: |delta| at most this share of the logits' difference, or this many logits, whichever is more."""
PLACEMENTS = ("adaptive", "uniform")
START, ROUND = 16, 2
"""Steps at first, and panels halved at a time. With fewer at first, a delta that is small by chance ends the work too
early; with more at a time, steps are taken that were not needed."""
BATCH = {"cpu": 4, "cuda": 16}
"""Pictures in one backward pass. A DenseNet-121 at 224 keeps about 60 MB each for it."""


def tolerance(difference: float) -> float:
    """The largest |delta| that counts as converged, in logits, for that difference of the logits."""
    return max(RELATIVE * abs(difference), ABSOLUTE)


@dataclass(frozen=True)
class IntegratedGradients(Explainer):
    """Integrated Gradients of one target.

    baseline: `black`, `blur` or `mean`. steps: the most gradients to take (`uniform`: exactly as many).
    placement: `adaptive` or `uniform`.
    """

    baseline: str = "black"
    steps: int = 300
    placement: str = "adaptive"
    method: ClassVar[str] = "integrated-gradients"
    title: ClassVar[str] = "Integrated Gradients"
    meaning: ClassVar[str] = (
        "How much each pixel raised (positive) or lowered (negative) the logit on the way from the baseline. "
        "All pixels together give the difference of the two logits."
    )

    def __post_init__(self) -> None:
        for value, known, what in (
            (self.baseline, tuple(BASELINES), "baseline"),
            (self.placement, PLACEMENTS, "placement"),
        ):
            if value not in known:
                raise ConfigurationError(f"There is no {what} {value}.", f"Choose one of {', '.join(known)}.")
        if not 2 <= self.steps <= 10_000:
            raise ConfigurationError(f"{self.steps} steps make no sense.", "Choose 2 to 10000.")

    def _explain(self, request: Request) -> Attribution:
        start, end = endpoints(request.picture, self.baseline, request.classifier.spec)
        run = _Run(request, start, end, self.steps)
        found = run.adaptive() if self.placement == "adaptive" else run.uniform()
        difference, delta = found.difference, found.delta
        return Attribution(
            grid=found.values.sum(0).astype(np.float32),
            parameters={"baseline": self.baseline, "steps": self.steps, "placement": self.placement},
            admits={
                "steps": found.steps,
                "convergence_delta": delta,
                "difference": difference,
                "tolerance": tolerance(difference),
                "converged": int(abs(delta) <= tolerance(difference)),
                "roughness": found.roughness,
            },
        )


@dataclass(frozen=True, eq=False)
class _Found:
    """values: (C, S, S) float64 attributions; difference: of the logits; steps: gradients taken.

    roughness: the delta, did errors along the path not cancel; for captum's rule it is not known and is |delta|.
    """

    values: NDArray[np.float64]
    difference: float
    steps: int
    roughness: float

    @property
    def delta(self) -> float:
        return float(self.values.sum()) - self.difference


class _Run:
    """One path of one request. `start` and `end`: (1, C, S, S) float32 network inputs."""

    def __init__(self, request: Request, start: torch.Tensor, end: torch.Tensor, cap: int) -> None:
        self._request, self._start, self._end, self._cap = request, start, end, cap
        self._batch = BATCH[request.classifier.device.type]
        with request.classifier.gradients() as network:
            # Shares most of the network's weights, so it too is run only while the network is borrowed.
            self._network = lean(network)
        self._done = 0

    def adaptive(self) -> _Found:
        """Refine until converged or the cap is met."""
        direction = (self._end - self._start)[0]
        ascent = Ascent(direction, self._look, min(START, self._cap))
        while abs(ascent.delta) > tolerance(ascent.rise) and len(ascent.steps) < self._cap:
            ascent.refine(min(ROUND, self._cap - len(ascent.steps)))
        values = (ascent.integral() * direction).numpy()
        return _Found(values, ascent.rise, len(ascent.steps), ascent.roughness)

    def uniform(self) -> _Found:
        """captum's own rule, step by step under the same memory cap."""
        from captum.attr import IntegratedGradients as CaptumIntegratedGradients

        captum = CaptumIntegratedGradients(self._logit)
        values = captum.attribute(self._end, self._start, n_steps=self._cap, internal_batch_size=self._batch)
        summed = values.detach()[0].double().numpy()
        with torch.no_grad():
            low, high = (float(self._logit(end)[0]) for end in (self._start, self._end))
        return _Found(summed, high - low, self._cap, abs(float(summed.sum()) - (high - low)))

    def _at(self, alphas: Alphas) -> torch.Tensor:
        steps = torch.from_numpy(alphas).float().reshape(-1, 1, 1, 1)
        return self._start + steps * (self._end - self._start)

    def _look(self, alphas: Alphas) -> Looked:
        parts = [alphas[first : first + self._batch] for first in range(0, len(alphas), self._batch)]
        seen = [self._looked(self._at(part)) for part in parts]
        return Looked(torch.cat([one.heights for one in seen]), torch.cat([one.gradients for one in seen]))

    def _looked(self, inputs: torch.Tensor) -> Looked:
        """(N, C, S, S) -> this target's logits and gradients. The network is borrowed for one batch at a time."""
        classifier = self._request.classifier
        with classifier.gradients(), torch.enable_grad():
            leaf = inputs.to(classifier.device, memory_format=torch.channels_last).requires_grad_(True)
            logits = self._network(leaf)[:, self._request.index]
            (gradients,) = torch.autograd.grad(logits.sum(), leaf)
        self._tell(len(inputs))
        return Looked(logits.detach().double().cpu(), gradients.float().cpu().contiguous())

    def _logit(self, inputs: torch.Tensor) -> torch.Tensor:
        """What captum differentiates: (N, C, S, S) -> (N,)."""
        classifier = self._request.classifier
        with classifier.gradients() as network:
            logit: torch.Tensor = network(inputs.to(classifier.device))[:, self._request.index]
        self._tell(len(inputs))
        return logit.cpu()

    def _tell(self, done: int) -> None:
        """How many steps will be needed is not known before: the share done is of the cap, by its root."""
        self._done += done
        self._request.step((self._done / self._cap) ** 0.5)
