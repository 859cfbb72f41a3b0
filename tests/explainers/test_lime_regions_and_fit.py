"""LIME: equal to the lime package, right on a linear world, seeded, settled, and honest about both."""

from __future__ import annotations

from collections.abc import Callable

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
from cxrviewer.explainers.lime import (
    agreement,
    draw,
    fit,
    looks,
    pairs_in_block,
    reliability,
    spread,
    spread_of_blocks,
)
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


@pytest.mark.parametrize("regions", [1, 2, 7, 31, 32, 50])
def test_in_a_block_all_regions_are_kept_alike_and_none_goes_with_another(regions: int) -> None:
    size = 2 * pairs_in_block(regions)
    kept = draw(3, 1 + 2 * size, regions, paired=True)
    for block in (kept[1 : 1 + size], kept[1 + size :]):
        signs = 2 * block - 1
        np.testing.assert_array_equal(signs.sum(0), 0)
        np.testing.assert_array_equal(signs.T @ signs, size * np.eye(regions, dtype=int))


def test_how_many_regions_a_row_keeps_spreads_as_in_the_lime_package() -> None:
    """The kernel weighs a sample by that number, so another spread would be another surrogate."""
    kept = np.concatenate([draw(seed, 641, 50, paired=True)[1:].sum(1) for seed in range(40)])
    theirs = np.concatenate([draw(seed, 641, 50, paired=False)[1:].sum(1) for seed in range(40)])
    assert kept.mean() == 25
    assert kept.std() == pytest.approx(theirs.std(), rel=0.03)
    assert theirs.std() == pytest.approx(np.sqrt(50) / 2, rel=0.02)


def rough(seed: int, regions: int) -> Callable[[np.ndarray], np.ndarray]:
    """An answer with a linear share, much that two regions do together, and a little that three do."""
    rng = np.random.default_rng(seed)
    linear, two = rng.normal(size=regions), 4 * rng.normal(size=(regions, regions)) / regions
    triples, sizes = rng.integers(0, regions, (regions, 3)), rng.normal(size=regions) / 8

    def answer(kept: np.ndarray) -> np.ndarray:
        signs = 2.0 * kept - 1
        together = np.einsum("ni,ij,nj->n", signs, two, signs) + signs[:, triples].prod(2) @ sizes
        return np.asarray(signs @ linear + together)

    return answer


def test_a_quarter_of_the_samples_is_as_good_as_plain_lime() -> None:
    """Two balanced blocks, 257 samples of 50 regions, against 1,000 plain ones; the truth from 20,000.

    And better than as many pairs drawn without balance, where regions take credit from each other.
    """
    plain, pairs, ours = [], [], []
    for seed in range(8):
        answer, regions = rough(seed, 50), 50
        many = draw(1000 + seed, 20_000, regions, paired=False)
        truth = fit(many, answer(many)).weights
        unbalanced = draw(seed, 257, regions, paired=False)
        unbalanced[2::2] = 1 - unbalanced[1:-1:2]
        for kept, found in (
            (draw(seed, 1000, regions, paired=False), plain),
            (unbalanced, pairs),
            (draw(seed, 257, regions, paired=True), ours),
        ):
            found.append(agreement(truth, fit(kept, answer(kept)).weights))
    assert np.mean(ours) >= np.mean(plain) > 0.95
    assert 1 - np.mean(ours) < 0.8 * (1 - np.mean(pairs))


def test_the_spread_foretold_is_the_spread_over_seeds() -> None:
    answer, foretold, found = rough(0, 44), [], []
    for seed in range(30):
        kept = draw(seed, 257, 44, paired=True)
        foretold.append(spread_of_blocks(kept, answer(kept)))
        found.append(fit(kept, answer(kept)).weights)
    assert np.mean(foretold) == pytest.approx(spread(np.stack(found)), rel=0.15)
    assert spread_of_blocks(draw(0, 256, 44, paired=True), np.zeros(256)) is None


def test_spread_by_hand() -> None:
    assert spread(np.array([[3.0, 0.0], [5.0, 0.0]])) == pytest.approx(0.25)
    assert spread(np.zeros((3, 2))) == 0


def test_looks_come_at_the_ends_of_blocks_and_at_the_last_sample() -> None:
    assert looks(1000, 50, paired=True) == [257, 385, 513, 641, 769, 897, 1000]
    assert looks(200, 12, paired=True) == [129, 193, 200]
    assert looks(250, 12, paired=False) == [100, 150, 200, 250]
    assert looks(40, 50, paired=True) == [40]


def test_pairs_cancel_what_two_regions_do_together() -> None:
    """An answer made of products only has, over complements, no odd part but its own linear share."""
    sizes = []
    for paired in (False, True):
        found = []
        for seed in range(20):
            products = np.random.default_rng(seed).normal(size=(20, 20))
            kept = draw(seed, 401, 20, paired)[1:]
            signs = 2 * kept - 1
            # Row 0 has no complement; without it only the kernel's weights differ within a pair.
            found.append(fit(kept, np.einsum("ni,ij,nj->n", signs, products, signs)).weights)
        sizes.append(np.sqrt(np.square(found).mean()))
    assert sizes[1] < 0.7 * sizes[0]


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
    assert float(settled.admits["reliability"]) >= 0.985
    assert 0 < float(settled.admits["spread"]) < 0.1
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
    # 100 samples hold three blocks of 16 pairs: enough to foretell what two further seeds then show.
    assert 0 < float(first.admits["spread"]) < 1
    assert 0.3 < float(again.admits["spread"]) / float(first.admits["spread"]) < 3
    plain = explainer("lime", **options, paired=False).explain(classifier, film, target)
    assert "spread" not in plain.admits


def test_the_map_does_not_depend_on_the_number_of_threads() -> None:
    film, found = phantom_radiograph(), []
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            classifier = serving(small_network())
            found.append(
                explainer("lime", segments=12, samples=200).explain(classifier, film, classifier.targets[1])
            )
        finally:
            torch.set_num_threads(before)
    np.testing.assert_allclose(found[0].grid, found[1].grid, atol=1e-5)
    assert found[0].admits["samples"] == found[1].admits["samples"]


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
