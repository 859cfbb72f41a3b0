"""Run a training run, top to bottom: data, split, epochs, checkpoint."""

from __future__ import annotations

import logging
import pickle
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint

from cxrviewer.datasets.splits import Part, read_split
from cxrviewer.errors import ConfigurationError, NotFoundError, SplitError, UnreadableError
from cxrviewer.training.config import TrainingConfig
from cxrviewer.training.feeder import Feeder
from cxrviewer.training.lightning_module import ClassifierTraining
from cxrviewer.training.losses import class_weights
from cxrviewer.training.material import Material, architecture_of, gather, steps_of
from cxrviewer.training.reporter import Reporter, Tell
from cxrviewer.training.run_folder import RunFolder

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


def fit(
    config: TrainingConfig,
    run: RunFolder,
    resume: bool = False,
    tell: Tell | None = None,
    start: Path | None = None,
) -> Path:
    """Train to the end and return the last checkpoint (averaged weights under `state_dict`).

    start: the checkpoint whose weights a run that is not resumed begins with.
    Raises CxrError: label files, split, configuration, a loss that is no number, or a cancel.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # it greets and advises at INFO
    lightning.seed_everything(config.seed, verbose=False)
    split = run.path / "split.csv"
    material = gather(config, split if resume and split.is_file() else None)
    run.write_split(material.split)
    module = training_module(config, material)
    if start is not None and not resume:
        refuse_leak(material, start)
        start_from(module, start)
    trainer = lightning.Trainer(
        max_epochs=config.epochs,
        accelerator="auto",
        devices=1,
        precision=precision_of(config),
        callbacks=list(_callbacks(config, run, module.steps, tell)),
        logger=False,
        default_root_dir=str(run.path),
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
    )
    feeder = Feeder(config, material, run.say, run.stop_if_asked)
    last = run.checkpoint
    with _without_known_warnings():
        trainer.fit(
            module, feeder, ckpt_path=str(last) if resume and last.is_file() else None, weights_only=True
        )
    return last


def training_module(config: TrainingConfig, material: Material) -> ClassifierTraining:
    """The network with its losses, balanced by the train part's class frequencies."""
    train = torch.from_numpy(material.targets[material.chosen(Part.TRAIN)])
    return ClassifierTraining(
        config, architecture_of(config), class_weights(train), steps_of(config, material)
    )


def refuse_leak(material: Material, checkpoint: Path) -> None:
    """Raises SplitError where the weights to start from have learnt a picture that this run judges by."""
    split = checkpoint.parent.parent / "split.csv"
    if not split.is_file():
        return
    learnt = {(row.dataset, row.image) for row in read_split(split) if row.part is Part.TRAIN}
    leaked = sum(row.part is not Part.TRAIN and (row.dataset, row.image) in learnt for row in material.split)
    if leaked:
        raise SplitError(
            f"The weights to start from have learnt {leaked} pictures of this run's tune and report parts.",
            "Use the earlier run's sources, fractions and split_seed.",
        )


def start_from(module: ClassifierTraining, checkpoint: Path) -> None:
    """Take over the classifier of an earlier run. Raises NotFoundError or ConfigurationError."""
    state = {k: v for k, v in load_state(checkpoint).items() if k.startswith("classifier.")}
    wanted = {k: v.shape for k, v in module.state_dict().items() if k.startswith("classifier.")}
    if {k: v.shape for k, v in state.items()} != wanted:
        raise ConfigurationError(
            "The checkpoint to start from holds another network.", "Choose the same backbone and vocabulary."
        )
    module.load_state_dict(state, strict=False)


def epochs_in(checkpoint: Path) -> int:
    """Finished epochs that a checkpoint holds; 0 where there is none. Raises UnreadableError."""
    return int(_load(checkpoint)["epoch"]) + 1 if checkpoint.is_file() else 0


def load_state(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The (averaged) weights of a checkpoint: tensors only, no code. Raises NotFoundError or UnreadableError."""
    if not checkpoint.is_file():
        raise NotFoundError("The run has no checkpoint yet.", "Let it finish an epoch first.")
    state: dict[str, torch.Tensor] = _load(checkpoint)["state_dict"]
    return state


def _load(checkpoint: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = torch.load(checkpoint, "cpu", weights_only=True)
        if not {"state_dict", "epoch"} <= content.keys():
            raise KeyError
    except (pickle.UnpicklingError, RuntimeError, KeyError, AttributeError, EOFError) as exc:
        raise UnreadableError(
            "The checkpoint is damaged.", "Resume from another one, or start again."
        ) from exc
    return content


@contextmanager
def _without_known_warnings() -> Iterator[None]:
    """Two that say nothing to a reader of the log; every other warning stays."""
    with warnings.catch_warnings():
        # Lightning 2.6 asks torch 2.15 in a way that torch will drop; nothing in this repository can mend it.
        warnings.filterwarnings("ignore", r".*LeafSpec.* is deprecated", FutureWarning)
        # A run folder holds the checkpoint that a resumed run replaces: that is meant.
        warnings.filterwarnings("ignore", r"Checkpoint directory .* exists and is not empty", UserWarning)
        yield


def _callbacks(config: TrainingConfig, run: RunFolder, steps: int, tell: Tell | None) -> Iterator[Callback]:
    if config.ema_decay > 0:
        yield EMAWeightAveraging(decay=config.ema_decay)
    yield ModelCheckpoint(
        run.checkpoint.parent, filename=run.checkpoint.stem, save_top_k=1, enable_version_counter=False
    )
    yield Reporter(run, config, steps, tell)


def precision_of(config: TrainingConfig) -> Precision:
    """bf16 where the hardware computes in it (GPUs since Ampere, CPUs with AMX), else float32."""
    if config.precision != "auto":
        return config.precision
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    return "bf16-mixed" if torch.cpu._is_amx_tile_supported() else "32-true"
