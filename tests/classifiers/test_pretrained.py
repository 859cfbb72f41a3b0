"""Published weights in a backbone: every name and shape has its place, and nothing is waited for.

Stand-ins with torchvision's names and shapes lie where torchvision would keep the real files.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from support.small_models import HEAVY

from cxrviewer.classifiers import pretrained
from cxrviewer.classifiers.backbones import BACKBONES
from cxrviewer.classifiers.pretrained import for_channels
from cxrviewer.classifiers.published import PUBLISHED, published
from cxrviewer.errors import ConfigurationError, ModelBundleError, NetworkError

THEIRS = {
    "densenet121": "densenet121", "densenet169": "densenet169", "resnet18": "resnet18", "resnet50": "resnet50",
    "resnet152": "resnet152", "inception-v3": "inception_v3", "efficientnet-b0": "efficientnet_b0",
    "efficientnet-b4": "efficientnet_b4", "efficientnetv2-s": "efficientnet_v2_s", "convnext-tiny": "convnext_tiny",
    "vit-b16": "vit_b_16",
}  # fmt: skip
starts = [
    pytest.param(name, marks=[pytest.mark.slow] * (name in HEAVY))
    for name, entry in BACKBONES.items()
    if entry.weights
]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch's cache folder, empty."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    return folder


def theirs(name: str) -> torch.nn.Module:
    """torchvision's own network with random weights and norms that have seen something."""
    torch.manual_seed(3)
    more: dict[str, Any] = {"init_weights": False} if name == "inception-v3" else {}
    network = torchvision.models.get_model(THEIRS[name], weights=None, **more).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.8, 1.2)
    return network


@pytest.mark.parametrize("name", starts)
def test_every_published_weight_has_its_place(name: str, cache: Path) -> None:
    """Grey pictures get the features that torchvision's network has for them in three equal colours."""
    entry, network = BACKBONES[name], theirs(name)
    assert entry.weights is not None
    torch.save(network.state_dict(), cache / PUBLISHED[entry.weights].file)
    size = 96 if name == "inception-v3" else 224 if name == "vit-b16" else 64
    ours = entry.build(1, True, size).eval()
    pictures = torch.randn(1, 1, size, size)
    last: list[torch.Tensor] = []
    layers = {"vit-b16": "encoder.ln", "inception-v3": "Mixed_7c"}
    inner: Any = network.get_submodule(layers[name]) if name in layers else network
    if name in layers:
        inner.register_forward_hook(lambda _module, _given, out: last.append(out))
    with torch.no_grad():
        found = ours(pictures)
        wide = pictures.repeat(1, 3, 1, 1)
        if name.startswith("resnet"):
            parts = [part for key, part in network.named_children() if key not in ("avgpool", "fc")]
            wanted = torch.nn.Sequential(*parts)(wide)
        elif name in layers:
            network.transform_input = False  # it would expect ImageNet's normalisation and undo it
            network(wide)
            wanted = last[0]
        else:
            wanted = network.features(wide)
    if name == "vit-b16":
        wanted = wanted[:, 1:].transpose(1, 2).reshape(1, 768, 14, 14)
    elif name == "convnext-tiny":
        wanted = network.classifier[0](wanted)
    elif name.startswith("densenet"):
        wanted = wanted.relu()
    scale = max(1.0, float(wanted.abs().max()))
    assert (found - wanted).abs().max() <= 1e-4 * scale


def test_colour_weights_are_summed_into_grey() -> None:
    weight = torch.arange(12.0).reshape(1, 3, 2, 2)
    assert for_channels(weight, 1).tolist() == [[[[12, 15], [18, 21]]]]
    assert for_channels(weight, 3) is weight


def test_densenets_older_names_are_understood(cache: Path) -> None:
    """The published file says norm.1 where the library says norm1."""
    state = theirs("densenet121").state_dict()
    older = {
        key.replace("norm1.", "norm.1.")
        .replace("conv1.", "conv.1.")
        .replace("norm2.", "norm.2.")
        .replace("conv2.", "conv.2.")
        if "denselayer" in key
        else key: value
        for key, value in state.items()
    }
    assert older.keys() != state.keys()
    torch.save(older, cache / published("imagenet-densenet121").file)
    ours = BACKBONES["densenet121"].build(3, True).state_dict()
    name = "denseblock4.denselayer16.norm2.running_var"
    assert torch.equal(ours[name], state[f"features.{name}"])


def test_positions_of_a_transformer_are_drawn_out_for_another_size(cache: Path) -> None:
    state = theirs("vit-b16").state_dict()
    state["encoder.pos_embedding"] = torch.full((1, 197, 768), 2.5)
    torch.save(state, cache / published("imagenet-vit-b16").file)
    patches = BACKBONES["vit-b16"].build(1, True, 320).get_submodule("patches")
    assert patches.pos_embedding.shape == (1, 401, 768)
    assert torch.allclose(patches.pos_embedding, torch.tensor(2.5), atol=1e-4)


@pytest.mark.parametrize("content", ["another network", "damaged", "code"])
def test_a_file_that_is_something_else_is_refused(content: str, cache: Path) -> None:
    path = cache / published("imagenet-resnet18").file
    if content == "another network":
        torch.save(theirs("densenet121").state_dict(), path)
    elif content == "damaged":
        path.write_bytes(b"PK\x03\x04 and then nothing")
    else:
        torch.save({"conv1.weight": print}, path)
    with pytest.raises(ModelBundleError, match="imagenet-resnet18"):
        BACKBONES["resnet18"].build(1, True)


def test_offline_is_said_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = published("imagenet-resnet18")
    closed = "http://127.0.0.1:9/" + entry.file  # nothing listens there
    monkeypatch.setitem(PUBLISHED, entry.name, pretrained.Published(**(vars(entry) | {"url": closed})))
    start = time.monotonic()
    with pytest.raises(NetworkError, match=r"127\.0\.0\.1 could not be reached.*Check the connection"):
        BACKBONES["resnet18"].build(1, True)
    assert time.monotonic() - start < 5
    assert list(cache.iterdir()) == [], "nothing is left behind"


def test_the_table_is_torchvisions() -> None:
    """Names, addresses and sizes as the installed library has them."""
    known = {"resnet50": "IMAGENET1K_V2", "resnet152": "IMAGENET1K_V2"}
    for name, called in THEIRS.items():
        weights = torchvision.models.get_model_weights(called)[known.get(name, "IMAGENET1K_V1")]
        entry = PUBLISHED[f"imagenet-{name}"]
        assert (entry.url, entry.backbone) == (weights.url, name)
        assert entry.megabytes == pytest.approx(weights.meta["_file_size"], abs=0.1)
        assert len(entry.sha256) == 8 and entry.sha256 in weights.url
        assert entry.size == BACKBONES[name].size


def test_the_table_is_torchxrayvisions() -> None:
    library = pytest.importorskip("torchxrayvision").models.model_urls
    short = {
        name: name.removeprefix("xrv-densenet121-").replace("-", "_")
        for name in PUBLISHED
        if "xrv-dense" in name
    }
    assert len(short) == 7
    for name, key in [*short.items(), ("xrv-resnet50-all", "resnet50-res512-all")]:
        entry, theirs_ = PUBLISHED[name], library[key]
        assert entry.url == theirs_["weights_url"]
        assert list(entry.labels) == theirs_["labels"]
        assert entry.size == theirs_["input_resolution"]
        wanted = [None if value != value else value for value in theirs_["op_threshs"]]
        assert list(entry.thresholds) == pytest.approx(wanted)


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"called vgg.*xrv-densenet121-all"):
        published("vgg")
