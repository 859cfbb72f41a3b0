"""Every entry of the table is a network that serves, explains and can be stored."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.small_models import SIZE, small_card, small_network
from torch import nn

from cxrviewer.classifiers.backbones import BACKBONES, _first_convolution, backbone
from cxrviewer.classifiers.bundle import open_bundle, pack, save_bundle
from cxrviewer.classifiers.classifier import Classifier
from cxrviewer.errors import ConfigurationError
from cxrviewer.labels import NIH_14

names = pytest.mark.parametrize("name", sorted(BACKBONES))


def pictures(count: int = 2, channels: int = 1) -> torch.Tensor:
    return torch.randn(count, channels, SIZE, SIZE, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def networks() -> dict[str, Classifier]:
    return {name: small_network(name).requires_grad_(False) for name in BACKBONES}


@names
def test_both_heads_answer(name: str, networks: dict[str, Classifier]) -> None:
    network = networks[name]
    features = network.features(pictures())
    assert features.shape[:2] == (2, BACKBONES[name].width)
    assert network(pictures()).shape == (2, 1 + len(NIH_14))
    assert features.min() >= 0
    assert network.head_weights().shape == (15, BACKBONES[name].width)


@names
def test_the_feature_layer_is_a_module_that_gives_the_features(
    name: str, networks: dict[str, Classifier]
) -> None:
    """Grad-CAM and captum hang on this module; a ReLU in place would overwrite what they read."""
    network, seen = networks[name], []
    layer = network.feature_layer
    handle = layer.register_forward_hook(lambda _module, given, out: seen.append((given[0].clone(), out)))
    try:
        features = network.features(pictures())
    finally:
        handle.remove()
    assert isinstance(layer, nn.ReLU) and layer.inplace is False
    assert len(seen) == 1, "the module is used once"
    assert torch.equal(seen[0][1], features)
    assert torch.equal(seen[0][0].clamp_min(0), features)


@names
def test_the_input_is_left_as_it_was(name: str, networks: dict[str, Classifier]) -> None:
    given = pictures()
    before = given.clone()
    networks[name](given)
    assert torch.equal(given, before)


@names
def test_the_middle_is_where_the_table_says(name: str, networks: dict[str, Classifier]) -> None:
    """Auxiliary tasks in training hang on it."""
    entry, seen = BACKBONES[name], []
    network = networks[name]
    handle = network.backbone.get_submodule(entry.middle).register_forward_hook(
        lambda _module, _given, out: seen.append(out.shape)
    )
    try:
        network(pictures())
    finally:
        handle.remove()
    side = SIZE // (8 if name == "tiny" else 16)
    assert seen == [(2, entry.middle_width, side, side)]


@names
def test_gradients_flow_to_the_picture(name: str, networks: dict[str, Classifier]) -> None:
    given = pictures(1).requires_grad_(True)
    (gradient,) = torch.autograd.grad(networks[name](given)[0, 0], given)
    assert torch.isfinite(gradient).all() and gradient.abs().max() > 0


@names
def test_a_bundle_gives_the_network_back(name: str, networks: dict[str, Classifier], tmp_path: Path) -> None:
    network = networks[name]
    card = small_card("whole", network.architecture)
    again = open_bundle(save_bundle(tmp_path, pack(network), card)).classifier()
    with torch.inference_mode():
        wanted, found = network(pictures()), again(pictures())
    assert (torch.sigmoid(found) - torch.sigmoid(wanted)).abs().max() < 1e-2
    assert not again.training


@names
def test_one_and_three_channels(name: str) -> None:
    first = next(m for m in small_network(name, channels=3).backbone.modules() if isinstance(m, nn.Conv2d))
    assert first.in_channels == 3


def test_pretrained_colour_weights_are_summed_into_grey() -> None:
    """A grey picture given to the new convolution is that picture in all three colours given to the old one."""
    torch.manual_seed(0)
    old = nn.Conv2d(3, 5, 7, stride=2, padding=3, bias=False)
    new = _first_convolution(old, 1)
    grey = pictures(1)
    with torch.no_grad():
        assert torch.allclose(new(grey), old(grey.repeat(1, 3, 1, 1)), atol=1e-5)
    assert _first_convolution(old, 3) is old


def test_an_unknown_backbone_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"called vgg.*densenet121.*tiny"):
        backbone("vgg")
    with pytest.raises(ConfigurationError, match="no published weights"):
        BACKBONES["tiny"].build(1, True)
