"""Every backbone and every head is explained: Grad-CAM is captum's, the others answer for the served function."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from support.handmade import serving
from support.small_models import SIZE, every_backbone, phantom_radiograph, small_network

from cxrviewer.classifiers.classifier import Classifier
from cxrviewer.classifiers.heads import STACKS
from cxrviewer.classifiers.preparing import prepare
from cxrviewer.classifiers.serving import ServingClassifier
from cxrviewer.errors import ConfigurationError
from cxrviewer.explainers import explainer
from cxrviewer.explainers.grad_cam import cam_by_autograd, maps_of_all, signed_cams
from cxrviewer.labels import Head

LOOKED_AT = (0, 3, 14)
"""Targets, of both heads."""


@pytest.fixture(scope="module", params=every_backbone)
def network(request: pytest.FixtureRequest) -> Iterator[Classifier]:
    network = small_network(request.param)
    _awake(network)
    yield network


@torch.no_grad()
def _awake(network: Classifier) -> None:
    """Batch norms with the statistics of what they see: with any others an EfficientNet says the same of everything."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    spec = network.architecture.input
    picture = prepare(phantom_radiograph().presentation(), spec)
    network.train()
    network(
        torch.cat([picture, torch.randn(3, *picture.shape[1:], generator=torch.Generator().manual_seed(0))])
    )
    network.eval()


@pytest.fixture(scope="module")
def classifier(network: Classifier) -> ServingClassifier:
    return serving(network)


def inputs_of(classifier: ServingClassifier) -> torch.Tensor:
    return prepare(phantom_radiograph().presentation(), classifier.spec)


def is_captums(network: Classifier, classifier: ServingClassifier) -> None:
    """Both forms, to 1e-4 of the map's largest value: untrained networks have logits of any size."""
    inputs = inputs_of(classifier)
    maps = maps_of_all(classifier, classifier.run(inputs))
    captum = LayerGradCam(network, network.feature_layer)
    places = maps.shape[1] * maps.shape[2]
    for index in LOOKED_AT:
        # captum needs a gradient to flow; the parameters are frozen, so the input must ask for one.
        found = captum.attribute(inputs.clone().requires_grad_(), index, relu_attributions=False)
        expected = found.detach()[0, 0].numpy() * places
        tolerance = 1e-4 * max(1.0, float(np.abs(expected).max()))
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(maps[index], np.maximum(expected, 0), atol=tolerance)
        np.testing.assert_allclose(cam_by_autograd(network, inputs, index), expected, atol=tolerance)
        if classifier.linear:
            closed = signed_cams(classifier.run(inputs), classifier.head_weights())
            np.testing.assert_allclose(closed[index], expected, atol=tolerance)


def test_grad_cam_is_captums(network: Classifier, classifier: ServingClassifier) -> None:
    is_captums(network, classifier)


@pytest.mark.parametrize("stack", [name for name in STACKS if name != "linear"])
def test_grad_cam_of_every_head(stack: str) -> None:
    """One head of several layers is enough for the closed form not to hold."""
    network = small_network("tiny", stacks={Head.FINDINGS: stack})
    classifier = serving(network)
    assert not classifier.linear
    is_captums(network, classifier)
    picture = phantom_radiograph()
    found = explainer("gradcam").explain(classifier, picture, classifier.targets[3])
    assert found.parameters["form"] == "autograd"
    with pytest.raises(ConfigurationError, match="no closed form"):
        explainer("gradcam", form="closed").explain(classifier, picture, classifier.targets[3])


def test_the_form_is_closed_where_it_holds(classifier: ServingClassifier) -> None:
    found = explainer("gradcam").explain(classifier, phantom_radiograph(), classifier.targets[3])
    assert found.parameters["form"] == ("closed" if classifier.linear else "autograd")
    assert found.grid.min() >= 0 and np.isfinite(found.grid).all()


def test_integrated_gradients_add_up_to_what_it_admits(classifier: ServingClassifier) -> None:
    """The map's sum less the delta is the difference of the two logits, of which the picture's is the served one."""
    target, method = classifier.targets[3], explainer("integrated-gradients", steps=8, placement="uniform")
    found = method.explain(classifier, phantom_radiograph(), target)
    logit = classifier.logits(inputs_of(classifier))[0, 3]
    assert found.grid.shape == (classifier.spec.size,) * 2 and np.isfinite(found.grid).all()
    difference, delta = float(found.admits["difference"]), float(found.admits["convergence_delta"])
    scale = max(1.0, abs(float(logit)))
    assert found.grid.sum() == pytest.approx(difference + delta, abs=1e-3 * scale)
    assert abs(difference) > 1e-4


def test_lime_asks_the_served_function(classifier: ServingClassifier) -> None:
    method = explainer("lime", samples=24, segmentation="grid", segments=4, settle=0.0)
    found = method.explain(classifier, phantom_radiograph(), classifier.targets[3])
    assert found.grid.shape == (classifier.spec.size,) * 2
    assert np.isfinite(found.grid).all() and np.ptp(found.grid) > 0
    assert found.admits["samples"] == 24


def test_a_vision_transformers_map_lies_where_its_patch_lies() -> None:
    """The grid keeps rows and columns: a patch's own token comes back in that patch's cell."""
    network = small_network("vit-b16")
    grid = network.feature_layer
    side = SIZE // 16
    tokens = torch.zeros(1, 1 + side * side, 768)
    tokens[0, 1 + 2 * side + 1] = 1  # third row, second column
    assert grid(tokens)[0, 0].nonzero().tolist() == [[2, 1]]
