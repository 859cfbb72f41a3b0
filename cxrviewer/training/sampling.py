"""SAMPLERS: how often an epoch draws each picture of a source. What is drawn, `pictures.order_of` shuffles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cxrviewer.datasets.splits import Part
from cxrviewer.training.config import TrainingConfig
from cxrviewer.training.material import Material

MAX_COPIES = 10
"""A picture is drawn at most so much more often than evenly, however rare its label: else it is learnt by heart."""

Pool = tuple[NDArray[np.int64], int]
"""Indices, and how many draws an epoch makes among them."""

Sampler = Callable[[NDArray[np.int64], int, NDArray[np.float32]], list[Pool]]


def uniform(pool: NDArray[np.int64], draws: int, _targets: NDArray[np.float32]) -> list[Pool]:
    """Every picture alike."""
    return [(pool, draws)]


def balanced(pool: NDArray[np.int64], draws: int, targets: NDArray[np.float32]) -> list[Pool]:
    """Pictures grouped by their rarest positive label (or by having none), each group drawn equally often.

    pool: indices into the rows of targets (N, K) of 1, 0, NaN; only the heads' labels should be given. A group gets
    at most MAX_COPIES times its own share, and what it leaves goes to the others in equal parts.
    """
    groups = [group for group in _by_rarest(pool, targets) if len(group)]
    sizes = np.array([len(group) for group in groups], np.float64)
    limits = MAX_COPIES * sizes / sizes.sum()
    shares = np.zeros(len(groups))
    open_ = np.ones(len(groups), np.bool_)
    while open_.any():  # at least one group closes each round
        even = (1 - shares.sum()) / open_.sum()
        full = open_ & (limits <= even)
        if not full.any():
            shares[open_] = even
            break
        shares[full], open_ = limits[full], open_ & ~full
    return list(zip(groups, _whole(shares, draws), strict=True))


def _by_rarest(pool: NDArray[np.int64], targets: NDArray[np.float32]) -> list[NDArray[np.int64]]:
    positive = targets[pool] == 1
    counts = positive.sum(0)
    rarity = np.where(positive, counts, len(pool) + 1)
    rarest = np.where(positive.any(1), rarity.argmin(1), -1) if targets.shape[1] else np.full(len(pool), -1)
    return [pool[rarest == label] for label in range(-1, targets.shape[1])]


def _whole(shares: NDArray[np.float64], draws: int) -> list[int]:
    """Whole numbers in these shares with that sum: the largest remainders are rounded up."""
    exact = shares / shares.sum() * draws
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: draws - counts.sum()]] += 1
    return [int(count) for count in counts]


def chances(pools: list[Pool], rows: int) -> NDArray[np.float32]:
    """(rows,): how often an epoch draws each row on average."""
    found = np.zeros(rows, np.float32)
    for pool, draws in pools:
        found[pool] += draws / max(len(pool), 1)
    return found


def pools_of(config: TrainingConfig, material: Material) -> list[Pool]:
    """What an epoch draws from: indices into the rows of the train part, each source with its draws."""
    chosen = material.chosen(Part.TRAIN)
    heads = material.targets[chosen][:, : len(material.labels) - len(config.auxiliary)]
    pools: list[Pool] = []
    for index, source in enumerate(config.sources):
        pool = np.flatnonzero(material.source[chosen] == index)
        if len(pool):
            pools += SAMPLERS[config.loss.sampler](pool, source.draws or len(pool), heads)
    return pools


SAMPLERS: dict[str, Sampler] = {"uniform": uniform, "balanced": balanced}
