"""Several bundles as one: its log-odds are the mean of theirs, and it is explained like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from support.handmade import serving
from support.small_models import SIZE, phantom_radiograph, small_card, small_network
from typer.testing import CliRunner

from cxrviewer.classifiers.averaging import average
from cxrviewer.classifiers.bundle import Bundle, open_bundle, pack, save_bundle
from cxrviewer.classifiers.calibration import log_odds, score, sigmoid
from cxrviewer.classifiers.getting import store
from cxrviewer.classifiers.model import ServingModel
from cxrviewer.classifiers.preparing import prepare
from cxrviewer.cli import app
from cxrviewer.errors import ConfigurationError
from cxrviewer.explainers import EXPLAINERS, explainer
from cxrviewer.explainers.grad_cam import maps_of_all
from cxrviewer.labels import PNEUMONIA, Head
from cxrviewer.settings import get_settings

CALIBRATED = (
    {"slope": 0.5, "intercept": 1.0, "threshold": 0.2},
    {"slope": 2.0, "intercept": -3.0, "threshold": 0.8},
)


def member(
    folder: Path, name: str, number: int, backbone: str = "resnet-blocks", **changes: object
) -> Bundle:
    network = small_network(backbone, seed=number, **changes)
    card = small_card(name, network.architecture, target=CALIBRATED[number % 2])
    return open_bundle(save_bundle(folder, pack(network), card))


@pytest.fixture
def members(tmp_path: Path) -> list[Bundle]:
    return [
        member(tmp_path, "first", 0),
        member(tmp_path, "second", 1),
        member(tmp_path, "third", 2, options={"blocks": [1, 1, 1, 1], "widths": [8, 8, 8, 12]}),
    ]


def test_log_odds_are_the_mean_of_the_members_calibrated_ones(members: list[Bundle], tmp_path: Path) -> None:
    made = open_bundle(store(*average(members, "mean"), tmp_path / "models"))
    inputs = torch.randn(2, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        found = made.classifier()(inputs)
        each = torch.stack(
            [
                bundle.classifier()(inputs) * bundle.card.targets[0].slope + bundle.card.targets[0].intercept
                for bundle in members
            ]
        )
    wanted = each.mean(0)
    # Joined head weights are rounded to half precision once more.
    assert (found - wanted).abs().max() <= 5e-3 * max(1.0, float(each.abs().max()))
    answer = score(float(found[0, 3]), made.card.targets[3])
    probabilities = [sigmoid(float(one)) for one in each[:, 0, 3]]
    assert answer.probability == pytest.approx(
        sigmoid(float(np.mean([log_odds(p) for p in probabilities]))), abs=5e-3
    )


def test_its_card_says_what_it_is(members: list[Bundle]) -> None:
    _, card = average(members[:2], "mean")
    assert card.title == "Average of first, second"
    assert card.recipe["average_of"] == {bundle.card.id: bundle.card.weights_sha256 for bundle in members[:2]}
    assert "not measured as a whole" in card.limits[0] and card.metrics == {}
    # 0.2 and 0.8 lie as far from a half as log-odds.
    assert (
        card.targets[0].threshold == pytest.approx(0.5) and "not chosen on any data" in card.targets[0].rule
    )
    assert card.targets[0].sensitivity is None and card.targets[0].points == {}


def test_every_explainer_explains_the_average(members: list[Bundle], tmp_path: Path) -> None:
    network = open_bundle(store(*average(members, "mean"), tmp_path / "models")).classifier()
    classifier = serving(network)
    assert classifier.linear
    inputs = prepare(phantom_radiograph().presentation(), classifier.spec)
    maps = maps_of_all(classifier, classifier.run(inputs))
    captum = LayerGradCam(network, network.feature_layer).attribute(
        inputs.clone().requires_grad_(), 3, relu_attributions=True
    )
    places = maps.shape[1] * maps.shape[2]
    np.testing.assert_allclose(maps[3], captum.detach()[0, 0] * places, rtol=1e-3, atol=1e-4)
    quick = {
        "integrated-gradients": {"steps": 4},
        "lime": {"samples": 12, "segments": 4, "segmentation": "grid"},
    }
    for method in EXPLAINERS:
        made = explainer(method, **quick.get(method, {}))
        found = made.explain(classifier, phantom_radiograph(), classifier.targets[3])
        assert np.isfinite(found.grid).all() and np.ptp(found.grid) > 0


def test_the_fast_engine_agrees(members: list[Bundle], tmp_path: Path) -> None:
    bundle = open_bundle(store(*average(members, "mean"), tmp_path / "models"))
    fast, plain = (
        ServingModel(bundle, engine=engine, device="cpu").serving for engine in ("openvino", "torch")
    )
    inputs = prepare(phantom_radiograph().presentation(), fast.spec)
    np.testing.assert_allclose(fast.logits(inputs), plain.logits(inputs), rtol=1e-4, atol=1e-4)


def test_members_that_do_not_fit_are_refused(members: list[Bundle], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="two to sixteen"):
        average(members[:1], "mean")
    others = {
        "given other pictures": member(tmp_path, "large", 0, size=96),
        "answers other labels": member(tmp_path, "few", 0, heads=((Head.PNEUMONIA, (PNEUMONIA,)),)),
        "not linear after pooling": member(tmp_path, "deep", 0, stacks={Head.FINDINGS: "dense-128"}),
        "differ in size": member(tmp_path, "fine", 0, backbone="tiny"),
    }
    for words, other in others.items():
        with pytest.raises(ConfigurationError, match=words):
            average([members[0], other], "mean")
    made = open_bundle(store(*average(members[:2], "mean"), tmp_path / "models"))
    with pytest.raises(ConfigurationError, match="cannot be a member"):
        average([made, made], "mean-of-means")


def test_from_the_command_line(
    members: list[Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bundle in members[:2]:
        (tmp_path / "data" / "models").mkdir(parents=True, exist_ok=True)
        bundle.path.rename(tmp_path / "data" / "models" / bundle.card.id)
    monkeypatch.setenv("CXR_DATA_DIR", str(tmp_path / "data"))
    get_settings.cache_clear()
    try:
        made = CliRunner().invoke(app, ["models", "average", "first", "second", "--as", "mean"])
        assert made.exit_code == 0, made.output
        assert open_bundle(tmp_path / "data" / "models" / "mean").card.architecture.backbone == "average"
        before = sorted(tmp_path.rglob("*"))
        refused = CliRunner().invoke(app, ["models", "average", "first", "second", "--as", "../x"])
        assert refused.exit_code == 2 and "lower case letters" in refused.output
        assert sorted(tmp_path.rglob("*")) == before, "an id that would leave the folder writes nothing"
    finally:
        get_settings.cache_clear()
