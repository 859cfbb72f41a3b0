"""Augmentation: repeatable, the same for a picture and its mask, and never a mirror."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrviewer.training.augmentation import draw, move, shade
from cxrviewer.training.config import Augmentation

STILL = Augmentation(degrees=0, shift=0, scale=0, aspect=0, gamma=0, contrast=0, noise=0, erase=0)


@given(st.integers(0, 5), st.integers(0, 5), st.lists(st.integers(0, 10**9), min_size=1, max_size=6))
def test_numbers_depend_on_seed_epoch_and_index_alone(seed: int, epoch: int, indices: list[int]) -> None:
    together = draw(seed, epoch, np.array(indices, np.int64))
    alone = np.concatenate([draw(seed, epoch, np.array([index], np.int64)) for index in indices])
    np.testing.assert_array_equal(together, alone)
    assert together.min() >= -1 and together.max() < 1
    assert not np.array_equal(together, draw(seed, epoch + 1, np.array(indices, np.int64)))
    assert not np.array_equal(together, draw(seed + 1, epoch, np.array(indices, np.int64)))


def test_a_picture_is_changed_the_same_in_any_company() -> None:
    pictures = torch.rand(3, 1, 24, 24, generator=torch.Generator().manual_seed(1))
    numbers = draw(1, 0, np.array([5, 6, 7]))
    how = Augmentation(erase=1)
    together = shade(move(pictures, numbers, how), numbers, how)
    alone = shade(move(pictures[1:2], numbers[1:2], how), numbers[1:2], how)
    torch.testing.assert_close(together[1:2], alone)


def test_no_change_is_no_change() -> None:
    pictures = torch.rand(2, 1, 24, 24, generator=torch.Generator().manual_seed(1)).clamp_min(1e-3)
    numbers = draw(1, 0, np.array([5, 6]))
    torch.testing.assert_close(shade(move(pictures, numbers, STILL), numbers, STILL), pictures)


def test_a_shift_by_hand() -> None:
    """shift 0.25 with the number 1 looks half the picture's half-width to the right: 0.25 of 16 pixels is 4."""
    picture = torch.zeros(1, 1, 16, 16)
    picture[0, 0, 7, 9] = 1
    numbers = np.zeros((1, 16), np.float32)
    numbers[0, 3] = 1
    moved = move(picture, numbers, STILL.model_copy(update={"shift": 0.25}))
    assert moved[0, 0, 7, 5] == pytest.approx(1, abs=1e-5)
    assert moved.sum() == pytest.approx(1, abs=1e-4)


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_left_stays_left(index: int) -> None:
    """A heart-like weight on one side and a mark above it: their order in space survives every change."""
    picture = torch.zeros(1, 1, 64, 64)
    picture[0, 0, 30:38, 40:48] = 1  # the heart, at the picture's right
    picture[0, 0, 16:20, 20:24] = 1  # a mark, up and to the left
    numbers = draw(1, 0, np.array([index]))
    moved = move(torch.cat([picture * (torch.arange(64) >= 32), picture * (torch.arange(64) < 32)], 1), numbers,
                 Augmentation())[0]  # fmt: skip
    columns, rows = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="xy")
    heart, mark = (torch.stack([(p * columns).sum(), (p * rows).sum()]) / p.sum() for p in moved)
    right, down = heart - mark
    assert right > 0 and down > 0


def test_masks_move_with_their_pictures() -> None:
    square = torch.zeros(1, 1, 32, 32)
    square[..., 8:20, 10:24] = 1
    numbers = draw(4, 2, np.array([9]))
    both = move(torch.cat([square, square], 1), numbers, Augmentation())
    torch.testing.assert_close(both[:, 0], both[:, 1])
    assert not torch.equal(both[:, :1], square)


def test_values_stay_in_range() -> None:
    pictures = torch.rand(8, 1, 24, 24)
    numbers = draw(1, 0, np.arange(8))
    how = Augmentation(gamma=1, contrast=1, noise=0.5, erase=1)
    changed = shade(move(pictures, numbers, how), numbers, how)
    assert changed.min() >= 0 and changed.max() <= 1 and bool(changed.isfinite().all())


def test_erasing_is_grey_and_of_the_stated_share() -> None:
    pictures = torch.full((400, 1, 32, 32), 0.5)
    numbers = draw(1, 0, np.arange(400))
    erased = shade(pictures, numbers, STILL.model_copy(update={"erase": 0.25}))
    touched = (erased != pictures).flatten(1).any(1)
    assert 70 <= int(touched.sum()) <= 130  # 100 expected, deviation below 9
    assert all(len(picture.unique()) <= 2 for picture in erased)


def test_a_flip_is_off_unless_asked_for_and_takes_every_second_picture() -> None:
    """By its own random number: the other changes stay what they were before there was a flip."""
    pictures = torch.rand(200, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    numbers = draw(3, 5, np.arange(200))
    still, flipped = (move(pictures, numbers, STILL.model_copy(update={"flip": on})) for on in (False, True))
    torch.testing.assert_close(still, pictures)
    mirrored = torch.tensor(
        [torch.allclose(a, b.flip(-1), atol=1e-5) for a, b in zip(flipped, pictures, strict=True)]
    )
    same = torch.tensor([torch.allclose(a, b, atol=1e-5) for a, b in zip(flipped, pictures, strict=True)])
    assert bool((mirrored ^ same).all()) and 70 <= int(mirrored.sum()) <= 130  # 100 expected, deviation 7
    again = move(pictures[7:8], draw(3, 5, np.array([7])), STILL.model_copy(update={"flip": True}))
    torch.testing.assert_close(again, flipped[7:8])


def test_a_flipped_mask_lies_on_its_flipped_picture() -> None:
    square = torch.zeros(4, 1, 32, 32)
    square[..., 8:20, 2:14] = 1
    how = Augmentation(flip=True)
    both = move(torch.cat([square, square], 1), draw(4, 2, np.arange(4)), how)
    torch.testing.assert_close(both[:, 0], both[:, 1])
