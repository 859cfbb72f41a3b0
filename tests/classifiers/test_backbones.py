"""Every entry of the table is a network that serves, explains and can be stored."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support.small_models import every_backbone, small_card, small_network, small_size

from cxrviewer.classifiers.backbones import BACKBONES, backbone
from cxrviewer.classifiers.bundle import open_bundle, pack, save_bundle
from cxrviewer.classifiers.classifier import Architecture, Classifier
from cxrviewer.classifiers.preparing import InputSpec
from cxrviewer.errors import ConfigurationError
from cxrviewer.labels import NIH_14

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", params=every_backbone)
def network(request: pytest.FixtureRequest) -> Iterator[Classifier]:
    """Each in turn, so that no two large ones are in memory at once."""
    yield small_network(request.param).requires_grad_(False)


def pictures(network: Classifier, count: int = 2) -> torch.Tensor:
    spec = network.architecture.input
    shape = (count, spec.channels, spec.size, spec.size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


def test_both_heads_answer(network: Classifier) -> None:
    features = network.features(pictures(network))
    assert features.shape[:2] == (2, network.entry.width)
    assert features.shape[2] == features.shape[3] > 1
    assert network(pictures(network)).shape == (2, 1 + len(NIH_14))
    assert (float(features.min()) < 0) == network.entry.negative
    assert network.linear == (network.neck is None)


def test_the_feature_layer_is_a_module_that_gives_the_features(network: Classifier) -> None:
    """Grad-CAM and captum hang on this module: used once, and nothing writes over what it gave."""
    seen: list[torch.Tensor] = []
    handle = network.feature_layer.register_forward_hook(lambda _module, _given, out: seen.append(out))
    try:
        features = network.features(pictures(network))
        kept = features.clone()
        network.logits(features)
    finally:
        handle.remove()
    assert len(seen) == 1, "the module is used once"
    assert seen[0] is features or torch.equal(seen[0], features)
    assert torch.equal(features, kept)


def test_the_input_is_left_as_it_was(network: Classifier) -> None:
    given = pictures(network)
    before = given.clone()
    network(given)
    assert torch.equal(given, before)


def test_the_middle_is_where_the_table_says(network: Classifier) -> None:
    """Auxiliary tasks in training hang on it."""
    seen: list[torch.Size] = []
    layer = network.backbone.get_submodule(network.entry.middle)
    handle = layer.register_forward_hook(lambda _module, _given, out: seen.append(out.shape))
    try:
        network(pictures(network))
    finally:
        handle.remove()
    (shape,) = seen
    assert shape[:2] == (2, network.entry.middle_width)
    # Inception's convolutions without padding lose a rim.
    assert shape[2] == shape[3] >= 0.7 * small_size(network.architecture.backbone) / 16


def test_an_answer_does_not_depend_on_the_batch(network: Classifier) -> None:
    given = pictures(network, 3)
    together, alone = network(given), torch.cat([network(one[None]) for one in given])
    assert (together - alone).abs().max() <= 1e-4 * max(1.0, float(alone.abs().max()))


def test_gradients_flow_to_the_picture(network: Classifier) -> None:
    given = pictures(network, 1).requires_grad_(True)
    (gradient,) = torch.autograd.grad(network(given)[0, 0], given)
    assert torch.isfinite(gradient).all() and gradient.abs().max() > 0


def test_a_bundle_gives_the_network_back(network: Classifier, tmp_path: Path) -> None:
    card = small_card("whole", network.architecture)
    again = open_bundle(save_bundle(tmp_path, pack(network), card)).classifier()
    assert again.architecture.backbone == network.architecture.backbone and not again.training
    for name, tensor in again.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue  # not stored: of no use in serving
        stored = network.state_dict()[name].float()
        torch.testing.assert_close(tensor, stored, rtol=1e-3, atol=1e-6, msg=name)
    with torch.inference_mode():
        wanted, found = network(pictures(network)), again(pictures(network))
    # Untrained networks may give logits of millions; what counts is their own scale.
    assert (found - wanted).abs().max() <= 2e-2 * max(1.0, float(wanted.abs().max()))


@pytest.mark.parametrize("name", ["densenet121", "efficientnet-b0", "small-cnn", "resnet18"])
def test_one_and_three_channels(name: str) -> None:
    network = small_network(name, channels=3)
    first = next(m for m in network.backbone.modules() if isinstance(m, torch.nn.Conv2d))
    assert first.in_channels == 3
    assert network(pictures(network)).shape == (2, 15)


def test_a_resnet_of_chosen_blocks() -> None:
    """By hand: 1 + 2 blocks of two 3 x 3 convolutions, one shortcut where the width changes, and the stem."""
    options = {"blocks": [1, 2], "widths": [8, 16]}
    network = small_network("resnet-blocks", options=options)
    convolutions = [m for m in network.backbone.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 1 + 2 * (1 + 2) + 1
    assert network.features(pictures(network)).shape == (2, 16, 8, 8)
    assert (network.entry.width, network.entry.middle, network.entry.middle_width) == (16, "stage1", 8)
    assert network.head_weights().shape == (15, 16)
    assert backbone("resnet-blocks", {"blocks": [3], "widths": [4]}).middle == "stage1"


def test_options_come_back_with_a_bundle(tmp_path: Path) -> None:
    network = small_network("resnet-blocks", options={"blocks": [1, 1], "widths": [8, 12]})
    card = small_card("own", network.architecture)
    opened = open_bundle(save_bundle(tmp_path, pack(network), card))
    assert opened.card.architecture.options == {"blocks": [1, 1], "widths": [8, 12]}
    assert opened.classifier()(pictures(network)).shape == (2, 15)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"blocks": [1, 1], "widths": [8]}, "blocks names 2 stages and widths 1"),
        ({"blocks": [0], "widths": [8]}, "blocks.0: .*greater than or equal to 1"),
        ({"blocks": [1], "widths": [5000]}, "widths.0: .*less than or equal to 2048"),
        ({"blocks": "many"}, "blocks: "),
        ({"depth": 3}, "depth: .*It takes blocks, widths"),
    ],
)
def test_a_wrong_option_is_answered_with_a_sentence(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        backbone("resnet-blocks", options)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"densenet121 are refused.*It takes none"):
        backbone("densenet121", {"blocks": [1]})


def test_the_small_cnn_is_the_tutorials() -> None:
    """Chollet's network at 150 pixels: 32, 64 and 64 maps of 3 x 3, 17 x 17 places left, dense 64."""
    network = Classifier(Architecture("small-cnn", input=InputSpec(150, 3)))
    counted = {name: parameter.numel() for name, parameter in network.named_parameters()}
    assert counted["backbone.conv0.weight"] == 32 * 3 * 9
    assert counted["backbone.conv2.weight"] == 64 * 64 * 9
    assert counted["neck.dense.weight"] == 64 * (64 * 17 * 17)
    assert counted["heads.pneumonia.weight"] == 64


def test_positions_are_drawn_out_for_another_size() -> None:
    """A vision transformer takes the sizes of every stage; at its own size nothing is drawn out."""
    patches = BACKBONES["vit-b16"].build(1, size=64).get_submodule("patches")
    assert patches(torch.zeros(2, 1, 64, 64)).shape == (2, 17, 768)
    with torch.no_grad():
        torch.nn.init.constant_(patches.pos_embedding, 3.0)  # type: ignore[arg-type]
        tokens = patches(torch.zeros(2, 1, 96, 96))
    assert tokens.shape == (2, 37, 768)
    assert torch.allclose(tokens, torch.full_like(tokens, 3.0), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("inception-v3", 64, "at least 75 pixels a side, and these have 64.*made for 299"),
        ("vit-b16", 230, "multiple of 16 pixels; 230 is none.*Choose 224 or 240"),
        ("tiny", 16, "at least 32"),
    ],
)
def test_a_size_that_does_not_fit_is_answered_with_a_sentence(name: str, size: int, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Classifier(Architecture(name, input=InputSpec(size)))


def test_an_unknown_backbone_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"called vgg.*densenet121.*tiny"):
        backbone("vgg")


def test_without_published_weights_a_substitute_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"ResNetV2-152 has no published weights.*Take resnet152"):
        BACKBONES["resnetv2-152"].build(1, True)
    for name, entry in BACKBONES.items():
        if entry.weights is None:
            with pytest.raises(ConfigurationError, match="no published weights"):
                BACKBONES[name].build(1, True)


def test_the_table_is_read_without_any_network_library() -> None:
    script = (
        "import sys\n"
        "from cxrviewer.classifiers.backbones import BACKBONES, backbone\n"
        "for name in BACKBONES:\n"
        "    backbone(name)\n"
        "print(sorted({'torch', 'torchvision', 'timm'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.strip() == "[]"
