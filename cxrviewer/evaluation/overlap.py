"""How far two areas agree. Areas are bool (N, H, W)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxrviewer.evaluation.bootstrap import Draws, Interval, interval

Areas = NDArray[np.bool_]


def dice(first: Areas, second: Areas, known: Areas) -> NDArray[np.float64]:
    """(N,): twice the common area over the sum of both (Dice 1945), where `known`. Two empty areas agree: 1."""
    a, b = first & known, second & known
    common, total = (a & b).sum((1, 2)), a.sum((1, 2)) + b.sum((1, 2))
    return np.where(total > 0, 2 * common / np.maximum(total, 1), 1.0)


def mean_interval(values: NDArray[np.float64], patients: Sequence[str], seed: int = 0) -> Interval | None:
    """The 95 % interval of the mean of (N,) values, patients resampled."""
    sums = Draws.of(patients, seed=seed).sums(np.column_stack([values, np.ones(len(values))]))
    return interval(sums[:, 0] / sums[:, 1])
