"""LIME (Ribeiro et al., KDD 2016; doi 10.1145/2939672.2939778) with the lime package's own surrogate.

The picture is cut into regions, some are hidden at random, and a weighted linear model is fitted to the logits.
The lime package draws, weighs and fits; here only the loop around the network is ours, so that pictures go through
the fast engine in batches, work can be stopped, and sampling ends once the weights have settled.

Perturbed pictures are standardised anew, each by its own mean and deviation: that is what the served function does
to any picture, and LIME explains that function (docs/decisions/0015-explanations.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from cxrviewer.classifiers.preparing import standardise
from cxrviewer.errors import ConfigurationError
from cxrviewer.explainers.explainer import Attribution, Explainer, Request
from cxrviewer.explainers.lime_regions import FILLS, SEGMENTATIONS, cut, filling, hide

BATCH = 8
"""Pictures between two looks at the clock: under half a second on a CPU."""
LOOK_EVERY = 50
"""Samples between two fits."""
FEWEST = 100
"""Samples before the first fit is trusted."""
KERNEL_WIDTH = 0.25
"""The lime package's own for images: weight = sqrt(exp(-d^2 / width^2)), d the cosine distance to the whole picture."""


@dataclass(frozen=True, eq=False)
class Fit:
    """The surrogate. weights: (n,) float64, in logits a region; r2: weighted, over its own samples."""

    weights: NDArray[np.float64]
    r2: float


def kernel(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weight of a sample by its distance."""
    return np.sqrt(np.exp(-(distances**2) / KERNEL_WIDTH**2))


def fit(kept: NDArray[np.int64], logits: NDArray[np.float64]) -> Fit:
    """The lime package's ridge regression on (N, n) zeros and ones and (N,) logits. Row 0 is the whole picture."""
    from lime.lime_base import LimeBase
    from sklearn.metrics import pairwise_distances

    distances = pairwise_distances(kept, np.ones((1, kept.shape[1])), metric="cosine").ravel()
    # One label a call: lime 0.2.0.1 keeps a single score, which each further label would overwrite.
    _, pairs, r2, _ = LimeBase(kernel).explain_instance_with_data(
        kept, logits[:, None], distances, 0, kept.shape[1], feature_selection="none"
    )
    weights = np.zeros(kept.shape[1])
    for region, weight in pairs:
        weights[region] = weight
    return Fit(weights, float(r2))


def draw(seed: int, samples: int, regions: int, paired: bool) -> NDArray[np.int64]:
    """(samples, regions) zeros and ones; row 0 is all ones.

    Unpaired: the very draws of the lime package for that seed. Paired: every second row is the complement of the
    one before it, so what two regions do only together cancels from the weights (Covert and Lee, AISTATS 2021).
    """
    generator = np.random.RandomState(seed)
    kept = generator.randint(0, 2, samples * regions).reshape(samples, regions)
    if paired:
        kept[2::2] = 1 - kept[1:-1:2]
    kept[0] = 1
    return np.asarray(kept, np.int64)


def agreement(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Spearman's rank correlation in [-1, 1]; 1 for a single region."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 1.0
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def reliability(kept: NDArray[np.int64], logits: NDArray[np.float64]) -> float:
    """How well the ranks would agree with those of endless sampling, in [0, 1], from the samples themselves.

    Two halves that share no pair are fitted apart. Their rank correlation r, stepped up to the whole by Spearman
    and Brown (2 r / (1 + r)), estimates the agreement of two such runs; its root, that with the truth.
    """
    odd = (np.arange(len(kept)) + 1) // 2 % 2 == 1
    r = agreement(fit(kept[odd], logits[odd]).weights, fit(kept[~odd], logits[~odd]).weights)
    return float(np.sqrt(2 * r / (1 + r))) if r > 0 else 0.0


@dataclass(frozen=True)
class Lime(Explainer):
    """LIME of one target.

    samples: the most pictures to ask the network about; segmentation: `slic` or `grid`; segments: about how many.
    fill: what hidden regions show (lime_regions.filling).
    settle: stop once `reliability` reaches it; 0 draws all samples. paired: see `draw`.
    spread_seeds: further seeds to repeat the whole with; the standard deviation of the weights over all of them,
    as a share of their largest mean size, is then admitted as `spread`.
    """

    samples: int = 1000
    segmentation: str = "slic"
    segments: int = 50
    fill: str = "region"
    seed: int = 0
    settle: float = 0.98
    paired: bool = True
    spread_seeds: int = 0
    method: ClassVar[str] = "lime"
    title: ClassVar[str] = "LIME"
    meaning: ClassVar[str] = (
        "How much the logit falls (positive) or rises (negative) when a region is hidden."
    )

    def __post_init__(self) -> None:
        for value, known, what in (
            (self.segmentation, SEGMENTATIONS, "segmentation"),
            (self.fill, FILLS, "fill"),
        ):
            if value not in known:
                raise ConfigurationError(f"LIME has no {what} {value}.", f"Choose one of {', '.join(known)}.")
        if not 10 <= self.samples <= 100_000:
            raise ConfigurationError(f"LIME cannot work with {self.samples} samples.", "Choose 10 to 100000.")
        if not 2 <= self.segments <= 1000:
            raise ConfigurationError(f"LIME cannot work with {self.segments} segments.", "Choose 2 to 1000.")
        if not 0 <= self.settle < 1 or not 0 <= self.spread_seeds <= 20:
            raise ConfigurationError(
                "LIME's settle or spread_seeds is out of range.", "Use 0 to 0.999, and 0 to 20."
            )

    def _explain(self, request: Request) -> Attribution:
        segments = cut(request.picture, self.segmentation, self.segments)
        found = [self._run(request, segments, run) for run in range(1 + self.spread_seeds)]
        result, drawn, settled = found[0]
        admits: dict[str, float | int | str] = {
            "samples": drawn,
            "segments": len(result.weights),
            "r2": result.r2,
            "reliability": settled,
        }
        if self.spread_seeds:
            weights = np.stack([one.weights for one, _, _ in found])
            largest = float(np.abs(weights.mean(0)).max())
            admits["spread"] = float(weights.std(0, ddof=1).mean()) / largest if largest else 0.0
        parameters: dict[str, Any] = {
            "samples": self.samples,
            "segmentation": self.segmentation,
            "segments": self.segments,
            "fill": self.fill,
            "seed": self.seed,
            "settle": self.settle,
            "paired": self.paired,
            "spread_seeds": self.spread_seeds,
        }
        return Attribution(result.weights.astype(np.float32)[segments], parameters, admits, segments)

    def _run(self, request: Request, segments: NDArray[np.int32], run: int) -> tuple[Fit, int, float]:
        """The run-th seed, from 0 -> the fit, the samples drawn, their reliability."""
        filled = filling(request.picture, segments, self.fill)
        kept = draw(self.seed + run, self.samples, int(segments.max()) + 1, self.paired)
        logits = np.empty(self.samples)
        due, settled = min(FEWEST, self.samples), 0.0
        for start in range(0, self.samples, BATCH):
            stop = min(start + BATCH, self.samples)
            pictures = hide(request.picture, filled, segments, kept[start:stop])
            logits[start:stop] = _logits(request, pictures)
            request.step((run + stop / self.samples) / (1 + self.spread_seeds))
            if self.settle and stop >= due:
                settled = reliability(kept[:stop], logits[:stop])
                due = stop + LOOK_EVERY
                if settled >= self.settle:
                    break
        if not self.settle:
            settled = reliability(kept[:stop], logits[:stop])
        return fit(kept[:stop], logits[:stop]), stop, settled


def _logits(request: Request, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, S, S) in [0, 1] -> (N,) logits of the target, by the served function."""
    inputs = standardise(torch.from_numpy(pictures)[:, None]).repeat(
        1, request.classifier.spec.channels, 1, 1
    )
    return request.classifier.logits(inputs)[:, request.index]
