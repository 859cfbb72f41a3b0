"""Run a training run, top to bottom: data, split, epochs, checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from cxrviewer.classifiers.classifier import Architecture
from cxrviewer.classifiers.preparing import InputSpec
from cxrviewer.datasets import Dataset, read_dataset
from cxrviewer.datasets.splits import Fractions, Part, SplitRow, split_by_group
from cxrviewer.errors import ConfigurationError
from cxrviewer.labels import PNEUMONIA, VOCABULARIES, Head
from cxrviewer.training.config import TrainingConfig
from cxrviewer.training.lightning_module import ClassifierTraining, append_metrics
from cxrviewer.training.losses import class_weights
from cxrviewer.training.pictures import Batch, EpochBatches, Pictures, load_all, load_mask, load_picture, order_of
from cxrviewer.training.run_folder import RunFolder

METRICS = ("epoch", "size", "loss", "tune_pneumonia_auroc", "tune_findings_auroc", "seconds")


@dataclass(frozen=True, eq=False)
class Material:
    """All rows of all sources, with their parts. Arrays run over rows; `source` is an index into the config's."""

    paths: tuple[Path, ...]
    masks: tuple[Path | None, ...]
    targets: NDArray[np.float32]
    parts: NDArray[np.str_]
    source: NDArray[np.int64]
    split: tuple[SplitRow, ...]


def architecture_of(config: TrainingConfig) -> Architecture:
    """The network that a configuration asks for."""
    heads = ((Head.PNEUMONIA, (PNEUMONIA,)), (Head.FINDINGS, VOCABULARIES[config.vocabulary]))
    return Architecture(config.backbone, heads, InputSpec(config.size), config.dropout)


def gather(config: TrainingConfig) -> Material:
    """Read every source and split it by group. Raises LabelFileError, SplitError, NotFoundError."""
    labels = (*(t.label for t in architecture_of(config).targets), *config.auxiliary)
    datasets = [read_dataset(source.name, Path(source.root)) for source in config.sources]
    splits = [
        split_by_group(dataset, Fractions(source.tune, source.report), config.seed)
        for dataset, source in zip(datasets, config.sources, strict=True)
    ]
    rows = [(dataset, row) for dataset in datasets for row in dataset.rows]
    return Material(
        paths=tuple(dataset.root / row.image for dataset, row in rows),
        masks=tuple(Path(row.mask) if row.mask else None for _, row in rows),
        targets=np.concatenate([_targets(dataset, labels) for dataset in datasets]),
        parts=np.array([row.part.value for split in splits for row in split]),
        source=np.repeat(np.arange(len(datasets)), [len(dataset.rows) for dataset in datasets]),
        split=tuple(row for split in splits for row in split),
    )


def _targets(dataset: Dataset, labels: tuple[str, ...]) -> NDArray[np.float32]:
    return dataset.targets(labels)


class Feeder(lightning.LightningDataModule):
    """Gives each epoch its batches; reloads the pictures when the size grows."""

    def __init__(self, config: TrainingConfig, material: Material, run: RunFolder) -> None:
        super().__init__()
        self._config, self._material, self._run = config, material, run
        self._loaded: dict[Part, Pictures] = {}
        self._size = 0

    def pictures(self, part: Part, size: int) -> Pictures:
        """The pictures of a part at a size, read once."""
        if size != self._size:
            self._loaded, self._size = {}, size
        if part not in self._loaded:
            self._loaded[part] = load_pictures(self._material, part, size, self._run, self._config.mask_weight > 0)
        return self._loaded[part]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Called every epoch; `trainer.current_epoch` says which."""
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        chosen = np.flatnonzero(self._material.parts == Part.TRAIN)
        pools = []
        for index, source in enumerate(self._config.sources):
            pool = np.flatnonzero(self._material.source[chosen] == index)
            if len(pool):
                pools.append((pool, source.draws or len(pool)))
        order = order_of(epoch, self._config.seed, pools)
        pictures = self.pictures(Part.TRAIN, self._config.size_at(epoch))
        return self._loader(EpochBatches(
            pictures, order, batch_size=self._config.batch_size, channels=1, seed=self._config.seed, epoch=epoch,
            augmentation=self._config.augmentation,
        ))  # fmt: skip

    def val_dataloader(self) -> DataLoader[Batch]:
        """The tune part as it is."""
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        pictures = self.pictures(Part.TUNE, self._config.size_at(epoch))
        order = np.arange(len(pictures.pixels))
        return self._loader(EpochBatches(
            pictures, order, batch_size=32, channels=1, seed=0, epoch=0, augmentation=None,
        ))  # fmt: skip

    @staticmethod
    def _loader(batches: EpochBatches) -> DataLoader[Batch]:
        return DataLoader(batches, batch_size=None)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Lightning moves collections, not dataclasses that are frozen."""
        return Batch(*(getattr(batch, name).to(device) for name in ("pictures", "masks", "has_mask", "targets")))


def load_pictures(material: Material, part: Part, size: int, run: RunFolder, masks: bool) -> Pictures:
    """Read a part's pictures (and lung masks) at a size, with progress in the run's status."""
    chosen = np.flatnonzero(material.parts == part)
    mask_paths = [material.masks[i] if masks else None for i in chosen]
    run.say(f"reading {len(chosen)} pictures of the {part} part at {size} px")
    return Pictures(
        load_all([material.paths[i] for i in chosen], size, load_picture),
        load_all(mask_paths, size, load_mask),
        np.array([path is not None for path in mask_paths], np.bool_).reshape(len(chosen)),
        material.targets[chosen],
    )


class Reporter(Callback):
    """Writes `metrics.csv` and the heartbeat in `status.json`."""

    def __init__(self, run: RunFolder, config: TrainingConfig) -> None:
        self._run, self._config = run, config

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        done = trainer.global_step / max(self._steps(trainer), 1)
        self._run.beat(done, f"epoch {trainer.current_epoch + 1} of {self._config.epochs}")

    @staticmethod
    def _steps(trainer: lightning.Trainer) -> int:
        module = trainer.lightning_module
        return module.steps if isinstance(module, ClassifierTraining) else 0

    def on_train_epoch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        values = {key: float(value) for key, value in trainer.callback_metrics.items()}
        row: dict[str, object] = {key: round(values[key], 5) for key in METRICS if key in values}
        row |= {"epoch": trainer.current_epoch, "size": self._config.size_at(trainer.current_epoch)}
        row["seconds"] = self._run.seconds()
        append_metrics(self._run.path / "metrics.csv", row, METRICS)
        self._run.say(", ".join(f"{key} {value}" for key, value in row.items()))


def steps_of(config: TrainingConfig, material: Material) -> int:
    """Optimiser steps of the whole run."""
    sizes = [int(((material.source == i) & (material.parts == Part.TRAIN)).sum()) for i in range(len(config.sources))]
    drawn = sum(source.draws or size for source, size in zip(config.sources, sizes, strict=True) if size)
    if drawn < config.batch_size:
        raise ConfigurationError(
            f"The train part gives {drawn} pictures an epoch, less than one batch of {config.batch_size}.",
            "Choose a smaller batch or add pictures.",
        )
    return config.epochs * (drawn // config.batch_size)


def fit(config: TrainingConfig, run: RunFolder, resume: bool = False) -> Path:
    """Train to the end and return the last checkpoint (averaged weights under `state_dict`)."""
    lightning.seed_everything(config.seed, verbose=False)
    material = gather(config)
    run.write_split(material.split)
    train = torch.from_numpy(material.targets[material.parts == Part.TRAIN])
    module = ClassifierTraining(config, architecture_of(config), class_weights(train), steps_of(config, material))
    last = run.path / "checkpoints" / "last.ckpt"
    trainer = lightning.Trainer(
        max_epochs=config.epochs,
        accelerator="auto",
        devices=1,
        precision=_precision(config),
        callbacks=list(_callbacks(config, run)),
        logger=False,
        default_root_dir=str(run.path),
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
    )
    feeder = Feeder(config, material, run)
    trainer.fit(module, feeder, ckpt_path=str(last) if resume and last.is_file() else None, weights_only=True)
    return last


def _callbacks(config: TrainingConfig, run: RunFolder) -> Iterator[Callback]:
    if config.ema_decay > 0:
        yield EMAWeightAveraging(decay=config.ema_decay)
    yield ModelCheckpoint(run.path / "checkpoints", filename="last", save_top_k=1, enable_version_counter=False)
    yield Reporter(run, config)


def _precision(config: TrainingConfig) -> str:
    """bf16 where the hardware computes in it (GPUs since Ampere, CPUs with AMX), else float32."""
    if config.precision != "auto":
        return config.precision
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    return "bf16-mixed" if torch.cpu._is_amx_tile_supported() else "32-true"


def tune_and_report(parts: Sequence[str]) -> NDArray[np.bool_]:
    """Rows outside the train part."""
    return np.asarray(parts) != Part.TRAIN
