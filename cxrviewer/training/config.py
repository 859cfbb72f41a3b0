"""A training run's configuration: validated, frozen, and the same as JSON (`config.json`)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from cxrviewer.errors import ConfigurationError, NotFoundError
from cxrviewer.files import read_small
from cxrviewer.labels import PNEUMONIA, Head
from cxrviewer.training.rules import faults

Recipe = TypeVar("Recipe", bound=BaseModel)

_MOST_BYTES = 2**20


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Frozen):
    """One data set. `draws`: pictures drawn from it an epoch (0: all of them once).

    options: what its reader lets one choose (docs/datasets.md). split: by patient, by patient with every label spread
    evenly, or the owner's own parts. folds, fold: k-fold instead of that; the fold, from 0, is reported on. together:
    a CSV whose columns a and b name near-duplicates, which then stay in one part; "": identical files alone do.
    """

    name: str
    root: str
    options: dict[str, JsonValue] = {}
    split: Literal["patient", "stratified", "official"] = "patient"
    folds: int = Field(default=0, ge=0, le=100)
    fold: int = Field(default=0, ge=0)
    draws: int = Field(default=0, ge=0)
    tune: float = Field(default=0.1, ge=0, le=1)
    report: float = Field(default=0.1, ge=0, le=1)
    together: str = ""


class HeadChoice(_Frozen):
    """One head: what it answers, and what lies between the pooled features and its logits.

    labels: a vocabulary of `labels.VOCABULARIES`, or the labels themselves in output order. stack: `linear`;
    `dense-128`: 128 units and dropout 0.1; `dense-512-128-32`: so many units, the first two with batch norm. output:
    one sigmoid a label, or two classes a label under a softmax, which the finished network serves as their difference.
    """

    name: Head
    labels: str | tuple[str, ...]
    stack: Literal["linear", "dense-128", "dense-512-128-32"] = "linear"
    output: Literal["sigmoid", "softmax"] = "sigmoid"


class Stage(_Frozen):
    """Some epochs at one picture size (growing pictures make the early ones cheap), of all the network or a part.

    trains: the whole network, its heads alone, or the heads and the last `layers` blocks of the backbone.
    learning_rate: where a stage names its own, the schedule begins anew with it: so two phases are two stages.
    """

    size: int = Field(default=224, ge=32, le=1024)
    epochs: int = Field(default=1, ge=1)
    trains: Literal["all", "heads", "last"] = "all"
    layers: int = Field(default=1, ge=1)
    learning_rate: float | None = Field(default=None, gt=0)


class Preparation(_Frozen):
    """What happens to a picture before the network, in training and in serving alike (`classifiers/preparing.py`).

    shape: the whole picture squashed to a square, or its central square. normalisation: of the grey values. harmonise:
    less of what differs between machines. lungs: the picture as it is, moved so that the lungs lie as in a template,
    moved so by a lung network's mask, or cut to the lungs' box.
    """

    shape: Literal["squash", "crop"] = "squash"
    normalisation: Literal["per-image", "zero-one", "minus-one-one", "imagenet"] = "per-image"
    harmonise: Literal["none", "histogram", "clahe"] = "none"
    lungs: Literal["none", "template", "align", "crop"] = "none"
    channels: Literal[1, 3] = 1


class Loss(_Frozen):
    """What is made small. Labels that are not stated never count.

    weighted-bce: by class frequencies (w_pos, w_neg); focal: Lin et al., ICCV 2017, with `gamma`; cross-entropy: for
    heads of two classes. smoothing: share of a label's certainty that is taken away. sampler: `balanced` draws pictures
    of rare labels more often.
    """

    kind: Literal["weighted-bce", "bce", "focal", "cross-entropy"] = "weighted-bce"
    gamma: float = Field(default=2.0, ge=0, le=10)
    smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    sampler: Literal["uniform", "balanced"] = "uniform"


class Optimisation(_Frozen):
    """How the weights move. patience: epochs without gain until `plateau` divides the rate by 10.

    step_epochs: after how many epochs `step` divides it by 10. clip: largest gradient norm (0: none). accumulate:
    batches to a step. stop_after: epochs without gain on tune after which a run ends (0: never). keep: whether the
    last epoch's weights are published, or the tune part's best.
    """

    optimizer: Literal["adamw", "adam", "adamax", "rmsprop", "sgd"] = "adamw"
    momentum: float = Field(default=0.9, ge=0, lt=1)
    schedule: Literal["one-cycle", "cosine", "plateau", "step", "constant"] = "one-cycle"
    patience: int = Field(default=2, ge=1)
    step_epochs: int = Field(default=10, ge=1)
    clip: float = Field(default=1.0, ge=0)
    accumulate: int = Field(default=1, ge=1)
    stop_after: int = Field(default=0, ge=0)
    keep: Literal["last", "best"] = "last"


class Augmentation(_Frozen):
    """How far a training picture may be moved and changed.

    flip: mirror every second picture. Off, because a mirrored radiograph has its heart on the wrong side: a network
    that is shown such pictures learns that the side means nothing.
    surroundings: share of the pictures with a lung mask whose lungs come to stand in another's surroundings;
    blend: share of the pictures that are mixed with another one, labels and all.
    """

    degrees: float = Field(default=12.0, ge=0, le=45)
    shift: float = Field(default=0.08, ge=0, le=0.5)
    scale: float = Field(default=0.12, ge=0, le=0.5)
    aspect: float = Field(default=0.08, ge=0, le=0.5)
    gamma: float = Field(default=0.3, ge=0, le=1)
    contrast: float = Field(default=0.25, ge=0, le=1)
    noise: float = Field(default=0.03, ge=0, le=0.5)
    erase: float = Field(default=0.25, ge=0, le=1)
    flip: bool = False
    surroundings: float = Field(default=0.0, ge=0, le=1)
    blend: float = Field(default=0.0, ge=0, le=1)


class Distillation(_Frozen):
    """Finished networks to learn from, each by its bundle's folder or its model id (`training/distilling.py`).

    weight: how much their mean counts where a label is stated. unstated: it alone counts where none is stated, so that
    pictures without labels teach too.
    """

    teachers: tuple[str, ...] = ()
    weight: float = Field(default=0.7, gt=0, le=1)
    unstated: bool = False


class TrainingConfig(_Frozen):
    """Everything that decides what a run does. Sizes in pixels, rates a step, fractions in [0, 1].

    backbone_options: what the backbone lets one choose. start: what this run's weights begin with: a bundle's folder, a
    checkpoint (its averaged weights), or a recipe, which is then trained first unless its finished run lies beside this
    one ("": random weights, or with `pretrained` torchvision's).
    serve_size: picture size of the finished network where another than the last stage's did better on tune (0: that).
    draws of a source and the stages' epochs decide the length; ema_decay 0 turns weight averaging off; swa_epochs > 0
    averages the weights of so many last epochs instead (Izmailov et al., UAI 2018).
    auxiliary: labels learnt beside the heads; mask_weight > 0 adds the lung masks. sensitivity: what the operating
    points are chosen for. scope_epochs: of the network that tells chest radiographs from others (0: none).
    split_seed: of the parts alone, so that runs of other seeds are judged by the same pictures.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    sources: tuple[Source, ...] = Field(min_length=1)
    heads: tuple[HeadChoice, ...] = (
        HeadChoice(name=Head.PNEUMONIA, labels=(PNEUMONIA,)),
        HeadChoice(name=Head.FINDINGS, labels="nih-14"),
    )
    backbone: str = "densenet121"
    backbone_options: dict[str, JsonValue] = {}
    start: str = ""
    pretrained: bool = False
    stages: tuple[Stage, ...] = (Stage(),)
    serve_size: int = Field(default=0, ge=0, le=1024)
    preparation: Preparation = Preparation()
    batch_size: int = Field(default=32, ge=1)
    loss: Loss = Loss()
    optimisation: Optimisation = Optimisation()
    distillation: Distillation = Distillation()
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.02, ge=0)
    warmup: float = Field(default=0.15, gt=0, lt=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    ema_decay: float = Field(default=0.998, ge=0, lt=1)
    swa_epochs: int = Field(default=0, ge=0)
    augmentation: Augmentation = Augmentation()
    auxiliary: tuple[str, ...] = ()
    auxiliary_weight: float = Field(default=0.3, ge=0)
    mask_weight: float = Field(default=0.0, ge=0)
    findings_weight: float = Field(default=1.0, gt=0)
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    deterministic: bool = False
    seed: int = Field(default=1, ge=0)
    split_seed: int = Field(default=1, ge=0)
    sensitivity: float = Field(default=0.9, gt=0, lt=1)
    scope_epochs: int = Field(default=12, ge=0)

    @model_validator(mode="after")
    def _goes_together(self) -> TrainingConfig:
        if found := faults(self):
            raise ValueError("; ".join(f"{where}: {sentence}" for where, sentence in found))
        return self

    @property
    def epochs(self) -> int:
        """Epochs of all stages together."""
        return sum(stage.epochs for stage in self.stages)

    def stage_at(self, epoch: int) -> Stage:
        """The stage of an epoch, counted from 0; past the end it is the last one."""
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage
            epoch -= stage.epochs
        return self.stages[-1]

    def size_at(self, epoch: int) -> int:
        """The picture size of an epoch, counted from 0; past the end it is the last stage's."""
        return self.stage_at(epoch).size

    @property
    def size(self) -> int:
        """The size that the finished network serves at."""
        return self.serve_size or self.stages[-1].size


def load_config(path: Path) -> TrainingConfig:
    """Read a run's configuration. Raises as `read_as`."""
    return read_as(TrainingConfig, path)


def read_as(kind: type[Recipe], path: Path) -> Recipe:
    """Read a JSON file as a recipe. Raises NotFoundError, or ConfigurationError with a sentence a wrong value."""
    if not path.is_file():
        raise NotFoundError(
            "The configuration file does not exist.", "Name a JSON file; docs/training.md shows one."
        )
    try:
        return kind.model_validate_json(read_small(path, _MOST_BYTES))
    except ValidationError as exc:
        raise refusal(exc) from exc
    except OSError as exc:
        raise ConfigurationError(
            "The configuration file is larger than 1 MiB, or cannot be read.", "Name a recipe."
        ) from exc


def refusal(exc: ValidationError) -> ConfigurationError:
    """What a file and the command line say of a recipe with wrong values."""
    said = "; ".join(sentences_of(exc))
    return ConfigurationError(f"The configuration is refused: {said}.", "Correct these values.")


def sentences_of(exc: ValidationError) -> tuple[str, ...]:
    """A sentence for each wrong value, without its full stop: the same in a file, on the command line, on the page."""
    said = []
    for error in exc.errors():
        if error["type"] == "value_error":
            said.append(str(error["ctx"]["error"]))  # our own rules name the field themselves
        else:
            where = ".".join(str(part) for part in error["loc"]) or "file"
            said.append(f"{where}: {_PLAIN.get((where, error['type']), error['msg'])}")
    return tuple(said)


_PLAIN = {
    ("sources", "too_short"): "choose at least one data set",
    ("heads", "too_short"): "choose at least one answer",
    ("id", "string_pattern_mismatch"): "a name of small letters, digits, '.', '_' and '-', 64 at most",
}
"""Where the checking library's own words would puzzle."""
