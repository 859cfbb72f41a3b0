"""LOSSES: what is made small. Labels may be unstated (NaN); those give neither loss nor gradient.

Every loss takes float logits (N, K), targets (N, K) in [0, 1] with NaN for unstated, and class weights (2, K), and
gives (K,): a label's mean over the rows that state it, 0 where none does. A head of two classes a label comes in as
the difference of its two logits (`folded`), which a softmax over two classes is a function of.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, logsigmoid

from cxrviewer.training.config import Loss

LabelLoss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Loss], torch.Tensor]


def class_weights(targets: torch.Tensor, chances: torch.Tensor | None = None) -> torch.Tensor:
    """(N, K) of 1, 0, NaN -> (2, K): weights of the positive and of the negative term.

    w_pos is the share of negatives among the stated and w_neg the share of positives (Wang et al., CVPR 2017;
    Rajpurkar et al., CheXNet), so that both classes pull equally. A label with one class alone gets 0 and 0.
    chances: (N,), how often an epoch draws each picture; without them once each. What is drawn is what is balanced.
    """
    drawn = torch.ones(len(targets)) if chances is None else chances
    rows = drawn[:, None].to(targets.dtype)
    stated = ((~targets.isnan()) * rows).sum(0)
    positive = (targets.nan_to_num(0) * rows).sum(0) / stated.clamp_min(1e-9)
    negative = ((targets == 0) * rows).sum(0) / stated.clamp_min(1e-9)
    one_sided = (positive == 0) | (negative == 0)
    return torch.stack([negative, positive]).masked_fill(one_sided, 0)


def loss_of(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, loss: Loss) -> torch.Tensor:
    """The loss that a recipe asks for, its targets smoothed where it says so; (K,)."""
    return LOSSES[loss.kind](logits.float(), smoothed(targets, loss.smoothing), weights, loss)


def smoothed(targets: torch.Tensor, share: float) -> torch.Tensor:
    """1 becomes 1 - share / 2 and 0 share / 2: of the two classes each gets its half (Szegedy et al., CVPR 2016)."""
    return targets * (1 - share) + share / 2


def folded(pairs: torch.Tensor) -> torch.Tensor:
    """(N, 2) or (N, K, 2) logits of absent and present -> one less: softmax(pair)[present] = sigmoid(difference)."""
    return pairs[..., 1] - pairs[..., 0]


def two_way_cross_entropy(pairs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """(N, 2) logits of absent and present, (N,) in [0, 1] with NaN -> the mean over stated rows, a scalar.

    The same number as `bce` of the folded logit: the tests hold the two together, so a run may use either.
    """
    stated = ~targets.isnan()
    known = targets.nan_to_num(0)
    losses = cross_entropy(pairs.float(), torch.stack([1 - known, known], 1), reduction="none")
    return (losses * stated).sum() / stated.sum().clamp_min(1)


def masked_weighted_bce(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(N, K), (N, K) of 1, 0, NaN, (2, K) -> (K,): mean over stated rows, doubled so that balance weighs 1.

    A label that no row of the batch states contributes 0 and no gradient.
    """
    stated = ~targets.isnan()
    known = targets.nan_to_num(0)
    weight = 2 * (weights[0] * known + weights[1] * (1 - known))
    losses = binary_cross_entropy_with_logits(logits.float(), known, weight=weight, reduction="none")
    return _over_stated(losses, stated)


def _weighted_bce(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, _loss: Loss
) -> torch.Tensor:
    return masked_weighted_bce(logits, targets, weights)


def _bce(logits: torch.Tensor, targets: torch.Tensor, _weights: torch.Tensor, _loss: Loss) -> torch.Tensor:
    known = targets.nan_to_num(0)
    losses = binary_cross_entropy_with_logits(logits, known, reduction="none")
    return _over_stated(losses, ~targets.isnan())


def _focal(logits: torch.Tensor, targets: torch.Tensor, _weights: torch.Tensor, loss: Loss) -> torch.Tensor:
    """(1 - p)^gamma of the plain loss, p the probability of the truth (Lin et al., ICCV 2017, without alpha)."""
    known = targets.nan_to_num(0)
    present, absent = logsigmoid(logits), logsigmoid(-logits)
    losses = -(
        known * absent.exp() ** loss.gamma * present + (1 - known) * present.exp() ** loss.gamma * absent
    )
    return _over_stated(losses, ~targets.isnan())


def _over_stated(losses: torch.Tensor, stated: torch.Tensor) -> torch.Tensor:
    return (losses * stated).sum(0) / stated.sum(0).clamp_min(1)


LOSSES: dict[str, LabelLoss] = {
    "weighted-bce": _weighted_bce,
    "bce": _bce,
    "focal": _focal,
    # On the difference of the two logits a softmax's cross-entropy is the plain loss: see two_way_cross_entropy.
    "cross-entropy": _bce,
}
