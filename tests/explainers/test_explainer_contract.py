"""What every method owes: a map on the radiograph's own grid, and a network left as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.handmade import Above, Weigh, handmade, serving
from support.small_models import phantom_radiograph, radiograph, small_network

from cxrviewer.classifiers.serving import ServingClassifier
from cxrviewer.classifiers.targets import Target
from cxrviewer.errors import CancelledError, ConfigurationError, UnknownTargetError
from cxrviewer.explainers import EXPLAINERS, Explainer, explainer
from cxrviewer.labels import Head

QUICK: dict[str, dict[str, Any]] = {
    "gradcam": {},
    "integrated-gradients": {"steps": 40},
    "lime": {"samples": 120, "segments": 20},
}
SIGNED = {"gradcam": {"signed": True}}


def quick(name: str, **more: Any) -> Explainer:
    return explainer(name, **(QUICK[name] | more))


@pytest.fixture(params=list(EXPLAINERS))
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tiny() -> ServingClassifier:
    return serving(small_network())


def untouched(classifier: ServingClassifier) -> Iterator[str]:
    """What was left behind, in words."""
    with classifier.gradients() as network:
        for name, module in network.named_modules():
            for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"):
                if getattr(module, kind):
                    yield f"{kind} on {name}"
            if module.training:
                yield f"{name} is in training mode"
        for name, parameter in network.named_parameters():
            if parameter.grad is not None or parameter.requires_grad:
                yield f"a gradient on {name}"


def test_every_method_has_a_quick_form() -> None:
    assert QUICK.keys() == EXPLAINERS.keys()
    assert all(method.method == name for name, method in EXPLAINERS.items())


def test_map_is_finite_and_answers_on_the_radiographs_grid(method: str, tiny: ServingClassifier) -> None:
    picture = radiograph(np.random.default_rng(1).random((70, 131)))
    shares: list[float] = []
    explanation = quick(method).explain(tiny, picture, tiny.targets[3], progress=shares.append)
    assert explanation.heatmap().shape == (70, 131)
    assert explanation.heatmap().dtype == np.float32
    assert np.isfinite(explanation.heatmap()).all()
    assert explanation.method == method
    assert explanation.digest == picture.digest
    assert explanation.signed or explanation.grid.min() >= 0
    assert shares == sorted(shares)
    assert shares[0] == 0 and shares[-1] == 1


def test_the_same_twice_and_from_two_threads_at_once(method: str, tiny: ServingClassifier) -> None:
    picture, once = phantom_radiograph(), quick(method)
    alone = [once.explain(tiny, picture, target).grid for target in tiny.targets[:4]]
    barrier = threading.Barrier(4)

    def work(target: Target) -> Any:
        barrier.wait()
        return once.explain(tiny, picture, target).grid

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, tiny.targets[:4]))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_nothing_is_left_on_the_network(method: str, tiny: ServingClassifier) -> None:
    quick(method).explain(tiny, phantom_radiograph(), tiny.targets[0])
    assert list(untouched(tiny)) == []


def test_nothing_is_left_after_a_cancel(method: str, tiny: ServingClassifier) -> None:
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 1

    with pytest.raises(CancelledError):
        quick(method).explain(tiny, phantom_radiograph(), tiny.targets[0], cancelled=cancelled)
    assert list(untouched(tiny)) == []


@pytest.mark.parametrize("form", ["closed", "autograd"])
@pytest.mark.parametrize("placement", ["adaptive", "uniform"])
def test_nothing_is_left_after_an_exception(method: str, form: str, placement: str) -> None:
    class Fails(torch.nn.Module):
        calls = 0

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            if self.calls > 1 or method == "gradcam":
                raise RuntimeError("injected")
            return torch.relu(pictures)

    options = {"gradcam": {"form": form}, "integrated-gradients": {"placement": placement}}.get(method, {})
    classifier = handmade(Fails())
    with pytest.raises(RuntimeError, match="injected"):
        quick(method, **options).explain(classifier, phantom_radiograph(), classifier.targets[0])
    assert list(untouched(classifier)) == []


def test_unknown_names_settings_and_targets_are_refused(method: str, tiny: ServingClassifier) -> None:
    with pytest.raises(ConfigurationError, match="no method nonsense"):
        explainer("nonsense")
    with pytest.raises(ConfigurationError, match="no setting nonsense"):
        explainer(method, nonsense=1)
    with pytest.raises(UnknownTargetError, match="Nonsense"):
        quick(method).explain(tiny, phantom_radiograph(), Target(Head.FINDINGS, "Nonsense"))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gradcam", {"form": "guided"}),
        ("integrated-gradients", {"baseline": "white"}),
        ("integrated-gradients", {"placement": "random"}),
        ("integrated-gradients", {"steps": 0}),
        ("lime", {"samples": 0}),
        ("lime", {"segments": 1}),
        ("lime", {"segmentation": "quickshift"}),
        ("lime", {"fill": "white"}),
        ("lime", {"settle": 1.0}),
        ("lime", {"spread_seeds": -1}),
    ],
)
def test_senseless_settings_are_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        explainer(name, **options)


@settings(max_examples=15, deadline=None)
@given(st.data(), st.integers(48, 160), st.integers(48, 160))
@pytest.mark.parametrize("name", list(EXPLAINERS))
def test_a_bright_square_comes_back_where_it_was(
    name: str, data: st.DataObject, height: int, width: int
) -> None:
    """The network answers to bright pixels only, so the map's mass must lie on the one bright square."""
    size = 24
    tall, wide = height // 6, width // 6
    top, left = data.draw(st.integers(0, height - tall)), data.draw(st.integers(0, width - wide))
    pixels = np.full((height, width), 0.2)
    pixels[top : top + tall, left : left + wide] = 1
    classifier = handmade(Above(1.0), size)
    # LIME's own way to hide, a region's mean, cannot see a square of one brightness: hide by the picture's mean.
    options = {
        "lime": {"segmentation": "grid", "segments": 36, "fill": "mean", "samples": 600, "settle": 0.0}
    }
    explanation = quick(name, **options.get(name, {})).explain(
        classifier, radiograph(pixels), classifier.targets[0]
    )
    heat = np.maximum(explanation.heatmap(), 0)
    # The finest that can come back is the network's pixel, or with LIME a region of 4 x 4 of them; its fit leaves
    # a little on each of the 35 other regions, which a square in a corner cannot outweigh by much.
    cells, share = (5, 0.5) if name == "lime" else (2, 0.9)
    rows, columns = np.mgrid[:height, :width]
    near = (rows >= top - cells * height / size) & (rows < top + tall + cells * height / size)
    near &= (columns >= left - cells * width / size) & (columns < left + wide + cells * width / size)
    assert heat[near].sum() > share * heat.sum() > 0
    strongest = heat * (heat >= 0.5 * heat.max())
    centre = [(strongest * axis).sum() / strongest.sum() for axis in (rows, columns)]
    assert abs(centre[0] - (top + (tall - 1) / 2)) < cells / 2 * height / size
    assert abs(centre[1] - (left + (wide - 1) / 2)) < cells / 2 * width / size


def test_a_network_that_looks_at_one_quadrant_is_explained_by_it(method: str) -> None:
    weights = torch.zeros(24, 24)
    weights[:12, 12:] = 1
    classifier = handmade(Weigh(weights))
    picture = phantom_radiograph()
    grid = np.abs(
        quick(method, **SIGNED.get(method, {})).explain(classifier, picture, classifier.targets[1]).grid
    )
    # LIME's regions reach over the border, and hiding any of them changes the deviation of the whole picture.
    assert grid[:12, 12:].sum() / grid.sum() > (0.5 if method == "lime" else 0.999)
