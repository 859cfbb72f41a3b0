"""How often each picture is drawn, against counts worked out by hand."""

from __future__ import annotations

import numpy as np

from cxrviewer.training.pictures import order_of
from cxrviewer.training.sampling import MAX_COPIES, SAMPLERS, balanced, chances, uniform

NAN = np.nan


def test_uniform_is_one_pool() -> None:
    pool = np.arange(5)
    assert uniform(pool, 3, np.zeros((5, 1), np.float32)) == [(pool, 3)]


def test_balanced_draws_both_classes_alike() -> None:
    """Six positives, two negatives: of 8 draws 4 are of each class, so a negative comes twice."""
    targets = np.array([[1]] * 6 + [[0]] * 2, np.float32)
    pools = balanced(np.arange(8), 8, targets)
    assert [(group.tolist(), draws) for group, draws in pools] == [([6, 7], 4), ([0, 1, 2, 3, 4, 5], 4)]
    np.testing.assert_allclose(chances(pools, 8), [4 / 6] * 6 + [2, 2], rtol=1e-6)
    order = order_of(0, 1, pools)
    assert np.bincount(order, minlength=8)[6:].tolist() == [2, 2] and len(order) == 8


def test_a_picture_belongs_to_its_rarest_label() -> None:
    # The first label has three positives, the second one: row 0 has both and counts for the second.
    targets = np.array([[1, 1], [1, 0], [1, NAN], [0, 0]], np.float32)
    groups = [group.tolist() for group, _ in balanced(np.arange(4), 12, targets)]
    assert groups == [[3], [1, 2], [0]]


def test_no_picture_is_drawn_too_often() -> None:
    """One positive among 99 negatives: half of 100 draws would be 50 copies of it; it gets ten."""
    targets = np.zeros((100, 1), np.float32)
    targets[17] = 1
    pools = balanced(np.arange(100), 100, targets)
    assert {len(group): draws for group, draws in pools} == {99: 90, 1: MAX_COPIES}


def test_what_is_left_over_is_drawn_as_well() -> None:
    targets = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]] * 3, np.float32)
    draws = [count for _, count in balanced(np.arange(9), 10, targets)]
    assert sum(draws) == 10 and sorted(draws) == [3, 3, 4]


def test_indices_are_those_of_the_pool() -> None:
    targets = np.array([[NAN], [1], [NAN], [0], [1]], np.float32)
    pools = balanced(np.array([1, 3]), 4, targets)
    assert [(group.tolist(), draws) for group, draws in pools] == [([3], 2), ([1], 2)]


def test_the_same_epoch_has_the_same_order_and_another_one_another() -> None:
    targets = (np.arange(40) % 4 == 0).astype(np.float32)[:, None]
    pools = SAMPLERS["balanced"](np.arange(40), 40, targets)
    assert (order_of(3, 1, pools) == order_of(3, 1, pools)).all()
    assert (order_of(3, 1, pools) != order_of(4, 1, pools)).any()
    assert (order_of(3, 1, pools) != order_of(3, 2, pools)).any()
