"""Gives each epoch of a run its batches."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Protocol

import lightning
import numpy as np
import torch

from cxrviewer.datasets.splits import Part
from cxrviewer.training.config import TrainingConfig
from cxrviewer.training.pictures import Batch, EpochBatches, RawBatch, order_of
from cxrviewer.training.preparation import spec_of
from cxrviewer.training.readiness import Ready
from cxrviewer.training.sampling import pools_of

TUNE_BATCH = 32
AHEAD = 4
"""Batches that are read while a GPU works: 6 MB each at 224."""


class Dealt(Protocol):
    """The batches of an epoch, finished, or raw for `transfer_batch_to_device`."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch | RawBatch]: ...


class Ahead:
    """The same batches in the same order, read by a thread while the caller works; raw, in memory that a GPU can fetch.

    For a GPU alone. On a CPU a second thread only takes the cores that the network computes on.
    """

    def __init__(self, batches: EpochBatches) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[RawBatch]:
        waiting: queue.Queue[RawBatch | BaseException] = queue.Queue(AHEAD)
        done = threading.Event()

        def put(item: RawBatch | BaseException) -> bool:
            while not done.is_set():
                try:
                    waiting.put(item, timeout=0.1)
                    return True
                except queue.Full:
                    continue
            return False

        def read() -> None:
            try:
                for number in range(len(self._batches)):
                    if not put(self._batches.raw(number).pinned()):
                        return
            except BaseException as exc:  # noqa: BLE001 - a thread's end: the caller raises it
                put(exc)

        reader = threading.Thread(target=read, name="pictures", daemon=True)
        reader.start()
        try:
            for _ in range(len(self._batches)):
                item = waiting.get()
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            done.set()
            reader.join()


class Feeder(lightning.LightningDataModule):
    """Batches by epoch, from the picture cache.

    Lightning takes any iterable with a length for a data loader: torch's DataLoader and its workers would only add
    start-up time, and copies between processes.
    """

    def __init__(self, config: TrainingConfig, ready: Ready) -> None:
        super().__init__()
        self._config, self._ready = config, ready

    def train_dataloader(self) -> Dealt:
        """Called every epoch; `trainer.current_epoch` says which."""
        config, epoch = self._config, self._epoch()
        size = config.size_at(epoch)
        batches = EpochBatches(
            self._ready.parts[Part.TRAIN, size],
            order_of(epoch, config.seed, pools_of(config, self._ready.material)),
            batch_size=config.batch_size,
            spec=spec_of(config.preparation, size),
            seed=config.seed,
            epoch=epoch,
            augmentation=config.augmentation,
        )
        return Ahead(batches) if self._on_gpu() else batches

    def val_dataloader(self) -> EpochBatches:
        """The tune part as it is."""
        size = self._config.size_at(self._epoch())
        pictures = self._ready.parts[Part.TUNE, size]
        return EpochBatches(
            pictures,
            np.arange(len(pictures.pixels)),
            batch_size=TUNE_BATCH,
            spec=spec_of(self._config.preparation, size),
            seed=0,
            epoch=0,
            augmentation=None,
        )

    def transfer_batch_to_device(
        self, batch: Batch | RawBatch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """A raw batch is changed on the device that it is for; Lightning moves no dataclass that is frozen."""
        if isinstance(batch, RawBatch):
            return batch.finished(device)
        return Batch(
            *(getattr(batch, name).to(device) for name in ("pictures", "masks", "has_mask", "targets"))
        )

    def _epoch(self) -> int:
        return self.trainer.current_epoch if self.trainer is not None else 0

    def _on_gpu(self) -> bool:
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
