"""What a network is given, and where a map lands: worked by hand, and by property for any size and aspect."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrviewer.classifiers.preparing import (
    MIN_STD,
    InputSpec,
    enlarge,
    prepare,
    prepare_small,
    reduce,
    standardise,
)

SIZE = 64
sides = st.integers(100, 500)
places = st.floats(0.15, 0.85)


def centre(values: np.ndarray) -> tuple[float, float]:
    """Centre of mass in pixels."""
    rows, columns = np.indices(values.shape)
    return float((rows * values).sum() / values.sum()), float((columns * values).sum() / values.sum())


@settings(max_examples=60, deadline=None)
@given(sides, sides, places, places)
def test_a_square_comes_back_where_it_was(height: int, width: int, down: float, across: float) -> None:
    """Whatever the aspect: within a sixth of a pixel of the network's grid, in both directions."""
    picture = np.zeros((height, width), np.float32)
    top, left, side = int(down * height) - 6, int(across * width) - 6, 12
    picture[top : top + side, left : left + side] = 1
    back = enlarge(reduce(picture, SIZE), picture.shape)
    assert back.shape == picture.shape and back.dtype == np.float32
    (row, column), (found_row, found_column) = centre(picture), centre(back)
    assert abs(found_row - row) <= height / SIZE / 6
    assert abs(found_column - column) <= width / SIZE / 6
    assert back[top + 6, left + 6] > 0.6 * back.max()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.floats(0, 1, width=32))
def test_an_even_grey_stays_that_grey(height: int, width: int, grey: float) -> None:
    """No dark rim: what lies outside the picture is never mixed in."""
    small = reduce(np.full((height, width), grey, np.float32), SIZE)
    assert small.shape == (SIZE, SIZE)
    assert np.abs(small - grey).max() < 1e-5


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 200), st.integers(2, 200), st.integers(0, 2**32 - 1))
def test_a_reduced_picture_stays_within_its_range(height: int, width: int, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 2, (height, width)).astype(np.float32)
    small = reduce(picture, SIZE)
    assert small.dtype == np.float32
    assert small.min() >= 0 and small.max() <= 1


def test_a_reduction_by_two_by_hand() -> None:
    """Antialiased: a triangle of two pixels to each side. A step stays in the middle."""
    step = np.repeat(np.float32([[0, 0, 0, 0, 1, 1, 1, 1]]), 8, 0)
    # Weights 1, 3, 3, 1 (of 8) about the middle of each pair; at the rim those that lie outside are left out.
    assert np.allclose(reduce(step, 4), np.repeat([[0, 1 / 8, 7 / 8, 1]], 4, 0), atol=1e-6)


def test_the_aspect_is_dropped() -> None:
    """A disc becomes an ellipse: the network never learns a picture's shape."""
    square = np.random.default_rng(1).random((128, 128)).astype(np.float32)
    tall = np.repeat(square, 2, 0)
    assert np.abs(reduce(tall, SIZE) - reduce(square, SIZE)).max() < 0.05
    assert np.abs(reduce(tall, SIZE) - reduce(tall.T, SIZE)).max() > 0.2


def test_a_picture_that_may_not_be_written_is_not_written() -> None:
    picture = np.random.default_rng(2).random((80, 90)).astype(np.float32)
    picture.setflags(write=False)
    before = picture.copy()
    prepare(picture[::-1], InputSpec(SIZE))
    assert np.array_equal(picture, before)


def test_standardise_by_hand() -> None:
    """0, 0, 1, 1: mean 1/2, deviation (of the whole, not of a sample) 1/2. 0, 0, 0, 1: mean 1/4, sqrt(3)/4."""
    pictures = torch.tensor([[[[0.0, 0.0], [1.0, 1.0]]], [[[0.0, 0.0], [0.0, 1.0]]]])
    found = standardise(pictures)
    root = 3**0.5
    assert torch.allclose(found[0, 0], torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))
    assert torch.allclose(found[1, 0], torch.tensor([[-1 / root, -1 / root], [-1 / root, root]]))


def test_each_picture_is_standardised_by_itself() -> None:
    """The neighbours in a batch do not matter."""
    pictures = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [1.0, 0.1, 0.5]
    ).reshape(3, 1, 1, 1)
    together = standardise(pictures)
    assert torch.equal(together[1:2], standardise(pictures[1:2]))
    assert torch.allclose(together.mean((1, 2, 3)), torch.zeros(3), atol=1e-6)
    assert torch.allclose(together.std((1, 2, 3), correction=0), torch.ones(3), atol=1e-5)


@pytest.mark.parametrize("grey", [0.0, 0.3, 1.0])
def test_a_flat_picture_becomes_zeros(grey: float) -> None:
    found = prepare(np.full((90, 70), grey, np.float32), InputSpec(SIZE))
    assert torch.isfinite(found).all()
    assert found.abs().max() < 1e-3


def test_rounding_noise_is_not_blown_up() -> None:
    noise = np.float32(0.5) + np.float32(1e-6) * np.random.default_rng(0).standard_normal((SIZE, SIZE))
    found = standardise(torch.from_numpy(noise.astype(np.float32))[None, None])
    assert found.abs().max() < 1e-5 / MIN_STD


@pytest.mark.parametrize("channels", [1, 3])
def test_a_prepared_picture_has_equal_channels(channels: int) -> None:
    found = prepare(np.random.default_rng(3).random((90, 120)).astype(np.float32), InputSpec(32, channels))
    assert found.shape == (1, channels, 32, 32) and found.dtype == torch.float32
    assert all(torch.equal(found[:, 0], found[:, k]) for k in range(channels))


def test_brightness_and_contrast_do_not_matter() -> None:
    picture = np.random.default_rng(4).random((SIZE, SIZE)).astype(np.float32)
    spec = InputSpec(SIZE)
    assert torch.allclose(prepare_small(picture, spec), prepare_small(0.2 + 0.5 * picture, spec), atol=1e-4)


def test_an_enlarged_map_keeps_sign_and_value() -> None:
    found = enlarge(np.float32([[-2, 0], [0, 3]]), (8, 6))
    assert found.shape == (8, 6)
    assert found[0, 0] == -2 and found[-1, -1] == 3
    assert found.min() == -2 and found.max() == 3


def test_an_enlarged_map_by_hand() -> None:
    """Half-pixel centres: the two cells' centres lie a quarter and three quarters along."""
    assert np.allclose(enlarge(np.float32([[0, 1]]), (1, 4)), [[0, 0.25, 0.75, 1]])
