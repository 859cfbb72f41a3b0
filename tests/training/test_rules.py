"""Each wrong combination is refused with its sentence, and what is right beside it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cxrviewer.errors import ConfigurationError
from cxrviewer.training.config import TrainingConfig, load_config, refusal

SOURCE = {"name": "kermany", "root": "/data/kermany"}
PNEUMONIA = {"name": "pneumonia", "labels": ["pneumonia"]}
FINDINGS = {"name": "findings", "labels": "nih-14"}
NO_TUNE = {"sources": [SOURCE | {"tune": 0}]}


def values(**changes: Any) -> dict[str, Any]:
    return {"id": "a", "sources": [SOURCE]} | changes


WRONG = [
    ({"sources": [SOURCE | {"folds": 2}]}, "sources.0.folds: there is no fold 0 of 2"),
    ({"sources": [SOURCE | {"folds": 5, "fold": 5}]}, "sources.0.folds: there is no fold 5 of 5"),
    ({"sources": [SOURCE | {"tune": 0.6, "report": 0.6}]}, "sources.0.tune: .* more than the whole"),
    ({"sources": [SOURCE | {"tune": 0, "report": 1}]}, "sources: tune and report leave no picture"),
    ({"sources": [SOURCE, SOURCE]}, "sources: kermany in /data/kermany stands twice"),
    ({"heads": []}, "heads: a network without a head"),
    ({"heads": [PNEUMONIA, PNEUMONIA]}, "heads: the pneumonia head stands twice"),
    ({"heads": [FINDINGS | {"labels": "nih-15"}]}, "heads.0.labels: there is no vocabulary called nih-15"),
    ({"heads": [FINDINGS | {"labels": []}]}, "heads.0.labels: a head without labels"),
    ({"heads": [FINDINGS | {"labels": ["Mass", "Mass"]}]}, "heads.0.labels: Mass stands twice"),
    ({"heads": [FINDINGS | {"output": "softmax"}]}, "heads.0.output: .* this head has 14 labels"),
    ({"auxiliary": ["bacterial", "bacterial"]}, "auxiliary: bacterial stands twice"),
    ({"auxiliary": ["Mass"]}, "auxiliary: Mass is a head's label already"),
    ({"backbone": "alexnet"}, "backbone: There is no backbone called alexnet"),
    ({"backbone_options": {"depth": 3}}, "backbone_options: The options of densenet121 are refused"),
    ({"backbone": "inception-v3", "stages": [{"size": 64}]}, "stages.0.size: .* at least 75 pixels"),
    ({"backbone": "vit-b16", "stages": [{"size": 224}], "serve_size": 100}, "serve_size: .*multiple of 16"),
    (
        {"backbone": "small-cnn", "stages": [{"size": 96}, {"size": 128}]},
        "stages: .*built for one picture size",
    ),
    ({"backbone": "resnetv2-152", "pretrained": True}, "pretrained: .*no published weights. Take resnet152"),
    ({"pretrained": True, "start": "a.ckpt"}, "pretrained: the weights of start would replace"),
    ({"stages": []}, "stages: a run needs a stage"),
    ({"stages": [{"layers": 3}]}, "stages.0.layers: layers counts with"),
    ({"stages": [{"size": 100}], "mask_weight": 0.3}, "stages.0.size: lung masks .* 100 is none"),
    (
        {"stages": [{"trains": "heads"}]},
        "stages: the backbone begins with random weights and no stage trains it",
    ),
    ({"loss": {"kind": "cross-entropy"}}, "loss.kind: cross-entropy is for two classes"),
    (
        {"batch_size": 1, "heads": [PNEUMONIA | {"stack": "dense-512-128-32"}]},
        "batch_size: .*two pictures or more",
    ),
    (NO_TUNE | {"optimisation": {"stop_after": 2}}, "optimisation.stop_after: without a tune part"),
    (
        NO_TUNE | {"optimisation": {"schedule": "plateau"}},
        "optimisation.schedule: plateau goes by the tune part",
    ),
    (NO_TUNE | {"optimisation": {"keep": "best"}}, "optimisation.keep: without a tune part"),
    ({"swa_epochs": 2}, "swa_epochs: the last 2 of 1 epochs"),
    (
        {"stages": [{"epochs": 5}], "swa_epochs": 2, "optimisation": {"stop_after": 2}},
        "swa_epochs: .*stop_after",
    ),
    (
        {"stages": [{"epochs": 5}], "swa_epochs": 2, "optimisation": {"keep": "best"}},
        "swa_epochs: .*keep last",
    ),
]

RIGHT = [
    {"sources": [SOURCE | {"folds": 5, "fold": 4}], "optimisation": {"stop_after": 2, "keep": "best"}},
    {"sources": [SOURCE | {"tune": 0, "report": 1}, {"name": "nih", "root": "x"}]},
    {"sources": [SOURCE | {"tune": 0, "split": "official"}], "optimisation": {"schedule": "plateau"}},
    {"heads": [PNEUMONIA | {"output": "softmax"}], "loss": {"kind": "cross-entropy"}},
    {"heads": [PNEUMONIA | {"output": "softmax"}, FINDINGS], "loss": {"kind": "cross-entropy"}},
    {"backbone": "inception-v3", "stages": [{"size": 75}]},
    {
        "stages": [{"trains": "heads"}, {"trains": "last", "layers": 2, "learning_rate": 1e-4}],
        "pretrained": True,
    },
    {"stages": [{"trains": "heads"}, {"trains": "all"}]},
    {"stages": [{"size": 96, "epochs": 3}], "mask_weight": 0.3, "swa_epochs": 3},
]


@pytest.mark.parametrize(("change", "sentence"), WRONG)
def test_a_wrong_combination_is_named(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    file = tmp_path / "c.json"
    file.write_text(json.dumps(values(**change)))
    with pytest.raises(ConfigurationError, match=f"^The configuration is refused: {sentence}") as from_file:
        load_config(file)
    # A page builds the recipe itself, and says the same.
    with pytest.raises(ValidationError) as caught:
        TrainingConfig.model_validate(values(**change))
    assert str(refusal(caught.value)) == str(from_file.value)
    assert "Value error" not in str(from_file.value)


@pytest.mark.parametrize("change", RIGHT)
def test_a_right_one_is_taken(change: dict[str, Any]) -> None:
    assert TrainingConfig.model_validate(values(**change))


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        TrainingConfig.model_validate(values(swa_epochs=9, loss={"kind": "cross-entropy"}))
    words = str(refusal(caught.value))
    assert "loss.kind: cross-entropy" in words and "swa_epochs: the last 9" in words


@pytest.mark.parametrize(
    "recipe", sorted(Path("docs/recipes").glob("densenet*.json")), ids=lambda path: path.stem
)
def test_the_shipped_recipes_are_right(recipe: Path) -> None:
    assert load_config(recipe).id == recipe.stem
