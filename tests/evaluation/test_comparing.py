"""Two models on the same pictures: their difference, with an interval that knows that the pictures are the same."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cxrviewer.evaluation.comparing import differences


def test_differences_by_hand() -> None:
    labels = np.column_stack([np.tile([1.0, 0.0], 40), np.ones(80)])
    perfect, blind = labels * 0.8 + 0.1, np.full((80, 2), 0.5)
    (row,) = differences(labels, perfect, blind, ("Mass", "Nodule"), [str(n) for n in range(80)])
    assert (row.label, row.n_positive, row.n_negative) == ("Mass", 40, 40)  # Nodule has no negatives
    assert (row.new, row.serving, row.difference) == (1.0, 0.5, 0.5)
    assert row.differs
    assert row.difference_ci95 is not None and row.difference_ci95.as_list() == [0.5, 0.5]
    assert json.dumps(row.as_json())


def test_the_same_scores_do_not_differ() -> None:
    rng = np.random.default_rng(1)
    labels = (rng.random(200) < 0.3).astype(float)[:, None]
    scores = labels * 0.2 + rng.random((200, 1))
    (row,) = differences(labels, scores, scores.copy(), ("Mass",), [str(n // 2) for n in range(200)])
    assert (row.difference, row.differs) == (0.0, False)
    assert row.difference_ci95 is not None and row.difference_ci95.as_list() == [0.0, 0.0]


def test_pairing_narrows_the_interval() -> None:
    """Two scores with nearly everything in common: their difference is known better than either of them."""
    rng = np.random.default_rng(2)
    labels = (rng.random(300) < 0.4).astype(float)[:, None]
    common = labels + rng.normal(0, 1, (300, 1))
    (row,) = differences(
        labels, common + rng.normal(0, 0.1, (300, 1)), common, ("Mass",), [str(n) for n in range(300)]
    )
    assert row.new_ci95 is not None and row.difference_ci95 is not None
    alone = row.new_ci95.high - row.new_ci95.low
    assert row.difference_ci95.high - row.difference_ci95.low < 0.3 * alone
    assert row.difference == pytest.approx(row.new - row.serving)
