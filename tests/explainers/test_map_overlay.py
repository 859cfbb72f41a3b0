"""Overlays: zero is transparent, the sign has its own hue, the kept share is kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.handmade import serving
from support.small_models import phantom_radiograph, small_network

from cxrviewer.errors import ConfigurationError
from cxrviewer.explainers import explainer
from cxrviewer.explainers.overlay import COLOUR_MAPS, NOT_EVIDENCE, Style, blend, legend, overlay, tint

GREY = np.full((4, 4), 100, np.uint8)


def test_zero_leaves_the_radiograph_as_it_is() -> None:
    for signed in (True, False):
        found = blend(GREY, np.zeros((4, 4), np.float32), signed)
        np.testing.assert_array_equal(found, np.repeat(GREY[..., None], 3, -1))


def test_full_opacity_shows_the_tables_ends() -> None:
    heat = np.array([[-2, 2], [0, 1]], np.float32)
    signed = blend(GREY[:2, :2], heat, True, Style(opacity=1.0))
    ends = COLOUR_MAPS["blue-orange"]
    assert "#{:02x}{:02x}{:02x}".format(*signed[0, 0]) == ends[0]
    assert "#{:02x}{:02x}{:02x}".format(*signed[0, 1]) == ends[-1]
    assert signed[1, 0].tolist() == [100, 100, 100]
    for name in ("magma", "cividis"):
        unsigned = blend(GREY[:2, :2], heat, False, Style(opacity=1.0, colours=name))
        assert "#{:02x}{:02x}{:02x}".format(*unsigned[0, 1]) == COLOUR_MAPS[name][-1]
        # What is negative has no place in a map without sign.
        assert unsigned[0, 0].tolist() == [100, 100, 100]


def test_opacity_is_the_share_of_colour() -> None:
    heat = np.full((4, 4), 3, np.float32)
    alpha = tint(heat, False, Style(opacity=0.4))[..., 3]
    assert (alpha == 102).all()
    white = int(COLOUR_MAPS["magma"][-1][1:3], 16)
    assert blend(GREY, heat, False, Style(opacity=0.4))[0, 0, 0] == round(100 + (white - 100) * 0.4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.sampled_from([0.1, 0.25, 0.5, 0.9]), st.booleans())
def test_the_strongest_share_is_kept(seed: int, keep: float, signed: bool) -> None:
    heat = np.random.default_rng(seed).normal(size=(40, 30)).astype(np.float32)
    shown = tint(heat, signed, Style(opacity=1.0, keep=keep))[..., 3] > 0
    size = np.abs(heat) if signed else np.maximum(heat, 0)
    assert shown.mean() <= keep + 1 / shown.size
    assert shown.mean() >= min(keep, (size > 0.005 * size.max()).mean()) - 2 / shown.size
    assert size[shown].min() >= size[~shown].max() - 0.01 * size.max()


def test_legend_says_what_the_colours_mean() -> None:
    heat = np.linspace(-1, 3, 401, dtype=np.float32).reshape(1, -1).repeat(4, 0)
    signed = legend(heat, True, Style(keep=0.25))
    assert signed.low == -signed.high
    assert signed.high == pytest.approx(np.quantile(np.abs(heat), 0.995))
    assert signed.cut == pytest.approx(2, abs=0.02)
    assert signed.note == NOT_EVIDENCE
    assert "lowered" in signed.low_words
    unsigned = legend(heat, False)
    assert (unsigned.low, unsigned.cut) == (0, 0)
    assert unsigned.stops == COLOUR_MAPS["magma"]


def test_hues_differ_for_readers_without_red_or_green() -> None:
    """Below zero blue rules, above zero red and green: a difference on the blue-yellow axis, which they see."""
    for low, high in zip(COLOUR_MAPS["blue-orange"][:5], COLOUR_MAPS["blue-orange"][:-6:-1], strict=True):
        assert int(low[5:], 16) > int(low[1:3], 16)
        assert int(high[5:], 16) < int(high[1:3], 16)


def test_an_explanation_is_drawn_on_its_radiograph() -> None:
    classifier, film = serving(small_network()), phantom_radiograph()
    for signed in (False, True):
        found = explainer("gradcam", signed=signed).explain(classifier, film, classifier.targets[0])
        picture = overlay(film, found)
        assert picture.shape == (*film.shape, 3)
        assert picture.dtype == np.uint8


def test_senseless_styles_and_shapes_are_refused() -> None:
    for style in ({"opacity": 1.5}, {"keep": 0.0}, {"colours": "jet"}):
        with pytest.raises(ConfigurationError):
            Style(**style)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="heatmap"):
        blend(GREY, np.zeros((3, 3), np.float32), True)
