"""Averages of the weights over time: what is measured on tune, stored as `state_dict`, and published."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

import lightning
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, WeightAveraging
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from cxrviewer.training.config import TrainingConfig

if TYPE_CHECKING:
    from cxrviewer.training.pictures import Batch

NORM_BATCHES = 100
"""Batches that a batch norm's statistics are taken from: more move them by less than their own scatter."""


def averaging_of(config: TrainingConfig) -> WeightAveraging | None:
    """The callback that a recipe asks for; None where the weights are published as they are."""
    if config.swa_epochs:
        return StochasticAveraging(config.epochs - config.swa_epochs)
    return EMAWeightAveraging(decay=config.ema_decay) if config.ema_decay > 0 else None


class StochasticAveraging(WeightAveraging):
    """The plain mean of the weights at the ends of all epochs from `first` on (Izmailov et al., UAI 2018).

    Before that the average is the weights themselves. Averaged weights give other activations than any of those that
    went into them, so the batch norms' statistics are taken anew, from the epoch's own batches and before tune is
    looked at; those of frozen layers stay.
    """

    def __init__(self, first: int) -> None:
        super().__init__()
        self._first = first

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Never by Lightning's own clock: it would come after the look at tune."""
        return False

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any
    ) -> None:
        """After an epoch's last step; Lightning validates next."""
        if trainer.fit_loop.epoch_loop.batch_progress.current.ready != trainer.num_training_batches:
            return
        average = self._average_model
        assert average is not None
        if trainer.current_epoch <= self._first:
            average.n_averaged.zero_()  # the next update then copies
        average.update_parameters(pl_module)
        if trainer.current_epoch > self._first and trainer.train_dataloader is not None:
            device = pl_module.device
            batches = (trainer.strategy.batch_to_device(b, device) for b in trainer.train_dataloader)
            with trainer.precision_plugin.forward_context():
                refresh_norms(average.module, pl_module, batches)


@torch.no_grad()
def refresh_norms(average: nn.Module, like: nn.Module, batches: Iterable[Batch]) -> None:
    """Mean and variance of every trained batch norm anew, over the first NORM_BATCHES batches.

    like: the module in training, of the same parts; it says which norms are trained.
    """
    trained = {name for name, part in like.named_modules() if isinstance(part, _BatchNorm) and part.training}
    norms = [
        part for name, part in average.named_modules() if name in trained and isinstance(part, _BatchNorm)
    ]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    average.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a mean over all batches, each as heavy as the next
        norm.train()
    for batch in islice(batches, NORM_BATCHES):
        average.get_submodule("classifier")(batch.pictures)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
