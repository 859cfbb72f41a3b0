"""Pictures made of two: whose pixels end up where, and what becomes of labels that are not stated."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from cxrviewer.training.augmentation import draw, mix
from cxrviewer.training.config import Augmentation
from cxrviewer.training.mixing import blend, swap_surroundings

NAN = float("nan")


def plain(values: list[float], side: int = 50) -> torch.Tensor:
    return torch.tensor(values)[:, None, None, None].expand(-1, 1, side, side).clone()


def lungs(count: int, side: int = 50) -> torch.Tensor:
    masks = torch.zeros(count, 1, side, side)
    masks[:, :, 15:35, 15:35] = 1
    return masks


def test_lungs_stay_and_surroundings_come_from_the_partner() -> None:
    pictures, masks = plain([0.1, 0.5, 0.9]), lungs(3)
    has_mask, takes_part = np.array([True, False, True]), np.array([True, True, False])
    out = swap_surroundings(pictures, masks, has_mask, takes_part, np.zeros(3, np.bool_))
    # The first takes part, and its partner is the last: the second has no mask and the last drew no lot.
    assert torch.equal(out[1:], pictures[1:])
    torch.testing.assert_close(out[0, 0, 15:35, 15:35], torch.full((20, 20), 0.1))
    torch.testing.assert_close(out[0, 0, :8], torch.full((8, 50), 0.9))
    rim = out[0, 0, 25, 8:15]
    assert (rim.diff() <= 0).all() and rim[0] > rim[-1]
    assert torch.equal(pictures, plain([0.1, 0.5, 0.9])), "the pictures in memory must not change"


def test_nobody_to_swap_with_is_no_swap() -> None:
    pictures, everybody = plain([0.1, 0.5]), np.ones(2, np.bool_)
    out = swap_surroundings(pictures, lungs(2), np.array([True, False]), everybody, ~everybody)
    assert torch.equal(out, pictures)


def test_plain_surroundings_have_the_mean_grey_of_the_lungs() -> None:
    pictures, everybody = plain([0.1, 0.5]), np.ones(2, np.bool_)
    pictures[0, 0, 15:35, 15:25] = 0.3
    out = swap_surroundings(pictures, lungs(2), everybody, everybody, np.array([True, False]))
    torch.testing.assert_close(out[0, 0, :8], torch.full((8, 50), 0.2))
    torch.testing.assert_close(out[1, 0, :8], torch.full((8, 50), 0.1))
    assert torch.equal(out[0, 0, 15:35, 15:35], pictures[0, 0, 15:35, 15:35])


def test_a_blend_mixes_pictures_and_labels_in_the_same_measure() -> None:
    targets = torch.tensor([[1.0, NAN], [0.0, NAN], [1.0, 0.0]])
    pictures, masks = plain([0.0, 1.0, 0.4], 2), plain([1.0, 0.0, 1.0], 2)
    mixed, outlines, labels = blend(
        pictures, masks, np.ones(3, np.bool_), targets, np.array([0.25, 0.0, 0.5], np.float32)
    )
    # The first's partner is the second; the third states other labels than these and has no partner but itself.
    torch.testing.assert_close(mixed[:, 0, 0, 0], torch.tensor([0.25, 1.0, 0.4]))
    torch.testing.assert_close(outlines[:, 0, 0, 0], torch.tensor([0.75, 0.0, 1.0]))
    torch.testing.assert_close(labels, torch.tensor([[0.75, NAN], [0.0, NAN], [1.0, 0.0]]), equal_nan=True)


@given(st.integers(2, 12), st.integers(0, 1000))
def test_what_is_not_stated_stays_so(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets = torch.from_numpy(rng.choice([0, 1, np.nan], (count, 3)).astype(np.float32))
    pictures = torch.from_numpy(rng.random((count, 1, 4, 4), np.float32))
    has_mask, share = rng.random(count) < 0.5, rng.random(count, np.float32)
    mixed, masks, labels = blend(pictures, lungs(count, 4), has_mask, targets, share)
    assert torch.equal(labels.isnan(), targets.isnan())
    known = labels[~labels.isnan()]
    assert not len(known) or (float(known.min()) >= 0 and float(known.max()) <= 1)
    assert float(mixed.min()) >= 0 and float(mixed.max()) <= 1
    assert masks.shape == mixed.shape


def test_shares_are_those_asked_for_and_none_means_untouched() -> None:
    count = 2000
    pictures = torch.rand(count, 1, 1, 1, generator=torch.Generator().manual_seed(1))
    masks, has_mask = torch.zeros(count, 1, 1, 1), np.zeros(count, np.bool_)
    targets, numbers = torch.zeros(count, 1), draw(1, 0, np.arange(count))
    never = mix(pictures, masks, has_mask, targets, numbers, Augmentation(blend=0, surroundings=0))
    assert torch.equal(never[0], pictures)
    often = mix(pictures, masks, has_mask, targets, numbers, Augmentation(blend=0.3))
    changed = float((often[0] != pictures).float().mean())
    assert 0.26 < changed < 0.34
