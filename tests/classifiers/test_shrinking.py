"""One pass over a film gives what windowing it whole and reducing it gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrviewer.classifiers.preparing import reduce
from cxrviewer.classifiers.shrinking import axis_weights, shrink
from cxrviewer.studies.radiograph import Metadata, Radiograph, Voi, VoiLut, Window, WindowFunction

VOIS: tuple[Voi | None, ...] = (
    None,
    Window(2000, 1500),
    Window(2000, 1500, WindowFunction.LINEAR_EXACT),
    Window(2000, 900, WindowFunction.SIGMOID),
    VoiLut(500, np.linspace(0, 1, 2000, dtype=np.float32) ** 2),
)


def film(height: int, width: int, seed: int, voi: Voi | None, inverted: bool, padded: bool) -> Radiograph:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 4096, (height, width)).astype(np.float32)
    padding = random.random((height, width)) < 0.2 if padded else None
    return Radiograph(pixels, "0" * 64, Metadata("DICOM"), voi, inverted=inverted, padding=padding)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 700),
    st.integers(1, 700),
    st.integers(0, 99),
    st.sampled_from(VOIS),
    st.booleans(),
    st.booleans(),
)
def test_the_same_as_presenting_and_reducing(
    height: int, width: int, seed: int, voi: Voi | None, inverted: bool, padded: bool
) -> None:
    """Noise, which shows a pixel out of place: any size and aspect, smaller than the square too.

    The deviation is only held against 0.02 (a flat picture), so sums of squares are exact enough.
    """
    radiograph = film(height, width, seed, voi, inverted, padded)
    shown = radiograph.presentation()
    shrunk = shrink(radiograph, 64, 160)
    for square, size in zip(shrunk.squares, (64, 160), strict=True):
        assert square.shape == (size, size) and square.dtype == np.float32
        np.testing.assert_allclose(square, reduce(shown, size), atol=1e-5)
    assert shrunk.deviation == pytest.approx(float(shown.std()), abs=2e-3)


@pytest.mark.parametrize("shape", [(2048, 2048), (3001, 2500), (1, 5000)])
def test_a_large_film_too(shape: tuple[int, int]) -> None:
    radiograph = film(*shape, seed=1, voi=Window(2000, 1500), inverted=True, padded=False)
    (square,) = shrink(radiograph, 224).squares
    np.testing.assert_allclose(square, reduce(radiograph.presentation(), 224), atol=1e-5)


def test_a_step_worked_by_hand() -> None:
    """Eight columns to four: a triangle two pixels to either side of each centre, weights 1, 3, 3, 1 of 8."""
    axis = axis_weights(8, 4)
    np.testing.assert_allclose(axis.matrix[1].numpy() * 8, [0, 1, 3, 3, 1, 0, 0, 0], atol=1e-6)
    assert axis.touched(4, 8) == (1, 4)


def test_pieces_are_the_whole() -> None:
    radiograph = film(150, 40, seed=2, voi=None, inverted=True, padded=True)
    pieces = list(radiograph.presented_rows(64))
    assert [first for first, _ in pieces] == [0, 64, 128]
    np.testing.assert_array_equal(np.concatenate([rows for _, rows in pieces]), radiograph.presentation())


def test_the_same_film_gives_the_same_bits() -> None:
    """G5 asks for bits; products may not depend on where in memory a film happens to lie."""
    one = film(700, 650, seed=4, voi=VOIS[1], inverted=False, padded=False)
    (expected,) = shrink(one, 160).squares
    for shift in range(1, 17):
        memory = np.empty(one.pixels.size + shift, np.float32)
        moved = memory[shift:].reshape(one.shape)
        moved[:] = one.pixels
        again = Radiograph(moved, one.digest, one.metadata, one.voi)
        np.testing.assert_array_equal(shrink(again, 160).squares[0], expected)
