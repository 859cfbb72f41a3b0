"""Run a training run, top to bottom: data, split, epochs, checkpoint."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from cxrviewer.datasets.splits import Part
from cxrviewer.settings import get_settings
from cxrviewer.training import checkpoints
from cxrviewer.training.averaging import averaging_of
from cxrviewer.training.config import TrainingConfig
from cxrviewer.training.determinism import deterministic
from cxrviewer.training.distilling import teachers_of
from cxrviewer.training.feeder import Feeder
from cxrviewer.training.keeping import KeepCheckpoints, WholeCheckpoints
from cxrviewer.training.lightning_module import LEARNING, ClassifierTraining
from cxrviewer.training.losses import class_weights
from cxrviewer.training.material import Material, architecture_of, gather, steps_of
from cxrviewer.training.memory_shortage import is_shortage, let_go, with_half_the_batch
from cxrviewer.training.readiness import Ready, make_ready
from cxrviewer.training.reporter import Reporter, Tell
from cxrviewer.training.run_folder import RunFolder
from cxrviewer.training.sampling import chances, pools_of
from cxrviewer.training.schedules import epochs_without_gain
from cxrviewer.training.starting import refuse_leak, take_bundle, take_weights

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
    split = run.path / "split.csv"
    material = gather(config, split if resume and split.is_file() else None)
    run.write_split(material.split)
    ready = make_ready(config, material, run.path, run.say, run.stop_if_asked, tell)
    asked = config.batch_size
    while True:
        try:
            _fit(config, run, ready, resume, _said_with(tell, config, asked), start)
            return run.checkpoint
        except (MemoryError, RuntimeError) as exc:
            if not is_shortage(exc):
                raise
        config, resume = with_half_the_batch(config), run.checkpoint.is_file()
        run.say(f"memory ran out: batches of {config.batch_size} from the last whole epoch on")
        let_go()


def _fit(
    config: TrainingConfig,
    run: RunFolder,
    ready: Ready,
    resume: bool,
    tell: Tell | None,
    start: Path | None,
) -> None:
    """Train from the last checkpoint, or from the start, to the end."""
    last = checkpoints.last_good(run.path / "checkpoints", run.say) if resume else None
    if last is not None and is_finished(last, config):
        return
    lightning.seed_everything(config.seed, verbose=False)
    material = ready.material
    module = training_module(config, material)
    if start is not None and last is None:
        refuse_leak(material, start)
        run.say(start_from(module, start))
    trainer = lightning.Trainer(
        max_epochs=config.epochs,
        accelerator="auto",
        devices=1,
        precision=precision_of(config),
        callbacks=list(_callbacks(config, run, module.steps, tell)),
        plugins=[WholeCheckpoints()],
        logger=False,
        default_root_dir=str(run.path),
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=config.optimisation.clip or None,
        accumulate_grad_batches=config.optimisation.accumulate,
    )
    feeder = Feeder(config, ready)
    with _without_known_warnings(), deterministic(config.deterministic):
        trainer.fit(module, feeder, ckpt_path=None if last is None else str(last), weights_only=True)


def _said_with(tell: Tell | None, config: TrainingConfig, asked: int) -> Tell | None:
    """Progress that says so where memory has made the batches smaller."""
    if tell is None or config.batch_size == asked:
        return tell
    return lambda share, words: tell(share, f"{words}; memory ran out, so batches of {config.batch_size}")


def training_module(config: TrainingConfig, material: Material) -> ClassifierTraining:
    """The network with its losses, balanced by the train part's class frequencies, or by what is drawn of it."""
    train = torch.from_numpy(material.targets[material.chosen(Part.TRAIN)])
    balanced = config.loss.sampler == "balanced"
    drawn = torch.from_numpy(chances(pools_of(config, material), len(train))) if balanced else None
    module = ClassifierTraining(
        config, architecture_of(config), class_weights(train, drawn), steps_of(config, material)
    )
    module.teachers = teachers_of(config, material, module.classifier.architecture, get_settings())
    return module


def start_from(module: ClassifierTraining, start: Path) -> str:
    """Begin with a bundle's weights or a checkpoint's; returns a line for the log. Raises CxrError."""
    if start.is_dir():
        return take_bundle(module.classifier, start)
    return take_weights(module, load_state(start))


def is_finished(checkpoint: Path, config: TrainingConfig) -> bool:
    """Does a checkpoint hold all epochs, or as many as early stopping allowed? Raises UnreadableError."""
    if not checkpoint.is_file():
        return False
    content = checkpoints.read(checkpoint)
    waited = epochs_without_gain(content.get(LEARNING, {}).get("scores", []))
    return int(content["epoch"]) + 1 >= config.epochs or 0 < config.optimisation.stop_after <= waited


def load_state(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The weights that a checkpoint is kept for: averaged, of the best epoch where that was asked for, else the last.

    Tensors only, no code. Raises NotFoundError or UnreadableError.
    """
    content = checkpoints.read(checkpoint)
    state: dict[str, torch.Tensor] = content.get(LEARNING, {}).get("best") or content["state_dict"]
    return state


@contextmanager
def _without_known_warnings() -> Iterator[None]:
    """One that says nothing to a reader of the log; every other warning stays."""
    with warnings.catch_warnings():
        # Lightning 2.6 asks torch 2.15 in a way that torch will drop; nothing in this repository can mend it.
        warnings.filterwarnings("ignore", r".*LeafSpec.* is deprecated", FutureWarning)
        yield


def _callbacks(config: TrainingConfig, run: RunFolder, steps: int, tell: Tell | None) -> Iterator[Callback]:
    averaging = averaging_of(config)
    if averaging is not None:
        yield averaging
    copies = 1 + (averaging is not None) + (config.optimisation.keep == "best")
    yield KeepCheckpoints(run.path / "checkpoints", copies)
    yield Reporter(run, config, steps, tell)


def precision_of(config: TrainingConfig) -> Precision:
    """bf16 where the hardware computes in it (GPUs since Ampere, CPUs with AMX), else float32."""
    if config.precision != "auto":
        return config.precision
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    return "bf16-mixed" if torch.cpu._is_amx_tile_supported() else "32-true"
