"""What a run takes from a bundle: the backbone, and answers for labels of the same name; nothing that would leak."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.small_models import small_card, small_network

from cxrviewer.classifiers.bundle import pack, save_bundle
from cxrviewer.classifiers.card import ArchitectureCard
from cxrviewer.classifiers.classifier import Architecture, Classifier
from cxrviewer.classifiers.preparing import InputSpec
from cxrviewer.errors import ConfigurationError, ModelBundleError, SplitError
from cxrviewer.labels import NIH_14, PNEUMONIA, Head
from cxrviewer.settings import get_settings
from cxrviewer.training.beginning import beginning
from cxrviewer.training.config import Stage, TrainingConfig
from cxrviewer.training.fit import fit, load_state
from cxrviewer.training.run_folder import RunFolder
from cxrviewer.training.starting import take_bundle

Build = Callable[..., TrainingConfig]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return save_bundle(tmp_path / "models", pack(small_network()), small_card("start-1"))


def network(heads: tuple[tuple[Head, tuple[str, ...]], ...], **changes: object) -> Classifier:
    torch.manual_seed(5)
    return Classifier(Architecture("tiny", heads, InputSpec(64), **changes))  # type: ignore[arg-type]


def test_the_backbone_and_labels_of_the_same_name_are_taken(bundle: Path) -> None:
    """Two of three findings are known there, in another order; the pneumonia head is not asked for."""
    theirs = small_network()
    own = network(((Head.FINDINGS, ("Edema", "Scoliosis", "Atelectasis")),))
    before = own.heads["findings"].weight.detach().clone()
    words = take_bundle(own, bundle)
    assert "its backbone, and its answers for Edema, Atelectasis." in words and "start-1" in words
    for name, tensor in theirs.backbone.state_dict().items():
        torch.testing.assert_close(
            own.backbone.state_dict()[name], tensor.half().to(tensor.dtype), atol=1e-3, rtol=1e-3
        )
    weight, given = own.heads["findings"].weight, theirs.heads["findings"].weight
    for row, label in ((0, "Edema"), (2, "Atelectasis")):
        torch.testing.assert_close(weight[row], given[NIH_14.index(label)], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(weight[1], before[1])


def test_a_softmax_head_takes_the_answer_as_a_difference(bundle: Path) -> None:
    own = network(((Head.PNEUMONIA, (PNEUMONIA,)),), two_way=frozenset({Head.PNEUMONIA}))
    take_bundle(own, bundle)
    theirs, pictures = small_network(), torch.randn(3, 1, 64, 64)
    torch.testing.assert_close(own.eval()(pictures)[:, 0], theirs(pictures)[:, 0], atol=0.02, rtol=0.02)


def test_a_head_of_other_layers_begins_anew(bundle: Path) -> None:
    own = network(((Head.PNEUMONIA, (PNEUMONIA,)),), stacks={Head.PNEUMONIA: "dense-128"})
    before = {k: v.clone() for k, v in own.heads.state_dict().items()}
    assert "the heads begin anew" in take_bundle(own, bundle)
    assert all(torch.equal(v, before[k]) for k, v in own.heads.state_dict().items())


def test_another_backbone_is_refused(bundle: Path) -> None:
    own = Classifier(Architecture("resnet18", input=InputSpec(64)))
    with pytest.raises(ConfigurationError, match="Model start-1 is a tiny, and this run asks for resnet18"):
        take_bundle(own, bundle)


def test_other_channels_are_refused(bundle: Path) -> None:
    with pytest.raises(ConfigurationError, match="other options, channels or picture size"):
        take_bundle(Classifier(Architecture("tiny", input=InputSpec(64, 3))), bundle)


def test_damaged_weights_are_refused(bundle: Path) -> None:
    file = bundle / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(ModelBundleError, match="hash differs"):
        take_bundle(small_network(), bundle)


def test_a_bundle_is_found_by_folder_or_by_id(
    tiny_config: Build, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run")
    assert beginning(tiny_config(start=str(bundle)), run, lambda *_: None) == bundle
    monkeypatch.setenv("CXR_DATA_DIR", str(tmp_path))
    get_settings.cache_clear()
    try:
        assert beginning(tiny_config(start="start-1"), run, lambda *_: None) == bundle
        with pytest.raises(ModelBundleError, match="no model of that id"):
            beginning(tiny_config(start="start-2"), run, lambda *_: None)
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()


def test_a_run_starts_from_a_bundle(tiny_config: Build, tmp_path: Path) -> None:
    """At no learning rate the heads end as they began; the log says what was taken."""
    config = tiny_config(learning_rate=1e-30, stages=(Stage(size=32, epochs=1, trains="heads"),), ema_decay=0.0,
                         start="x")  # fmt: skip
    theirs = small_network(size=32)
    card = small_card("start-1", theirs.architecture)
    folder = save_bundle(tmp_path / "models", pack(theirs), card)
    run = RunFolder(tmp_path / "run")
    state = load_state(fit(config, run, start=folder))
    torch.testing.assert_close(
        state["classifier.heads.pneumonia.weight"], theirs.heads["pneumonia"].weight, atol=1e-3, rtol=1e-3
    )
    log = (run.path / "log.txt").read_text()
    assert "starts from model start-1: its backbone, and its answers for pneumonia, Atelectasis" in log
    assert "It does not say which pictures it has learnt" in log


def test_a_bundle_that_has_seen_what_judges_it_is_refused(tiny_config: Build, tmp_path: Path) -> None:
    """Its split.csv goes with it: the same parts are fine, other ones are not."""
    first = RunFolder(tmp_path / "first")
    fit(tiny_config(stages=(Stage(size=32, epochs=1),)), first)
    theirs = small_network(size=32)
    folder = save_bundle(tmp_path / "models", pack(theirs), small_card("start-1", theirs.architecture))
    shutil.copyfile(first.path / "split.csv", folder / "split.csv")
    fit(tiny_config(stages=(Stage(size=32, epochs=1),)), RunFolder(tmp_path / "second"), start=folder)
    with pytest.raises(SplitError, match=r"have learnt \d+ pictures of this run's tune and report"):
        fit(tiny_config(split_seed=2), RunFolder(tmp_path / "third"), start=folder)


def test_a_segmentation_model_is_no_start(tmp_path: Path) -> None:
    theirs = small_network()
    card = small_card("start-1").model_copy(update={"task": "segmentation"})
    assert isinstance(card.architecture, ArchitectureCard)
    folder = save_bundle(tmp_path, pack(theirs), card)
    with pytest.raises((ConfigurationError, ModelBundleError)):
        take_bundle(theirs, folder)
