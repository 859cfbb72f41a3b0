"""The masked, weighted loss against sums worked out by hand."""

from __future__ import annotations

import math

import torch

from cxrviewer.training.losses import class_weights, masked_weighted_bce

NAN = math.nan


def test_weights_are_the_other_classes_share() -> None:
    targets = torch.tensor([[1, 1, NAN], [0, 1, NAN], [0, NAN, NAN], [0, NAN, 0.0]])
    # First label: one of four is positive. The others have one class alone: nothing to balance, no weight.
    torch.testing.assert_close(class_weights(targets), torch.tensor([[0.75, 0, 0], [0.25, 0, 0]]))


def test_the_loss_by_hand() -> None:
    logits = torch.tensor([[0.0, 2.0], [math.log(3), 5.0]])
    targets = torch.tensor([[1.0, NAN], [0.0, NAN]])
    weights = torch.tensor([[0.75, 0.5], [0.25, 0.5]])
    # Row 1: 2 * 0.75 * ln 2; row 2: probability 3/4 of a negative, 2 * 0.25 * ln 4; mean of the two.
    expected = (1.5 * math.log(2) + 0.5 * math.log(4)) / 2
    torch.testing.assert_close(masked_weighted_bce(logits, targets, weights), torch.tensor([expected, 0.0]))


def test_what_is_not_stated_gives_no_gradient() -> None:
    logits = torch.zeros(2, 2, requires_grad=True)
    targets = torch.tensor([[1.0, NAN], [NAN, NAN]])
    masked_weighted_bce(logits, targets, torch.full((2, 2), 0.5)).sum().backward()
    assert logits.grad is not None
    # d/dx of 2 * 0.5 * -log(sigmoid(x)) at 0 is -1/2, over one stated row.
    torch.testing.assert_close(logits.grad, torch.tensor([[-0.5, 0.0], [0.0, 0.0]]))


def test_half_precision_logits_are_summed_in_single() -> None:
    logits = torch.full((4096, 1), 0.001, dtype=torch.bfloat16)
    loss = masked_weighted_bce(logits, torch.ones(4096, 1), torch.full((2, 1), 0.5))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, torch.tensor([math.log(2)]), atol=1e-3, rtol=0)
