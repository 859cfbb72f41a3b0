"""The lean DenseNet is the eager one: the same logits, the same gradients."""

from __future__ import annotations

import pytest
import torch
from support.small_models import small_network

from cxrviewer.classifiers.classifier import Classifier
from cxrviewer.explainers.lean_gradients import Network, lean


def gradient(function: Network, inputs: torch.Tensor, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = inputs.clone().requires_grad_(True)
    logits = function(leaf)[:, index]
    return logits.detach(), torch.autograd.grad(logits.sum(), leaf)[0]


@pytest.fixture(scope="module")
def densenet() -> Classifier:
    # Double precision: what is left of a difference is the formula's, not rounding's.
    return small_network("densenet121").requires_grad_(False).double()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("index", [0, 9])
def test_logits_and_gradients_are_the_eager_ones(
    densenet: Classifier, layout: torch.memory_format, index: int
) -> None:
    inputs = torch.randn(3, 1, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    inputs = inputs.to(memory_format=layout)
    expected, found = gradient(densenet, inputs, index), gradient(lean(densenet), inputs, index)
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-12)


def test_single_precision_stays_close(densenet: Classifier) -> None:
    single = small_network("densenet121").requires_grad_(False)
    inputs = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    truth = gradient(densenet, inputs.double(), 2)[1]
    found = gradient(lean(single), inputs, 2)[1]
    # Rounding may take a ReLU from one side of zero to the other, and its whole share with it: 1e-3 was seen.
    assert float((found - truth).norm() / truth.norm()) < 1e-2


def test_any_other_backbone_is_left_as_it_is() -> None:
    network = small_network("tiny")
    assert lean(network) is network


def test_a_second_pass_finds_nothing_of_the_first(densenet: Classifier) -> None:
    function = lean(densenet)
    first, second = (torch.full((1, 1, 64, 64), value, dtype=torch.float64) for value in (0.3, -0.7))
    alone = gradient(function, second, 1)[1]
    gradient(function, first, 1)
    torch.testing.assert_close(gradient(function, second, 1)[1], alone, rtol=0, atol=0)
