"""One training step and one validation step, for Lightning."""

from __future__ import annotations

from typing import Any

import lightning
import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate

from cxrviewer.classifiers.backbones import backbone
from cxrviewer.classifiers.classifier import Architecture, Classifier
from cxrviewer.errors import ConfigurationError
from cxrviewer.evaluation.ranking import auroc
from cxrviewer.labels import Head
from cxrviewer.training.config import TrainingConfig
from cxrviewer.training.distilling import Teachers, taught_targets
from cxrviewer.training.freezing import Block, freeze_all_but, set_modes, trained_part
from cxrviewer.training.losses import loss_of
from cxrviewer.training.optimisers import optimiser_of
from cxrviewer.training.pictures import Batch
from cxrviewer.training.schedules import epochs_without_gain, rate_at

LEARNING = "learning"
"""What a checkpoint holds of a run's learning: `scores`, tune's an epoch, and with `keep: best` the `best` weights."""


class ClassifierTraining(lightning.LightningModule):
    """The classifier with its auxiliary heads; only `classifier` goes into a bundle.

    Auxiliary labels (bacterial, tuberculosis, abnormal) are further logits on the pooled features; lung masks
    are learnt from the middle features. Both teach where the lungs are, and are dropped when training ends.

    teachers: finished networks whose answers are learnt beside the labels; set before training, stored nowhere.
    scores: one number an epoch, the mean over the heads of their labels' mean AUROC on tune. The plateau schedule,
    early stopping and the choice of the best epoch read nothing else, so a checkpoint that holds them resumes exactly.
    """

    def __init__(
        self, config: TrainingConfig, architecture: Architecture, weights: torch.Tensor, steps: int
    ) -> None:
        super().__init__()
        entry = backbone(architecture.backbone, architecture.options)
        self.config, self.steps = config, steps
        self.classifier = Classifier(architecture, config.pretrained).to(memory_format=torch.channels_last)
        self.auxiliary = nn.Linear(entry.width, max(len(config.auxiliary), 1))
        self.lungs = nn.Conv2d(entry.middle_width, 1, 1)
        self.class_weights: torch.Tensor
        self.register_buffer("class_weights", weights)
        self._middle: list[torch.Tensor] = []
        self._validation: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._trained: Block | None = None
        self.teachers: Teachers | None = None
        self.scores: list[float] = []
        self._best: dict[str, torch.Tensor] = {}
        if config.mask_weight > 0:
            layer = self.classifier.backbone.get_submodule(entry.middle)
            layer.register_forward_hook(self._keep_middle)

    def _keep_middle(self, _module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        self._middle[:] = [output]

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, C, S, S) -> (N, K) logits and (N, A) auxiliary logits."""
        features = self.classifier.features(pictures)
        pooled = features.mean((2, 3))
        extra = self.auxiliary(pooled)[:, : len(self.config.auxiliary)]
        return self.classifier.logits(features), extra

    def on_fit_start(self) -> None:
        """Teachers are no part of the module, so Lightning does not move them."""
        if self.teachers is not None:
            self.teachers.to(self.device)

    def on_train_epoch_start(self) -> None:
        """The stage's part is trained; dropout's numbers are seeded by epoch, so a resumed run draws the same."""
        backbone = self.classifier.backbone
        self._trained = trained_part(backbone, self.config.stage_at(self.current_epoch))
        freeze_all_but(backbone, self._trained)
        self.train()
        torch.manual_seed(self.config.seed * 1_000_003 + self.current_epoch)

    def train(self, mode: bool = True) -> ClassifierTraining:
        """As torch's, except that what a stage has frozen stays in evaluation mode."""
        super().train(mode)
        if mode and self._trained is not None:
            set_modes(self.classifier.backbone, self._trained)
        return self

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """The learning rate of the step that this batch belongs to."""
        rate = self.rate(self.current_epoch, batch_idx)
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate

    def rate(self, epoch: int, batch: int) -> float:
        """The learning rate of a batch of an epoch."""
        step, steps = batch // self.config.optimisation.accumulate, self.steps // self.config.epochs
        return rate_at(self.config, epoch, step, steps, self.scores)

    def loss(self, batch: Batch) -> torch.Tensor:
        """Heads, auxiliary labels and lungs, each with its weight."""
        self._middle.clear()
        logits, extra = self(batch.pictures)
        loss = self._weigh(
            loss_of(torch.cat([logits, extra], 1), self._targets(batch), self.class_weights, self.config.loss)
        )
        if self.config.mask_weight > 0:
            loss = loss + self.config.mask_weight * self._mask_loss(batch)
        return loss

    def _targets(self, batch: Batch) -> torch.Tensor:
        """What is stated, and what teachers say where there are any; auxiliary labels are stated alone."""
        if self.teachers is None:
            return batch.targets
        how, heads = self.config.distillation, len(self.classifier.targets)
        told = self.teachers(batch.pictures)
        taught = taught_targets(batch.targets[:, :heads], told, how.weight, how.unstated)
        return torch.cat([taught, batch.targets[:, heads:]], 1)

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        """Raises ConfigurationError where the loss is no number."""
        loss = self.loss(batch)
        if not bool(loss.isfinite()):
            raise self._no_number("loss is")
        self.log("loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(batch.targets))
        return loss

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_idx: int) -> None:
        """An epoch's last step may have spoilt the weights without a loss to tell: they must not be stored."""
        last = batch_idx + 1 == self.trainer.num_training_batches
        if last and not all(bool(p.isfinite().all()) for p in self.parameters()):
            raise self._no_number("weights are")

    def _no_number(self, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"The {what} no number any more in epoch {self.current_epoch + 1}; the last checkpoint is kept.",
            "Lower the learning rate, or train in 32-bit precision, and resume.",
        )

    def _weigh(self, losses: torch.Tensor) -> torch.Tensor:
        """The pneumonia head weighs 1; the findings' mean its weight; the auxiliary labels' mean theirs."""
        total, start = losses.new_zeros(()), 0
        for head, labels in self.classifier.architecture.heads:
            weight = 1.0 if head is Head.PNEUMONIA else self.config.findings_weight
            total = total + weight * losses[start : start + len(labels)].mean()
            start += len(labels)
        if self.config.auxiliary:
            total = total + self.config.auxiliary_weight * losses[start:].mean()
        return total

    def _mask_loss(self, batch: Batch) -> torch.Tensor:
        guess = self.lungs(self._middle[-1]).float()
        truth = interpolate(batch.masks, guess.shape[-2:], mode="area")
        losses = binary_cross_entropy_with_logits(guess, truth, reduction="none").mean((1, 2, 3))
        return (losses * batch.has_mask).sum() / batch.has_mask.sum().clamp_min(1)

    def validation_step(self, batch: Batch, index: int) -> None:
        """Keep logits and targets; AUROC needs all of them."""
        self._middle.clear()
        logits, _ = self(batch.pictures)
        self._middle.clear()
        self._validation.append((logits.float().cpu(), batch.targets[:, : logits.shape[1]].cpu()))

    def on_validation_epoch_end(self) -> None:
        """AUROC of the pneumonia head and the mean over the findings that have both classes."""
        if not self._validation:
            return
        logits, targets = (torch.cat(parts).numpy() for parts in zip(*self._validation, strict=True))
        self._validation.clear()
        scores = {
            target: auroc(targets[:, k], logits[:, k]) for k, target in enumerate(self.classifier.targets)
        }
        heads = []
        for head, _ in self.classifier.architecture.heads:
            known = [s for target, s in scores.items() if target.head is head and s is not None]
            self.log(f"tune_{head}_auroc", float(np.mean(known)) if known else 0.5)
            heads += [float(np.mean(known))] if known else []
        self.scores.append(float(np.mean(heads)) if heads else 0.5)
        self.log("tune_auroc", self.scores[-1])
        if self.has_stopped_early:
            self.trainer.should_stop = True

    @property
    def has_stopped_early(self) -> bool:
        """True where tune has not gained for as long as the recipe waits."""
        return 0 < self.config.optimisation.stop_after <= epochs_without_gain(self.scores)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Scores, and the best epoch's published weights where they are wanted (`state_dict` is averaged by now)."""
        if self.config.optimisation.keep == "best" and epochs_without_gain(self.scores) == 0:
            self._best = {name: tensor.cpu().clone() for name, tensor in checkpoint["state_dict"].items()}
        checkpoint[LEARNING] = {"scores": list(self.scores), "best": self._best}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The counterpart; runs made before there was such an entry go on without."""
        learning = checkpoint.get(LEARNING, {"scores": [], "best": {}})
        self.scores, self._best = list(learning["scores"]), dict(learning["best"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """All parameters; the rates are set step by step."""
        return optimiser_of(self.config, self.parameters())
