"""Grad-CAM: the closed form is captum's, up to the places that pooling divides by."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from support.handmade import Above, handmade, serving
from support.small_models import phantom_radiograph, radiograph, small_network

from cxrviewer.classifiers.preparing import prepare
from cxrviewer.explainers import explainer
from cxrviewer.explainers.grad_cam import cam_by_autograd, grad_cam_all, signed_cams, strip


@pytest.mark.parametrize("backbone", ["tiny", "densenet121"])
def test_closed_form_is_captums_for_every_target(backbone: str) -> None:
    network = small_network(backbone)
    classifier = serving(network)
    inputs = prepare(phantom_radiograph().presentation(), classifier.spec)
    maps = grad_cam_all(classifier.run(inputs), classifier.head_weights())
    places = maps.shape[1] * maps.shape[2]
    assert maps.shape[0] == len(classifier.targets) == 15
    captum = LayerGradCam(network, network.feature_layer)
    for index in range(len(classifier.targets)):
        # captum needs a gradient to flow; our network's parameters are frozen, so the input must ask for one.
        expected = captum.attribute(inputs.clone().requires_grad_(), index, relu_attributions=True)
        np.testing.assert_allclose(maps[index] / places, expected.detach()[0, 0], atol=1e-4)
        np.testing.assert_allclose(maps[index], expected.detach()[0, 0] * places, rtol=1e-3, atol=1e-4)


def test_autograd_gives_the_closed_form() -> None:
    network = small_network()
    classifier = serving(network)
    inputs = prepare(phantom_radiograph().presentation(), classifier.spec)
    signed = signed_cams(classifier.run(inputs), classifier.head_weights())
    for index in range(len(classifier.targets)):
        np.testing.assert_allclose(cam_by_autograd(network, inputs, index), signed[index], atol=1e-5)


def test_autograd_follows_a_head_that_is_not_linear() -> None:
    """logit = (sum of features)^2 has gradient 2 * sum everywhere: map = places * 2 * sum * feature."""
    network = small_network()

    class Square(torch.nn.Module):
        def features(self, pictures: torch.Tensor) -> torch.Tensor:
            return pictures

        def logits(self, features: torch.Tensor) -> torch.Tensor:
            return features.sum((1, 2, 3))[:, None] ** 2

    picture = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    found = cam_by_autograd(Square(), picture, 0)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, 4 * 20 * picture[0, 0].numpy())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_mean_of_the_signed_map_is_the_logit_less_its_bias() -> None:
    network = small_network()
    classifier = serving(network)
    output = classifier.run(prepare(phantom_radiograph().presentation(), classifier.spec))
    biases = torch.cat([head.bias for head in network.heads.values()]).detach().numpy()  # type: ignore[union-attr]
    found = signed_cams(output, classifier.head_weights()).mean((1, 2)) + biases
    np.testing.assert_allclose(found, output.logits[0], atol=1e-5)


def test_strip_keeps_the_order_asked_for() -> None:
    classifier = serving(small_network())
    output = classifier.run(prepare(phantom_radiograph().presentation(), classifier.spec))
    every = grad_cam_all(output, classifier.head_weights())
    np.testing.assert_array_equal(strip(output, classifier.head_weights(), [9, 2, 5]), every[[9, 2, 5]])


def test_what_lowered_the_logit_is_cut_unless_asked_for() -> None:
    """The second target is minus the brightness, so its classic map is empty, and says that all of it was cut."""
    classifier = handmade(Above(0.0))
    picture = radiograph(np.random.default_rng(0).random((30, 30)))
    classic = explainer("gradcam").explain(classifier, picture, classifier.targets[1])
    assert not classic.signed
    assert not classic.grid.any()
    assert classic.admits["negative_share"] == 1
    signed = explainer("gradcam", signed=True).explain(classifier, picture, classifier.targets[1])
    assert signed.signed
    assert signed.grid.min() < 0


def test_both_forms_and_the_table_agree() -> None:
    classifier = serving(small_network("densenet121"))
    picture = phantom_radiograph()
    closed = explainer("gradcam").explain(classifier, picture, classifier.targets[4])
    autograd = explainer("gradcam", form="autograd").explain(classifier, picture, classifier.targets[4])
    assert closed.grid.shape == (2, 2)
    np.testing.assert_allclose(closed.grid, autograd.grid, atol=1e-4)
