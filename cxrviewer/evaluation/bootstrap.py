"""Intervals by resampling patients: pictures of one person are not independent, so persons are drawn, not pictures.

Percentile intervals (Efron and Tibshirani 1993, ch. 13). A draw of patients with replacement is a whole number of
times that every patient counts, so a resampled figure is a weighted one, and many draws are one matrix product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

DRAWS = 1000
LEVEL = 0.95
MIN_SHARE = 0.5
"""Where fewer of the draws than this hold both classes, an interval would describe the lucky ones: none is given."""

_TOGETHER = 100
"""Draws worked on at once: 40 MB for 100,000 patients."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A 95 % interval, both ends included."""

    low: float
    high: float

    def as_list(self) -> list[float]:
        """As `metrics.json` writes it."""
        return [self.low, self.high]


@dataclass(frozen=True, eq=False)
class Draws:
    """B draws of as many patients as there are, with replacement.

    member: (N,) which patient each row is of; counts: uint8 (P, B), how often each patient was drawn.
    The same draws on two scores of the same rows make their difference a paired one.
    """

    member: NDArray[np.int64]
    counts: NDArray[np.uint8]

    @classmethod
    def of(cls, patients: Sequence[str], draws: int = DRAWS, seed: int = 0) -> Draws:
        """(N,) names -> the draws; the same names and seed give the same ones."""
        names, member = np.unique(np.asarray(patients), return_inverse=True)
        rng, people = np.random.default_rng(seed), len(names)
        # A count above 255 of a patient who is drawn once on average does not happen, so a byte is enough.
        counts = np.empty((people, draws), np.uint8)
        for draw in range(draws):
            counts[:, draw] = np.bincount(rng.integers(0, people, people), minlength=people)
        return cls(np.asarray(member, np.int64), counts)

    def __len__(self) -> int:
        return int(self.counts.shape[1])

    def rows(self, keep: NDArray[np.bool_]) -> Draws:
        """The same draws for some of the rows. keep: (N,) bool."""
        return Draws(self.member[keep], self.counts)

    def weights(self) -> NDArray[np.float32]:
        """(B, N): how often each row counts. Large: for few rows."""
        return self.counts[self.member].T.astype(np.float32)

    def blocks(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Some draws at a time: which ones, and their counts (P, b)."""
        for first in range(0, len(self), _TOGETHER):
            part = slice(first, min(first + _TOGETHER, len(self)))
            yield part, self.counts[:, part].astype(np.float32)

    def sums(self, values: NDArray[np.floating]) -> Floats:
        """(N, F) -> (B, F): the sum of each column over the rows that a draw holds, as often as it holds them."""
        people = np.zeros((len(self.counts), values.shape[1]))
        np.add.at(people, self.member, values)
        out = np.empty((len(self), values.shape[1]))
        for part, counts in self.blocks():
            out[part] = counts.T.astype(np.float64) @ people
        return out


@dataclass(frozen=True, eq=False)
class Ranking:
    """Resampled AUROCs and average precisions of one label, (B,) each; NaN where a draw lacks one of the classes."""

    auroc: Floats
    average_precision: Floats


def resampled_ranking(labels: NDArray[np.floating], scores: NDArray[np.floating], draws: Draws) -> Ranking:
    """(N,) of 1, 0, NaN, (N,) -> the ranking of every draw, a tie counting half in the AUROC.

    Only the scores of positives matter as places to stop at: negatives are counted between them, by one product of a
    sparse matrix (places x patients) with the draws. So 100,000 rows cost little where positives are few.
    """
    keep = ~np.isnan(labels)
    positive, values = labels[keep] == 1, np.asarray(scores[keep], np.float64)
    if positive.all() or not positive.any():
        nothing = np.full(len(draws), np.nan)
        return Ranking(nothing, nothing.copy())
    member, people = draws.member[keep], len(draws.counts)
    places = np.unique(values[positive])
    ups = _counting(np.searchsorted(places, values[positive]), member[positive], len(places), people)
    # 2 g: between the places g - 1 and g; 2 g + 1: at place g itself.
    below = np.searchsorted(places, values[~positive], "left")
    between = below + np.searchsorted(places, values[~positive], "right")
    downs = _counting(between, member[~positive], 2 * len(places) + 1, people)
    areas, precisions = np.empty(len(draws)), np.empty(len(draws))
    for part, counts in draws.blocks():
        areas[part], precisions[part] = _ranking(
            (ups @ counts).astype(np.float64), np.cumsum(downs @ counts, axis=0, dtype=np.float64)
        )
    return Ranking(areas, precisions)


def _counting(row: NDArray[np.intp], column: NDArray[np.int64], rows: int, columns: int) -> csr_matrix:
    """(rows, columns) of how often each pair occurs."""
    return csr_matrix((np.ones(len(row), np.float32), (row, column)), shape=(rows, columns))


def _ranking(ups: Floats, downs: Floats) -> tuple[Floats, Floats]:
    """(G, b) positives at each place, (2 G + 1, b) negatives up to each: the b areas and average precisions."""
    under, through = downs[0:-1:2], downs[1::2]
    n_up, n_down = ups.sum(0), downs[-1]
    from_here = n_up - np.cumsum(ups, axis=0) + ups
    with np.errstate(invalid="ignore", divide="ignore"):
        area = (ups * (under + through) / 2).sum(0) / (n_up * n_down)
        # Places that a draw holds no positive at weigh nothing; there precision may be 0 / 0.
        precision = np.where(ups > 0, from_here / (from_here + n_down - under), 0.0)
        average = (ups * precision).sum(0) / n_up
    average[n_down == 0] = np.nan
    return area, average


def interval(values: Floats, level: float = LEVEL) -> Interval | None:
    """The percentile interval of resampled values; None where too many of them could not be computed."""
    known = values[~np.isnan(values)]
    if len(known) == 0 or len(known) < MIN_SHARE * len(values):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def shares(parts: Floats, wholes: Floats) -> Floats:
    """Elementwise parts / wholes, NaN where the whole is empty."""
    nothing = np.full(np.broadcast(parts, wholes).shape, np.nan)
    return np.asarray(np.divide(parts, wholes, out=nothing, where=wholes > 0), np.float64)
