"""LIME: equal to the lime package, right on a linear world, seeded, settled, and honest about both."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lime.lime_image import LimeImageExplainer
from support.handmade import Weigh, handmade, serving
from support.small_models import phantom_radiograph, radiograph, small_network

from cxrviewer.classifiers.preparing import reduce, standardise
from cxrviewer.errors import ConfigurationError
from cxrviewer.explainers import explainer
from cxrviewer.explainers.lime import agreement, draw, fit, reliability
from cxrviewer.explainers.lime_regions import cut, filling, hide, top_regions


def test_unpaired_and_unsettled_it_is_the_lime_package() -> None:
    """Same seed, same regions, same function: the same weights and the same R2."""
    network = small_network()
    classifier = serving(network)
    film = phantom_radiograph()
    picture = reduce(film.presentation(), classifier.spec.size)
    segments = cut(picture, "slic", 20)

    def score(pictures: np.ndarray) -> np.ndarray:
        inputs = standardise(torch.from_numpy(pictures[..., 0]).float()[:, None])
        return network(inputs).detach().numpy()

    theirs = LimeImageExplainer(random_state=4).explain_instance(
        picture.astype(np.float64), score, (3,), top_labels=None, num_samples=150, segmentation_fn=lambda _: segments,
        random_seed=0,
    )  # fmt: skip
    ours = explainer("lime", samples=150, segments=20, seed=4, settle=0.0, paired=False).explain(
        classifier, film, classifier.targets[3]
    )
    expected = np.zeros(segments.max() + 1)
    for region, weight in theirs.local_exp[3]:
        expected[region] = weight
    np.testing.assert_allclose(ours.grid, expected[segments], atol=1e-5)
    assert ours.admits["r2"] == pytest.approx(theirs.score, abs=1e-5)
    assert ours.admits["samples"] == 150
    assert ours.admits["segments"] == segments.max() + 1


@pytest.mark.parametrize("paired", [False, True])
def test_a_linear_answer_comes_back(paired: bool) -> None:
    truth = np.array([3.0, -2.0, 0.0, 1.0, 0.5, -0.25])
    kept = draw(0, 4000, 6, paired)
    found = fit(kept, kept @ truth + 7)
    np.testing.assert_allclose(found.weights, truth, atol=0.02)
    assert found.r2 == pytest.approx(1, abs=1e-3)


def test_pairs_are_complements_and_the_first_row_is_whole() -> None:
    kept = draw(5, 11, 8, paired=True)
    assert (kept[0] == 1).all()
    np.testing.assert_array_equal(kept[1::2] + kept[2::2], np.ones((5, 8)))
    np.testing.assert_array_equal(kept, draw(5, 11, 8, paired=True))
    assert (kept != draw(6, 11, 8, paired=True)).any()


def test_pairs_cancel_what_two_regions_do_together() -> None:
    """An answer made of products only has, over complements, no odd part but its own linear share."""
    rng = np.random.default_rng(0)
    products = rng.normal(size=(20, 20))

    def answer(kept: np.ndarray) -> np.ndarray:
        signs = 2 * kept - 1
        return np.einsum("ni,ij,nj->n", signs, products, signs)

    sizes = []
    for paired in (False, True):
        kept = draw(1, 401, 20, paired)
        # Row 0 has no complement; without it only the kernel's weights differ within a pair.
        sizes.append(np.abs(fit(kept[1:], answer(kept[1:])).weights).max())
    assert sizes[1] < sizes[0] / 2


def test_reliability_is_high_for_signal_and_low_for_noise() -> None:
    kept = draw(0, 400, 20, paired=True)
    rng = np.random.default_rng(0)
    signal = kept @ rng.normal(size=20)
    assert reliability(kept, signal) > 0.99
    assert reliability(kept, rng.normal(size=400)) < 0.7


def test_agreement_by_hand() -> None:
    assert agreement(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 90.0])) == pytest.approx(1)
    assert agreement(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx(-1)
    assert agreement(np.array([1.0]), np.array([2.0])) == 1


def test_it_stops_when_settled_and_says_so() -> None:
    rng = np.random.default_rng(0)
    classifier = handmade(Weigh(torch.from_numpy(rng.normal(size=(24, 24)).astype(np.float32))))
    film = radiograph(rng.random((24, 24)))
    settled = explainer("lime", segments=16, segmentation="grid").explain(
        classifier, film, classifier.targets[0]
    )
    assert 100 <= int(settled.admits["samples"]) < 1000
    assert float(settled.admits["reliability"]) >= 0.98
    never = explainer("lime", segments=16, segmentation="grid", settle=0.0, samples=300)
    assert never.explain(classifier, film, classifier.targets[0]).admits["samples"] == 300


def test_same_seed_same_map_and_the_spread_over_others_on_request() -> None:
    classifier = serving(small_network())
    film, target = phantom_radiograph(), classifier.targets[1]
    options = {"samples": 100, "segments": 12, "settle": 0.0}
    first = explainer("lime", **options).explain(classifier, film, target)
    again = explainer("lime", **options, spread_seeds=2).explain(classifier, film, target)
    other = explainer("lime", **options, seed=1).explain(classifier, film, target)
    np.testing.assert_array_equal(first.grid, again.grid)
    assert (first.grid != other.grid).any()
    assert "spread" not in first.admits
    assert 0 < float(again.admits["spread"]) < 1


@settings(max_examples=20, deadline=None)
@given(st.integers(12, 60), st.integers(2, 80), st.sampled_from(["slic", "grid"]), st.integers(0, 9))
def test_regions_are_numbered_without_gaps(size: int, count: int, how: str, seed: int) -> None:
    segments = cut(np.random.default_rng(seed).random((size, size), np.float32), how, count)
    assert segments.shape == (size, size)
    assert segments.dtype == np.int32
    np.testing.assert_array_equal(np.unique(segments), np.arange(segments.max() + 1))


def test_a_hidden_region_shows_its_mean() -> None:
    picture = np.array([[0.0, 1.0], [0.25, 0.75]], np.float32)
    segments = np.array([[0, 0], [1, 1]], np.int32)
    flat = filling(picture, segments, "region")
    np.testing.assert_allclose(flat, 0.5)
    assert not filling(picture, segments, "black").any()
    shown = hide(picture, flat, segments, np.array([[1, 0], [0, 1], [1, 1]]))
    np.testing.assert_allclose(shown[0], [[0, 1], [0.5, 0.5]])
    np.testing.assert_allclose(shown[1], [[0.5, 0.5], [0.25, 0.75]])
    np.testing.assert_allclose(shown[2], picture)


def test_top_regions_keeps_the_strongest_of_each_sign() -> None:
    weights = torch.zeros(24, 24)
    for row, column, weight in ((0, 0, 5.0), (0, 1, 3.0), (1, 0, -4.0), (1, 1, -1.0)):
        weights[row * 12 : row * 12 + 12, column * 12 : column * 12 + 12] = weight
    classifier = handmade(Weigh(weights))
    # Brightness differs between the quarters, so hiding one changes nothing but its own noise: keep noise strong.
    found = explainer("lime", segmentation="grid", segments=4, settle=0.0, samples=200).explain(
        classifier, radiograph(np.random.default_rng(3).random((24, 24))), classifier.targets[0]
    )
    values = np.sort(np.unique(found.grid))
    kept = top_regions(found, positive=1, negative=1)
    assert set(np.unique(kept.grid)) <= {values[0], np.float32(0), values[-1]}
    assert kept.segments is found.segments
    assert set(np.unique(top_regions(found, positive=99, negative=99).grid)) == set(values)
    assert not top_regions(found, positive=0, negative=0).grid.any()


def test_only_regions_can_be_chosen() -> None:
    classifier = serving(small_network())
    found = explainer("gradcam").explain(classifier, phantom_radiograph(), classifier.targets[0])
    with pytest.raises(ConfigurationError, match="no regions"):
        top_regions(found)
    with pytest.raises(ConfigurationError, match="hexagons"):
        cut(np.zeros((8, 8), np.float32), "hexagons", 4)
