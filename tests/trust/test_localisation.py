"""Where a map looks, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrviewer.trust.localisation import (
    Localised,
    box_area,
    chance,
    localise,
    mask_area,
    means_of_others,
    middle,
    on_grid,
)


def test_a_box_covers_its_share() -> None:
    area = box_area(0.25, 0.5, 0.5, 0.25)
    assert area.mean() == 0.125
    assert area[32:48, 16:48].all() and not area[:32].any() and not area[48:].any()
    assert box_area(0.999, 0.0, 0.0005, 0.0005).sum() == 1  # too small for a cell: the nearest


@given(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0.01, 0.1), st.floats(0.01, 0.1))
def test_a_box_and_its_mask_agree(left: float, top: float, width: float, height: float) -> None:
    fine = box_area(left, top, width, height, 512)
    box, mask = box_area(left, top, width, height), mask_area(fine)
    assert box.any() and mask.any()
    grown = np.pad(box, 1)
    near = grown[:-2, 1:-1] | grown[2:, 1:-1] | grown[1:-1, :-2] | grown[1:-1, 2:] | box
    corners = grown[:-2, :-2] | grown[2:, 2:] | grown[:-2, 2:] | grown[2:, :-2] | near
    assert not (mask & ~corners).any()


def test_measures_by_hand() -> None:
    values, area = np.zeros((4, 4)), np.zeros((4, 4), bool)
    area[0, :2] = True
    values[0, 0], values[3, 3], values[2, 2] = 0.5, 0.3, 0.2
    # The two highest cells are one inside and one outside: 1 of 3 in common.
    assert localise(values, area) == Localised(1.0, 0.5, pytest.approx(1 / 3))
    values[3, 3] = 0.5  # two peaks, one of them inside
    assert localise(values, area).pointing == 0.5
    assert localise(area / 2, area) == Localised(1.0, 1.0, 1.0)
    assert localise(np.zeros((4, 4)), area) == Localised(0.0, 0.0, 0.0)
    assert chance(area) == Localised(0.125, 0.125, pytest.approx(0.125 / 1.875))


def test_random_maps_are_worth_chance() -> None:
    rng = np.random.default_rng(0)
    area = box_area(0.1, 0.2, 0.4, 0.3)
    found = [localise(rng.random((64, 64)), area) for _ in range(400)]
    expected = chance(area)
    assert np.mean([one.pointing for one in found]) == pytest.approx(expected.pointing, abs=0.05)
    assert np.mean([one.energy for one in found]) == pytest.approx(expected.energy, abs=0.002)
    assert np.mean([one.iou for one in found]) == pytest.approx(expected.iou, abs=0.003)


def test_coarse_and_fine_maps_are_judged_alike() -> None:
    coarse = np.array([[1.0, 0.0], [0.0, -1.0]], np.float32)
    fine = np.kron(coarse, np.ones((100, 80), np.float32))
    area = box_area(0, 0, 0.5, 0.5)
    for heatmap in (fine, np.kron(coarse, np.ones((32, 32), np.float32))):
        found = localise(on_grid(heatmap), area)
        assert found.pointing == 1.0 and found.energy > 0.97 and found.iou > 0.97
    assert on_grid(-np.ones((8, 8))).sum() == 0  # what lowered the score points nowhere


def test_the_mean_map_knows_nothing_of_its_own_person() -> None:
    first, second, third = (np.eye(3)[k].repeat(3).reshape(3, 3) / 3 for k in range(3))
    means = means_of_others([first, second, third], ["a", "a", "b"])
    np.testing.assert_allclose(means[0], third)
    np.testing.assert_allclose(means[1], third)
    np.testing.assert_allclose(means[2], (first + second) / 2)
    assert not means_of_others([first], ["a"])[0].any()


def test_the_middle_is_in_the_middle() -> None:
    bell = middle()
    assert bell.sum() == pytest.approx(1)
    assert localise(bell, box_area(0.45, 0.45, 0.1, 0.1)).pointing == 1.0
