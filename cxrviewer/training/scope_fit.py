"""Train the scope network of a bundle: is this an upright frontal chest radiograph?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits

from cxrviewer.classifiers.preparing import standardise
from cxrviewer.classifiers.scope import ScopeNet
from cxrviewer.training.augmentation import move, shade
from cxrviewer.training.config import Augmentation
from cxrviewer.training.outliers import make_outliers

QUANTILE = 0.98
"""Share of freshly made outliers that must be refused. The threshold is as low as that allows, which leaves a
hospital that was not in the training set as much room as there is."""

OUTLIERS = 1500
"""Made to choose the threshold by."""

_AUGMENTATION = Augmentation(
    degrees=9, shift=0.08, scale=0.15, aspect=0.15, gamma=0.4, contrast=0.4, noise=0.04, erase=0.15
)


@dataclass(frozen=True)
class ScopeRecipe:
    """pictures: radiographs an epoch, with as many outliers."""

    epochs: int = 12
    pictures: int = 4000
    batch_size: int = 64
    learning_rate: float = 3e-3
    seed: int = 1


def train_scope(
    pools: Sequence[NDArray[np.float32]], recipe: ScopeRecipe, progress: Callable[[int, float], None]
) -> ScopeNet:
    """pools: chest radiographs (N, 64, 64) in [0, 1], one array a source; every source is drawn equally often.

    progress is told the epoch and its mean loss. The same recipe on the same data gives the same network on a CPU.
    """
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    network, half = ScopeNet(), recipe.batch_size // 2
    steps = max(1, recipe.pictures // half)
    optimizer = torch.optim.AdamW(network.parameters(), recipe.learning_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.epochs * steps + 1
    )
    truth = torch.cat([torch.ones(half), torch.zeros(half)])
    everyone = np.concatenate(list(pools))
    for epoch in range(recipe.epochs):
        network.train()
        total = 0.0
        for _ in range(steps):
            chests = np.stack([_one(pools[int(k)], rng) for k in rng.integers(len(pools), size=half)])
            pictures = torch.from_numpy(np.concatenate([chests, make_outliers(everyone, half, rng)]))[:, None]
            numbers = (rng.random((2 * half, 16)) * 2 - 1).astype(np.float32)
            pictures = shade(move(pictures, numbers, _AUGMENTATION), numbers, _AUGMENTATION)
            loss = binary_cross_entropy_with_logits(network(standardise(pictures)), truth)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            total += loss.item()
        progress(epoch, total / steps)
    return network.eval()


def _one(pool: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    return np.asarray(pool[int(rng.integers(len(pool)))])


def scope_logits(network: ScopeNet, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 64, 64) in [0, 1] -> (N,)."""
    with torch.inference_mode():
        parts = torch.split(torch.from_numpy(pictures)[:, None], 256)
        return np.asarray(torch.cat([network(standardise(part)) for part in parts]).numpy(), np.float32)


def choose_threshold(network: ScopeNet, chests: NDArray[np.float32], seed: int) -> float:
    """The logit below which `QUANTILE` of new outliers lie, made from tune pictures (N, 64, 64) and from nothing."""
    outliers = make_outliers(chests, OUTLIERS, np.random.default_rng((seed, 2)))
    return float(np.quantile(scope_logits(network, outliers), QUANTILE))
