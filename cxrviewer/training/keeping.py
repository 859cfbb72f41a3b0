"""Lightning's checkpoints in our way: where it saves, it calls `checkpoints`; when, says the callback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from cxrviewer.errors import StorageError
from cxrviewer.training import checkpoints
from cxrviewer.training.checkpoint_names import name_of
from cxrviewer.training.disk import free_bytes, telling

MARGIN = 64 * 2**20
"""Space that is wanted beside the checkpoints: logs, scores, the bundle's card."""

_FLOAT = 4


class WholeCheckpoints(CheckpointIO):
    """Reads and writes checkpoints for Lightning: whole or absent, checked, without code."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None
    ) -> None:
        """Raises StorageError where the disk refuses."""
        with telling():
            checkpoints.save(checkpoint, Path(path))

    def load_checkpoint(
        self, path: str | Path, map_location: object = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """On the CPU; Lightning moves it. Raises UnreadableError."""
        return checkpoints.read(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Lightning's own callbacks ask for this; ours prunes by itself."""
        Path(path).unlink(missing_ok=True)


class KeepCheckpoints(Checkpoint):
    """One checkpoint an epoch, after everything else has been done with it; two are kept.

    Before the first step the space for them is asked for: raises StorageError where it is lacking.
    """

    def __init__(self, folder: Path, copies: int = 1) -> None:
        """copies: how many sets of weights a checkpoint holds (the present ones, averaged ones, the best ones)."""
        self._folder, self._copies = folder, copies

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """The disk is asked before the first picture is read."""
        refuse_without_space(self._folder, checkpoint_bytes(pl_module, self._copies))

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Lightning calls this after the same hook of all other callbacks."""
        trainer.save_checkpoint(self._folder / name_of(trainer.current_epoch + 1), weights_only=False)
        with telling():
            checkpoints.prune(self._folder)


def checkpoint_bytes(module: torch.nn.Module, copies: int) -> int:
    """About what a checkpoint takes: so many sets of weights, and two moments of each weight in the optimiser."""
    state: int = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
    moments: int = 2 * _FLOAT * sum(p.numel() for p in module.parameters() if p.requires_grad)
    return state * copies + moments


def refuse_without_space(folder: Path, size: int) -> None:
    """Raises StorageError where the checkpoints that are kept, and one being written, do not fit."""
    there = sum(file.stat().st_size for file in folder.glob("*.ckpt"))
    needed, free = max(0, (checkpoints.KEPT + 1) * size - there) + MARGIN, free_bytes(folder)
    if free < needed:
        raise StorageError(
            f"The run needs about {_megabytes(needed)} for its checkpoints, and {_megabytes(free)} are free.",
            "Free some space, then resume the run.",
        )


def _megabytes(count: int) -> str:
    return f"{max(1, round(count / 2**20))} MB"
