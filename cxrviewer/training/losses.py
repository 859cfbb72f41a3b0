"""Losses for labels that may be unstated."""

from __future__ import annotations

import torch
from torch.nn.functional import binary_cross_entropy_with_logits


def class_weights(targets: torch.Tensor) -> torch.Tensor:
    """(N, K) of 1, 0, NaN -> (2, K): weights of the positive and of the negative term.

    w_pos is the share of negatives among the stated and w_neg the share of positives (Wang et al., CVPR 2017;
    Rajpurkar et al., CheXNet), so that both classes pull equally. A label with one class alone gets 0 and 0.
    """
    stated = (~targets.isnan()).sum(0).clamp_min(1)
    positive = targets.nan_to_num(0).sum(0) / stated
    negative = ((targets == 0).sum(0)) / stated
    one_sided = (positive == 0) | (negative == 0)
    return torch.stack([negative, positive]).masked_fill(one_sided, 0)


def masked_weighted_bce(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(N, K), (N, K) of 1, 0, NaN, (2, K) -> (K,): mean over stated rows, doubled so that balance weighs 1.

    A label that no row of the batch states contributes 0 and no gradient.
    """
    stated = ~targets.isnan()
    known = targets.nan_to_num(0)
    weight = 2 * (weights[0] * known + weights[1] * (1 - known)) * stated
    losses = binary_cross_entropy_with_logits(logits.float(), known, weight=weight, reduction="none")
    return losses.sum(0) / stated.sum(0).clamp_min(1)
