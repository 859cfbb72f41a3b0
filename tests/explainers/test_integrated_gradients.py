"""Integrated Gradients: answers worked out by hand, captum's rule, completeness, and what is admitted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from scipy.ndimage import gaussian_filter
from support.handmade import Above, Weigh, handmade, serving
from support.small_models import phantom_radiograph, radiograph, small_network

from cxrviewer.classifiers.preparing import InputSpec, prepare, reduce
from cxrviewer.errors import ConfigurationError
from cxrviewer.explainers import explainer
from cxrviewer.explainers.baselines import baseline, endpoints
from cxrviewer.explainers.integrated_gradients import tolerance
from cxrviewer.explainers.path import Ascent, Looked


@pytest.mark.parametrize("placement", ["adaptive", "uniform"])
@pytest.mark.parametrize("name", ["black", "blur", "mean"])
def test_a_linear_network_gives_weight_times_difference(placement: str, name: str) -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(24, 24)).astype(np.float32)
    classifier = handmade(Weigh(torch.from_numpy(weights)))
    picture = rng.random((24, 24)).astype(np.float32)
    film = radiograph(picture)
    shown = film.presentation()
    found = explainer("integrated-gradients", placement=placement, baseline=name, steps=20).explain(
        classifier, film, classifier.targets[1]
    )
    expected = -2 * weights * (shown - baseline(name, shown)) / shown.std()
    np.testing.assert_allclose(found.grid, expected, atol=1e-4)
    assert found.admits["convergence_delta"] == pytest.approx(0, abs=1e-3)
    assert found.admits["difference"] == pytest.approx(expected.sum(), abs=1e-3)
    assert found.admits["converged"] == 1


def test_a_rectified_pixel_by_hand() -> None:
    """relu(3 t - 1): the gradient is 1 for t > 1/3, so its mean is 2/3 and the rise is 3 * 2/3."""

    def look(t: np.ndarray) -> Looked:
        gradients = torch.from_numpy((3 * t > 1).astype(np.float32)).reshape(-1, 1, 1, 1)
        return Looked(torch.from_numpy(np.maximum(3 * t - 1, 0)), gradients)

    ascent = Ascent(torch.tensor([[[3.0]]]), look, 5)
    assert ascent.rise == pytest.approx(2)
    # Steps at 0, 1/4 (nothing yet), 1/2, 3/4, 1: half a panel of slope, and two whole ones.
    assert float(ascent.integral()[0, 0, 0]) == pytest.approx(5 / 8)
    assert ascent.delta == pytest.approx(3 * 5 / 8 - 2)
    assert ascent.roughness == pytest.approx(1 / 8)
    for _ in range(9):
        ascent.refine(1)
    # Only the panel with the kink has an error, so it alone is halved: 1/4 becomes 1/4 / 2^9.
    alphas = [step.alpha for step in ascent.steps]
    assert len(alphas) == 14 and alphas == sorted(alphas)
    assert sum(0.25 <= alpha <= 0.5 for alpha in alphas) == 11
    assert float(ascent.integral()[0, 0, 0]) == pytest.approx(2 / 3, abs=0.25 / 2**9)
    assert abs(ascent.delta) <= 3 * 0.25 / 2**9


def test_uniform_placement_is_captums_own_answer() -> None:
    network = small_network()
    classifier = serving(network)
    film = phantom_radiograph()
    inputs = prepare(film.presentation(), classifier.spec)
    found = explainer("integrated-gradients", placement="uniform", steps=30, baseline="mean").explain(
        classifier, film, classifier.targets[2]
    )
    # The mean baseline, standardised by the picture's own constants, is zero: captum's default.
    expected, delta = CaptumIntegratedGradients(network).attribute(
        inputs, target=2, n_steps=30, return_convergence_delta=True
    )
    np.testing.assert_allclose(found.grid, expected[0].sum(0).detach(), atol=1e-5)
    assert found.admits["convergence_delta"] == pytest.approx(float(delta), abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_adaptive_steps_end_where_a_fine_rule_ends(seed: int) -> None:
    classifier = serving(small_network(seed=seed))
    film = phantom_radiograph(seed)
    target = classifier.targets[seed]
    found = explainer("integrated-gradients").explain(classifier, film, target)
    fine = explainer("integrated-gradients", placement="uniform", steps=1000).explain(
        classifier, film, target
    )
    assert found.admits["converged"] == 1
    assert abs(float(found.admits["convergence_delta"])) <= tolerance(float(found.admits["difference"]))
    assert found.grid.sum() == pytest.approx(
        float(found.admits["difference"]) + float(found.admits["convergence_delta"]), abs=1e-3
    )
    error = np.linalg.norm(found.grid - fine.grid) / np.linalg.norm(fine.grid)
    assert error < 0.1


def test_a_cap_that_is_too_small_is_admitted() -> None:
    classifier = handmade(Above(4.0))
    picture = np.full((24, 24), 0.2)
    picture[3:6, 3:6] = 1
    found = explainer("integrated-gradients", steps=3).explain(
        classifier, radiograph(picture), classifier.targets[0]
    )
    assert found.admits["steps"] == 3
    assert found.admits["converged"] == 0
    assert abs(float(found.admits["convergence_delta"])) > float(found.admits["tolerance"])


def test_tolerance_is_one_per_cent_and_never_below_a_hundredth_of_a_logit() -> None:
    assert tolerance(-7.0) == pytest.approx(0.07)
    assert tolerance(0.3) == 0.01


def test_baselines_by_hand() -> None:
    picture = np.random.default_rng(0).random((20, 20)).astype(np.float32)
    assert not baseline("black", picture).any()
    np.testing.assert_allclose(baseline("mean", picture), picture.mean())
    np.testing.assert_allclose(baseline("blur", picture), gaussian_filter(picture, 2, mode="nearest"))
    with pytest.raises(ConfigurationError, match="no baseline grey"):
        baseline("grey", picture)


def test_both_ends_are_standardised_by_the_picture() -> None:
    picture = reduce(phantom_radiograph().presentation(), 32)
    spec = InputSpec(32, channels=3)
    start, end = endpoints(picture, "black", spec)
    torch.testing.assert_close(end, prepare(picture, spec), atol=1e-5, rtol=1e-5)
    assert start.shape == (1, 3, 32, 32)
    np.testing.assert_allclose(start, -picture.mean() / picture.std(), rtol=1e-4)


def test_a_flat_picture_has_a_flat_answer() -> None:
    classifier = serving(small_network())
    found = explainer("integrated-gradients", baseline="mean").explain(
        classifier, radiograph(np.full((40, 40), 7.0)), classifier.targets[0]
    )
    assert not found.grid.any()
    assert found.admits["converged"] == 1
