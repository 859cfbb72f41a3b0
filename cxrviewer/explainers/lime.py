"""LIME (Ribeiro et al., KDD 2016; doi 10.1145/2939672.2939778) with the lime package's own surrogate.

The picture is cut into regions, some are hidden at random, and a weighted linear model is fitted to the logits.
The lime package weighs and fits; here only the samples and the loop around the network are ours: samples are drawn
in balanced blocks, go through the fast engine in batches, work can be stopped, and sampling ends once the weights
have settled.

Perturbed pictures are normalised anew (by default each by its own mean and deviation): that is what the served function
does to any picture, and LIME explains that function (docs/decisions/0015-explanations.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from cxrviewer.classifiers.preparing import normalise
from cxrviewer.errors import ConfigurationError
from cxrviewer.explainers.explainer import Attribution, Explainer, Request
from cxrviewer.explainers.lime_regions import FILLS, SEGMENTATIONS, cut, filling, hide

BATCH_A_THREAD = 16
"""Pictures between two looks at the clock, for each thread: about half a second on a CPU, and 3 % faster than 4."""
LOOK_EVERY = 50
"""Samples between two fits, or a little more where a block does not end there."""
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

    Unpaired: the very draws of the lime package for that seed. Paired: blocks of `pairs_in_block` rows of a Hadamard
    matrix, each row followed by its complement. Every row by itself is as random as the package's, for its columns
    are chosen and turned over at random. But over a block any two regions are kept together exactly as often as not,
    so that none takes credit from another, and what two regions do only together cancels (Plackett and Burman,
    Biometrika 1946; Covert and Lee, AISTATS 2021).
    """
    generator = np.random.RandomState(seed)
    if not paired:
        kept = generator.randint(0, 2, samples * regions).reshape(samples, regions)
    else:
        # Here and not above: most pages explain nothing.
        from scipy.linalg import hadamard

        order = pairs_in_block(regions)
        signs, rows = hadamard(order), [np.ones((1, regions), np.int64)]
        for _ in range(-(-(samples - 1) // (2 * order))):
            # Column 0 is constant.
            columns = 1 + generator.permutation(order - 1)[:regions]
            turned = 1 - 2 * generator.randint(0, 2, regions)
            block = (signs[generator.permutation(order)][:, columns] * turned + 1) // 2
            rows.append(np.stack([block, 1 - block], 1).reshape(2 * order, regions))
        kept = np.concatenate(rows)[:samples]
    kept[0] = 1
    return np.asarray(kept, np.int64)


def pairs_in_block(regions: int) -> int:
    """The smallest power of two above the number of regions: the order of the Hadamard matrix."""
    return 1 << regions.bit_length()


def looks(samples: int, regions: int, paired: bool) -> list[int]:
    """After how many samples to ask whether the weights have settled; the last entry is `samples`.

    Paired: at the ends of blocks, from the second on, because each half of the blocks must make a fit of its own.
    """
    block = 2 * pairs_in_block(regions) if paired else 1
    first, step = (-(-least // block) * block for least in (max(FEWEST, 2 * block), LOOK_EVERY))
    return [*range(first + paired, samples, step), samples]


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
    odd = _halves(*kept.shape)
    r = agreement(fit(kept[odd], logits[odd]).weights, fit(kept[~odd], logits[~odd]).weights)
    return float(np.sqrt(2 * r / (1 + r))) if r > 0 else 0.0


def _halves(samples: int, regions: int) -> NDArray[np.bool_]:
    """(samples,): True for the rows of every second block; what is left without a partner is split pair by pair."""
    order = pairs_in_block(regions)
    pair = (np.arange(samples) - 1) // 2
    partnered = (samples - 1) // (4 * order) * 2
    return np.asarray(np.where(pair // order < partnered, pair // order, pair) % 2 == 1)


def spread(weights: NDArray[np.float64]) -> float:
    """(runs, regions) -> the standard deviation over runs (root mean square over regions), as a share of the
    largest mean weight; 0 where that is 0."""
    largest = float(np.abs(weights.mean(0)).max())
    return float(np.sqrt(weights.var(0, ddof=1).mean())) / largest if largest else 0.0


def spread_of_blocks(kept: NDArray[np.int64], logits: NDArray[np.float64]) -> float | None:
    """`spread` over seeds, foretold from one paired run; None where it has not two whole blocks.

    Each block is drawn as another seed would draw it, so the mean of b blocks varies by 1 / sqrt(b) of a block.
    """
    size = 2 * pairs_in_block(kept.shape[1])
    count = (len(kept) - 1) // size
    if count < 2:
        return None
    blocks = [slice(1 + number * size, 1 + (number + 1) * size) for number in range(count)]
    weights = np.stack([fit(kept[block], logits[block]).weights for block in blocks])
    return spread(weights) / float(np.sqrt(count))


@dataclass(frozen=True)
class Lime(Explainer):
    """LIME of one target.

    samples: the most pictures to ask the network about; segmentation: `slic` or `grid`; segments: about how many.
    fill: what hidden regions show (lime_regions.filling).
    settle: stop once `reliability` reaches it; 0 draws all samples. paired: see `draw`.
    spread_seeds: further seeds to repeat the whole with, as many samples each. The standard deviation of the weights
    over seeds is admitted as `spread`: over these where there are any, else foretold from the blocks drawn.
    """

    samples: int = 1000
    segmentation: str = "slic"
    segments: int = 50
    fill: str = "region"
    seed: int = 0
    settle: float = 0.985
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
        kept, logits = self._run(request, segments)
        result = fit(kept, logits)
        admits: dict[str, float | int | str] = {
            "samples": len(kept),
            "segments": len(result.weights),
            "r2": result.r2,
            "reliability": reliability(kept, logits),
        }
        over_seeds = spread_of_blocks(kept, logits) if self.paired else None
        if self.spread_seeds:
            others = [self._run(request, segments, run, len(kept)) for run in range(1, 1 + self.spread_seeds)]
            over_seeds = spread(np.stack([result.weights, *(fit(*other).weights for other in others)]))
        if over_seeds is not None:
            admits["spread"] = over_seeds
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

    def _run(
        self, request: Request, segments: NDArray[np.int32], run: int = 0, exactly: int = 0
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The run-th seed -> what was kept in each sample, and its logits. `exactly`: samples; 0 until settled."""
        filled, regions = filling(request.picture, segments, self.fill), int(segments.max()) + 1
        most = exactly or self.samples
        kept, logits = draw(self.seed + run, most, regions, self.paired), np.empty(most)
        batch, done = BATCH_A_THREAD * torch.get_num_threads(), 0
        # Looks lie apart from batches: the answer must not depend on the number of threads.
        for look in looks(most, regions, self.paired) if self.settle and not exactly else [most]:
            for start in range(done, look, batch):
                rows = slice(start, min(start + batch, look))
                logits[rows] = _logits(request, hide(request.picture, filled, segments, kept[rows]))
                request.step((run + rows.stop / most) / (1 + self.spread_seeds))
            done = look
            if look < most and reliability(kept[:look], logits[:look]) >= self.settle:
                break
        return kept[:done], logits[:done]


def _logits(request: Request, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, S, S) in [0, 1] -> (N,) logits of the target, by the served function."""
    inputs = normalise(torch.from_numpy(pictures)[:, None], request.classifier.spec)
    return request.classifier.logits(inputs)[:, request.index]
