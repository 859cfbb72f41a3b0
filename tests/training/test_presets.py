"""Every preset is a valid recipe for its data sets, says where it comes from, and stands in the manual."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxrviewer.classifiers.backbones import backbone
from cxrviewer.datasets import DATASETS
from cxrviewer.errors import ConfigurationError, NotFoundError
from cxrviewer.training.config import TrainingConfig
from cxrviewer.training.material import architecture_of
from cxrviewer.training.presets import PRESETS, preset


def built(name: str) -> TrainingConfig:
    roots = [f"/data/{k}" for k in range(len(PRESETS[name].sources))]
    return PRESETS[name].config("my-run", roots)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_recipe(name: str) -> None:
    config, entry = built(name), PRESETS[name]
    assert config.id == "my-run"
    assert [source.root for source in config.sources] == [f"/data/{k}" for k in range(len(config.sources))]
    assert set(entry.datasets) <= set(DATASETS)
    assert not config.augmentation.flip
    # As a file it reads back the same, and its network exists.
    assert TrainingConfig.model_validate_json(config.model_dump_json()) == config
    assert architecture_of(config).targets
    if config.pretrained:
        assert backbone(config.backbone).weights is not None


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_what_it_repeats_and_what_differs(name: str) -> None:
    entry = PRESETS[name]
    assert entry.title and entry.repeats and entry.differs
    assert entry.published or name.startswith("quick-")
    manual = Path(__file__).resolve().parents[2] / "docs" / "training.md"
    assert f"`{name}`" in manual.read_text(encoding="utf-8")


def test_what_the_presets_are_named_after() -> None:
    """The figures of the recipes they repeat."""
    tfrecord, two = built("nih-tfrecord-inception"), built("kermany-resnet152-two-phases")
    assert len(architecture_of(tfrecord).targets) == 15 and tfrecord.backbone == "inception-v3"
    assert [stage.trains for stage in two.stages] == ["heads", "last"]
    assert two.stages[0].learning_rate != two.stages[1].learning_rate
    assert (
        built("nih-densenet121-320").size == 320 and built("nih-densenet121-320").loss.kind == "weighted-bce"
    )
    scratch = built("chexpert-densenet121")
    assert not scratch.pretrained and not scratch.start and scratch.optimisation.optimizer == "adam"
    applied = built("siim-pneumothorax").sources[1]
    assert (applied.name, applied.tune, applied.report) == ("chexpert", 0.0, 1.0)


def test_a_folder_is_asked_for_each_data_set() -> None:
    with pytest.raises(
        ConfigurationError, match=r"learns from 2 folders \(siim, chexpert\), and 1 are given"
    ):
        PRESETS["siim-pneumothorax"].config("a", ["/data"])


def test_a_wrong_id_and_a_wrong_name_are_told() -> None:
    with pytest.raises(ConfigurationError, match="id: "):
        PRESETS["quick-nih"].config("../up", ["/data"])
    with pytest.raises(NotFoundError, match=r"no preset called x. Choose one of quick-kermany"):
        preset("x")
