"""Gives each epoch of a run its batches."""

from __future__ import annotations

from collections.abc import Callable

import lightning
import numpy as np
import torch

from cxrviewer.datasets.splits import Part
from cxrviewer.training.config import TrainingConfig
from cxrviewer.training.material import Material
from cxrviewer.training.pictures import (
    Batch,
    EpochBatches,
    Pictures,
    Progress,
    load_all,
    load_mask,
    load_picture,
    order_of,
)
from cxrviewer.training.sampling import pools_of

TUNE_BATCH = 32


class Feeder(lightning.LightningDataModule):
    """Batches by epoch; the pictures are read again when their size grows.

    Lightning takes any iterable with a length for a data loader: the batches are made from memory, so torch's
    DataLoader and its workers would only add start-up time. say: a line for the log; look: called now and then
    while pictures are read, may raise to stop.
    """

    def __init__(
        self, config: TrainingConfig, material: Material, say: Callable[[str], None], look: Callable[[], None]
    ) -> None:
        super().__init__()
        self._config, self._material, self._say = config, material, say
        self._progress: Progress = lambda _done, _of: look()
        self._loaded: dict[Part, Pictures] = {}
        self._size = 0

    def train_dataloader(self) -> EpochBatches:
        """Called every epoch; `trainer.current_epoch` says which."""
        config, epoch = self._config, self._epoch()
        return EpochBatches(
            self._pictures(Part.TRAIN, config.size_at(epoch)),
            order_of(epoch, config.seed, pools_of(config, self._material)),
            batch_size=config.batch_size,
            channels=1,
            seed=config.seed,
            epoch=epoch,
            augmentation=config.augmentation,
        )

    def val_dataloader(self) -> EpochBatches:
        """The tune part as it is."""
        pictures = self._pictures(Part.TUNE, self._config.size_at(self._epoch()))
        order = np.arange(len(pictures.pixels))
        return EpochBatches(
            pictures, order, batch_size=TUNE_BATCH, channels=1, seed=0, epoch=0, augmentation=None
        )

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Lightning moves collections, not dataclasses that are frozen."""
        return Batch(
            *(getattr(batch, name).to(device) for name in ("pictures", "masks", "has_mask", "targets"))
        )

    def _epoch(self) -> int:
        return self.trainer.current_epoch if self.trainer is not None else 0

    def _pictures(self, part: Part, size: int) -> Pictures:
        if size != self._size:
            self._loaded, self._size = {}, size
        if part not in self._loaded:
            count = len(self._material.chosen(part))
            self._say(f"reading {count} pictures of the {part} part at {size} px")
            self._loaded[part] = load_pictures(
                self._material, part, size, self._config.mask_weight > 0, self._progress
            )
        return self._loaded[part]


def load_pictures(
    material: Material, part: Part, size: int, masks: bool = False, progress: Progress | None = None
) -> Pictures:
    """Read a part's pictures, and its lung masks where they are wanted, at a size."""
    chosen = material.chosen(part)
    mask_paths = [material.mask(int(i)) if masks else None for i in chosen]
    return Pictures(
        load_all([material.picture(int(i)) for i in chosen], size, load_picture, progress),
        load_all(mask_paths, size, load_mask, progress),
        np.array([path is not None for path in mask_paths], np.bool_).reshape(len(chosen)),
        material.targets[chosen],
    )
