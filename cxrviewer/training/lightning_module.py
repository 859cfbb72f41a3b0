"""One training step and one validation step, for Lightning."""

from __future__ import annotations

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate

from cxrviewer.classifiers.backbones import backbone
from cxrviewer.classifiers.classifier import Architecture, Classifier
from cxrviewer.errors import ConfigurationError
from cxrviewer.evaluation.ranking import auroc
from cxrviewer.labels import Head
from cxrviewer.training.config import TrainingConfig
from cxrviewer.training.losses import masked_weighted_bce
from cxrviewer.training.pictures import Batch


class ClassifierTraining(lightning.LightningModule):
    """The classifier with its auxiliary heads; only `classifier` goes into a bundle.

    Auxiliary labels (bacterial, tuberculosis, abnormal) are further logits on the pooled features; lung masks
    are learnt from the middle features. Both teach where the lungs are, and are dropped when training ends.
    """

    def __init__(
        self, config: TrainingConfig, architecture: Architecture, weights: torch.Tensor, steps: int
    ) -> None:
        super().__init__()
        entry = backbone(architecture.backbone)
        self.config, self.steps = config, steps
        self.classifier = Classifier(architecture, config.pretrained).to(memory_format=torch.channels_last)
        self.auxiliary = nn.Linear(entry.width, max(len(config.auxiliary), 1))
        self.lungs = nn.Conv2d(entry.middle_width, 1, 1)
        self.class_weights: torch.Tensor
        self.register_buffer("class_weights", weights)
        self._middle: list[torch.Tensor] = []
        self._validation: list[tuple[torch.Tensor, torch.Tensor]] = []
        if config.mask_weight > 0:
            layer = self.classifier.backbone.get_submodule(entry.middle)
            layer.register_forward_hook(lambda _module, _inputs, output: self._middle.append(output))

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, C, S, S) -> (N, K) logits and (N, A) auxiliary logits."""
        features = self.classifier.features(pictures)
        pooled = features.mean((2, 3))
        extra = self.auxiliary(pooled)[:, : len(self.config.auxiliary)]
        return self.classifier.logits(features), extra

    def on_train_epoch_start(self) -> None:
        """Dropout draws from torch's generator: seeded by epoch, a resumed run draws the same numbers."""
        torch.manual_seed(self.config.seed * 1_000_003 + self.current_epoch)

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        """Heads, auxiliary labels and lungs, each with its weight."""
        self._middle.clear()
        logits, extra = self(batch.pictures)
        losses = masked_weighted_bce(torch.cat([logits, extra], 1), batch.targets, self.class_weights)
        loss = self._weigh(losses)
        if self.config.mask_weight > 0:
            loss = loss + self.config.mask_weight * self._mask_loss(batch)
        if not bool(loss.isfinite()):
            raise ConfigurationError(
                f"The loss is no number any more in epoch {self.current_epoch + 1}; the last checkpoint is kept.",
                "Lower the learning rate, or train in 32-bit precision, and resume.",
            )
        self.log("loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(batch.targets))
        return loss

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
        findings = [s for target, s in scores.items() if target.head is Head.FINDINGS and s is not None]
        pneumonia = [s for target, s in scores.items() if target.head is Head.PNEUMONIA and s is not None]
        self.log("tune_findings_auroc", float(np.mean(findings)) if findings else 0.5)
        self.log("tune_pneumonia_auroc", float(np.mean(pneumonia)) if pneumonia else 0.5)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW, no decay on norms and biases; one cycle a step (Smith 2018)."""
        decayed = [p for p in self.parameters() if p.requires_grad and p.ndim > 1]
        plain = [p for p in self.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": self.config.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.config.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.config.learning_rate, total_steps=self.steps + 1, pct_start=self.config.warmup,
            cycle_momentum=False, div_factor=20, final_div_factor=200,
        )  # fmt: skip
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
