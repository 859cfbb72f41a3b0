"""Iterative stratification: parts of the wanted sizes in which every label is spread as evenly as it goes.

Sechidis, Tsoumakas, Vlahavas: On the Stratification of Multi-Label Data, ECML PKDD 2011, algorithm 1; here whole groups
are dealt, weighted by their pictures. The package `iterative-stratification` deals single rows, which would part a
patient's pictures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def deal(
    positives: NDArray[np.int64],
    sizes: NDArray[np.int64],
    shares: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """(G,): the part of each group, 0 .. P - 1.

    positives: (G, K), how many of a group's pictures show each label; sizes: (G,), its pictures; shares: (P,), summing
    to 1. The label with the fewest pictures left comes first, and each of its groups goes to the part that lacks most
    of it; ties go to the part that lacks most pictures, then by lot.
    """
    parts = np.full(len(sizes), -1, np.int64)
    lacking = shares[:, None] * positives.sum(0)
    room = shares * sizes.sum()
    left = positives.sum(0).astype(np.float64)
    by_lot = rng.permutation(len(sizes))
    while (open_labels := np.flatnonzero(left > 0)).size:
        label = open_labels[left[open_labels].argmin()]
        for group in by_lot[(parts[by_lot] < 0) & (positives[by_lot, label] > 0)]:
            part = _choose(lacking[:, label], room, shares, rng)
            parts[group] = part
            lacking[part] -= positives[group]
            room[part] -= sizes[group]
            left -= positives[group]
    for group in by_lot[parts[by_lot] < 0]:
        part = _choose(room, room, shares, rng)
        parts[group] = part
        room[part] -= sizes[group]
    return parts


def _choose(
    lacking: NDArray[np.float64],
    room: NDArray[np.float64],
    shares: NDArray[np.float64],
    rng: np.random.Generator,
) -> int:
    """The part that lacks most, among those that are to get anything."""
    able = np.flatnonzero(shares > 0)
    able = able[lacking[able] >= lacking[able].max() - 1e-9]
    able = able[room[able] >= room[able].max() - 1e-9]
    return int(able[rng.integers(len(able))] if len(able) > 1 else able[0])
