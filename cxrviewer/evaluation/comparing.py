"""Two sets of scores on the same pictures, label by label. The interval is of the difference: the same people are drawn
for both, so what they have in common cancels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrviewer.evaluation.bootstrap import Draws, Interval, interval, resampled_ranking
from cxrviewer.evaluation.measuring import listed
from cxrviewer.evaluation.ranking import auroc

Values = NDArray[np.floating]


@dataclass(frozen=True)
class Difference:
    """AUROCs of one label; difference is new less serving, positive where the new one is better.

    differs: True where the interval leaves out 0.
    """

    label: str
    n_positive: int
    n_negative: int
    new: float
    new_ci95: Interval | None
    serving: float
    serving_ci95: Interval | None
    difference: float
    difference_ci95: Interval | None

    @property
    def differs(self) -> bool:
        """Chance alone would seldom give such a difference."""
        ends = self.difference_ci95
        return ends is not None and (ends.low > 0 or ends.high < 0)

    def as_json(self) -> dict[str, object]:
        """Plain values; intervals as [low, high]."""
        return {name: listed(value) for name, value in vars(self).items()} | {"differs": self.differs}


def differences(
    labels: Values, new: Values, serving: Values, names: Sequence[str], patients: Sequence[str], seed: int = 0
) -> tuple[Difference, ...]:
    """(N, K) of 1, 0, NaN; (N, K) scores of each; K names; N patients -> the labels that have both classes."""
    draws = Draws.of(patients, seed=seed)
    found = []
    for k, name in enumerate(names):
        truth = labels[:, k]
        first, second = auroc(truth, new[:, k]), auroc(truth, serving[:, k])
        if first is None or second is None:
            continue
        drawn = [resampled_ranking(truth, scores[:, k], draws).auroc for scores in (new, serving)]
        found.append(
            Difference(
                label=name,
                n_positive=int((truth == 1).sum()),
                n_negative=int((truth == 0).sum()),
                new=first,
                new_ci95=interval(drawn[0]),
                serving=second,
                serving_ci95=interval(drawn[1]),
                difference=first - second,
                difference_ci95=interval(drawn[0] - drawn[1]),
            )
        )
    return tuple(found)
