"""The masked, weighted loss against sums worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from cxrviewer.training.config import Loss
from cxrviewer.training.losses import (
    LOSSES,
    class_weights,
    folded,
    loss_of,
    masked_weighted_bce,
    two_way_cross_entropy,
)

NAN, LOG3 = math.nan, math.log(3)


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


def one(logits: list[float], targets: list[float], **how: object) -> float:
    """A single label under equal class weights."""
    loss = Loss.model_validate(how)
    found = loss_of(
        torch.tensor(logits)[:, None], torch.tensor(targets)[:, None], torch.full((2, 1), 0.5), loss
    )
    return float(found[0])


def test_plain_loss_by_hand() -> None:
    # Probabilities 3/4 of a positive and 1/4 of a negative cost ln 4/3 each; the unstated row costs nothing.
    assert one([LOG3, -LOG3, 9.0], [1, 0, NAN], kind="bce") == pytest.approx(math.log(4 / 3))


def test_focal_loss_by_hand() -> None:
    # p = 3/4 of the truth: (1/4)^2 ln 4/3. p = 1/4: (3/4)^2 ln 4. Lin et al. 2017, equation 4.
    expected = (math.log(4 / 3) / 16 + 9 / 16 * math.log(4)) / 2
    assert one([LOG3, LOG3], [1, 0], kind="focal", gamma=2) == pytest.approx(expected)
    assert one([LOG3, LOG3, -7], [1, 0, NAN], kind="focal", gamma=2) == pytest.approx(expected)


def test_focal_loss_without_gamma_is_the_plain_one() -> None:
    assert one([0.3, -2], [1, 0], kind="focal", gamma=0) == pytest.approx(one([0.3, -2], [1, 0], kind="bce"))


def test_smoothing_by_hand() -> None:
    # With 0.2 a positive is 0.9 positive: 0.9 ln 4/3 + 0.1 ln 4. Unstated stays unstated.
    expected = 0.9 * math.log(4 / 3) + 0.1 * math.log(4)
    assert one([LOG3, 5], [1, NAN], kind="bce", smoothing=0.2) == pytest.approx(expected)
    assert one([-LOG3], [0], kind="bce", smoothing=0.2) == pytest.approx(expected)


def test_two_way_cross_entropy_by_hand() -> None:
    pairs = torch.tensor([[1.0, 1.0 + LOG3], [0.0, 0.0], [4.0, 5.0]])
    # Shares 3/4 and 1/2 of the truth; the third row states nothing.
    found = two_way_cross_entropy(pairs, torch.tensor([1.0, 0.0, NAN]))
    assert float(found) == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)


def test_two_classes_under_a_softmax_are_one_logit() -> None:
    generator = torch.Generator().manual_seed(1)
    pairs = torch.randn(20, 2, generator=generator, requires_grad=True)
    targets = torch.rand(20, generator=generator)
    targets[3] = NAN
    two_way_cross_entropy(pairs, targets).backward()
    expected = pairs.grad
    pairs.grad = None
    loss_of(
        folded(pairs)[:, None], targets[:, None], torch.ones(2, 1), Loss(kind="cross-entropy")
    ).sum().backward()
    assert expected is not None
    torch.testing.assert_close(pairs.grad, expected)


@pytest.mark.parametrize("kind", LOSSES)
def test_every_loss_leaves_unstated_labels_alone(kind: str) -> None:
    logits = torch.tensor([[0.5, -1.0], [2.0, 0.1]], requires_grad=True)
    targets = torch.tensor([[1.0, NAN], [0.0, NAN]])
    found = loss_of(logits, targets, torch.full((2, 2), 0.5), Loss.model_validate({"kind": kind}))
    found.sum().backward()
    assert found[1] == 0 and found[0] > 0
    assert (
        logits.grad is not None
        and logits.grad[:, 1].tolist() == [0, 0]
        and bool((logits.grad[:, 0] != 0).all())
    )


def test_weights_go_by_what_is_drawn() -> None:
    targets = torch.tensor([[1.0], [0.0], [0.0], [0.0]])
    # The positive is drawn three times as often as each negative: as many of one as of the other.
    drawn = torch.tensor([3.0, 1, 1, 1])
    torch.testing.assert_close(class_weights(targets, drawn), torch.tensor([[0.5], [0.5]]))
