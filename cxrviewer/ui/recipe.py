"""The launch page's form as a table: which fields of a recipe stand in which group, and what they are called."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from cxrviewer.labels import PNEUMONIA, Head
from cxrviewer.training.config import TrainingConfig, sentences_of


@dataclass(frozen=True)
class Ask:
    """A field by its path, its label and what it means. half: two of them share a line."""

    path: str
    label: str
    more: str = ""
    half: bool = False


@dataclass(frozen=True)
class Group:
    """Fields that are asked for at once, and those that are folded away."""

    title: str
    main: tuple[Ask, ...]
    advanced: tuple[Ask, ...]


GROUPS = (
    Group("Data", (), (
        Ask("split_seed", "Seed of the split", "Runs of other seeds are then judged by the same pictures."),
        Ask("auxiliary", "Labels learnt beside", "Taught, and left out of the model; names, with commas."),
        Ask("auxiliary_weight", "Their weight"),
        Ask("mask_weight", "Weight of the lung masks", "Above 0 the network also learns to draw the lungs."),
        Ask("findings_weight", "Weight of the findings", "Beside the pneumonia head's 1."),
        Ask("loss.sampler", "Draws", "Balanced: pictures of rare labels are drawn more often."),
    )),
    Group("Network", (
        Ask("backbone", "Network"),
        Ask("pretrained", "Start from published weights", "Of ImageNet; fetched once, then kept."),
        Ask("dropout", "Dropout"),
    ), (
        Ask("start", "Start from", "A model's folder, a checkpoint or a recipe file."),
        Ask("backbone_options", "Options of the network", "As JSON, for networks that have some."),
        Ask("serve_size", "Size in serving", "0: the last stage's."),
        Ask("ema_decay", "Averaging of weights (EMA)", "0 turns it off."),
        Ask("distillation.teachers", "Learn from models", "Their ids or folders, with commas."),
        Ask("distillation.weight", "Weight of these teachers", "Where a label is stated."),
        Ask("distillation.unstated", "Teachers alone where nothing is stated"),
        Ask("swa_epochs", "Epochs averaged at the end (SWA)", "In place of EMA; Izmailov et al., UAI 2018. 0: none."),
    )),
    Group("Learning", (
        Ask("batch_size", "Batch", half=True),
        Ask("learning_rate", "Learning rate", half=True),
        Ask("loss.kind", "Loss", "Labels that are not stated never count."),
        Ask("optimisation.optimizer", "Optimiser", half=True),
        Ask("optimisation.schedule", "Schedule", half=True),
    ), (
        Ask("optimisation.momentum", "Momentum"),
        Ask("weight_decay", "Weight decay"),
        Ask("warmup", "Warm-up", "Share of the steps."),
        Ask("optimisation.patience", "Patience of plateau", "Epochs without gain until the rate is divided by 10."),
        Ask("optimisation.step_epochs", "Epochs of a step", "After which the step schedule divides the rate by 10."),
        Ask("optimisation.clip", "Largest gradient", "Its norm; 0: no limit."),
        Ask("optimisation.accumulate", "Batches to a step"),
        Ask("optimisation.stop_after", "Stop early after", "Epochs without gain on tune; 0: never."),
        Ask("optimisation.keep", "Weights to publish"),
        Ask("loss.gamma", "Gamma of the focal loss"),
        Ask("loss.smoothing", "Label smoothing", "Share of a label's certainty that is taken away."),
        Ask("precision", "Precision"),
        Ask("deterministic", "Repeatable to the bit", "Slower on a GPU."),
        Ask("seed", "Seed"),
        Ask("sensitivity", "Sensitivity of the operating points"),
        Ask("scope_epochs", "Epochs of the scope network", "It tells chest radiographs from others. 0: none."),
    )),
    Group("Picture", (
        Ask("preparation.shape", "Shape", "The whole picture squashed to a square, or its central square."),
        Ask("preparation.normalisation", "Grey values"),
        Ask("preparation.lungs", "Lungs", "Moved to lie as in a template, by a mask, or cut out."),
        Ask("preparation.harmonise", "Less of the machine", "Histogram matching or CLAHE."),
    ), (
        Ask("preparation.channels", "Channels"),
        Ask("augmentation.degrees", "Rotation, degrees"),
        Ask("augmentation.shift", "Shift, share of the side"),
        Ask("augmentation.scale", "Scale"),
        Ask("augmentation.aspect", "Stretch"),
        Ask("augmentation.gamma", "Gamma"),
        Ask("augmentation.contrast", "Contrast"),
        Ask("augmentation.noise", "Noise"),
        Ask("augmentation.erase", "Erased rectangles, share of pictures"),
        Ask("augmentation.surroundings", "Other surroundings, share of pictures"),
        Ask("augmentation.blend", "Blended, share of pictures"),
        Ask("augmentation.flip", "Mirror",
            "Off: a mirrored heart is on the wrong side, and a network that sees it learns nothing from sides."),
    )),
)  # fmt: skip
"""Everything of a recipe but its id, data sets, heads and stages, which have forms of their own."""

STAGE = (
    Ask("size", "Picture, px"),
    Ask("epochs", "Epochs"),
    Ask("trains", "Trains"),
    Ask("layers", "Last blocks"),
    Ask("learning_rate", "Own rate"),
)

WORDS = {
    "weighted-bce": "weighted cross-entropy a label", "bce": "cross-entropy a label", "focal": "focal",
    "cross-entropy": "cross-entropy of two classes", "uniform": "every picture alike",
    "balanced": "rare labels more often", "all": "all of it", "heads": "the heads alone",
    "last": "heads and last blocks",
    "squash": "squashed to a square", "crop": "cut to the lungs", "per-image": "each picture by itself",
    "zero-one": "0 to 1", "minus-one-one": "-1 to 1", "imagenet": "as ImageNet", "none": "as they are",
    "template": "laid on a template", "align": "aligned by their mask", "histogram": "histogram matching",
    "clahe": "CLAHE", "adamw": "AdamW", "adam": "Adam", "adamax": "Adamax", "rmsprop": "RMSprop",
    "sgd": "SGD with momentum", "32-true": "32 bit", "bf16-mixed": "bfloat16", "16-mixed": "float16",
    "linear": "one layer", "dense-128": "128 units, dropout 0.1", "dense-512-128-32": "512, 128, 32 units",
    "sigmoid": "a sigmoid a label", "softmax": "two classes a label",
}  # fmt: skip
"""How choices read; one that lacks reads as it is written in the recipe."""

SPECIAL_WORDS = {
    ("preparation.shape", "crop"): "its central square",
    ("preparation.harmonise", "none"): "as it is",
    ("optimisation.keep", "last"): "the last epoch's",
    ("optimisation.keep", "best"): "the best on tune",
}

OWN = "chosen labels"
BINARY: dict[str, Any] = {"name": Head.PNEUMONIA.value, "labels": [PNEUMONIA]}
HEADS: dict[str, list[dict[str, Any]]] = {
    "pneumonia and 14 findings": [BINARY, {"name": Head.FINDINGS.value, "labels": "nih-14"}],
    "pneumonia": [BINARY],
    "14 findings (ChestX-ray14)": [{"name": Head.FINDINGS.value, "labels": "nih-14"}],
    "14 observations (CheXpert)": [{"name": Head.FINDINGS.value, "labels": "chexpert-14"}],
}
"""What a network can be asked to answer, beside labels chosen one by one."""


def word(path: str, value: Any) -> str:
    """How a choice of a field reads."""
    return SPECIAL_WORDS.get((path, value)) or WORDS.get(str(value), str(value))


def info_of(path: str, model: type[BaseModel] = TrainingConfig) -> FieldInfo:
    """The field at a path (`optimisation.clip`)."""
    first, _, rest = path.partition(".")
    info = model.model_fields[first]
    return info_of(rest, info.annotation) if rest else info  # type: ignore[arg-type]


def defaults() -> dict[str, Any]:
    """A recipe as it is before anything is chosen: a short pneumonia run."""
    values: dict[str, Any] = json.loads(TrainingConfig.model_construct(id="", sources=()).model_dump_json())
    return values | {
        "heads": [dict(head) for head in HEADS["pneumonia"]],
        "stages": [{"size": 128, "epochs": 4}],
    }


def suggested_id(values: Mapping[str, Any], now: float | None = None) -> str:
    """`densenet121-1121-0905`: what a run is called unless it is given a name."""
    stem = re.sub(r"[^a-z0-9._-]+", "-", str(values.get("backbone", "run")).lower()).strip("-.") or "run"
    return f"{stem[:40]}-{time.strftime('%m%d-%H%M', time.localtime(now))}"


def heads_word(heads: Sequence[Mapping[str, Any]]) -> str:
    """Which of the choices a recipe's heads are."""
    plain = [{"name": head.get("name"), "labels": head.get("labels")} for head in heads]
    return next((title for title, known in HEADS.items() if known == plain), OWN)


def read_recipe(values: Mapping[str, Any]) -> tuple[TrainingConfig | None, tuple[str, ...]]:
    """The recipe, or a sentence for each value that is wrong."""
    try:
        return TrainingConfig.model_validate_json(json.dumps(values)), ()
    except ValidationError as exc:
        return None, tuple(f"{sentence}." for sentence in sentences_of(exc))
