"""What several networks agree on, as the targets of one: by hand-worked numbers."""

from __future__ import annotations

import pytest
import torch
from support.small_models import small_network

from cxrviewer.classifiers.classifier import Architecture, Classifier
from cxrviewer.classifiers.preparing import InputSpec
from cxrviewer.classifiers.targets import Target
from cxrviewer.errors import ConfigurationError
from cxrviewer.labels import Head
from cxrviewer.training.distilling import Teachers, taught_targets, teachers

NAN = float("nan")


def constant(head: Head, **logits: float) -> Classifier:
    """A network that says the same of every picture."""
    network = Classifier(Architecture("tiny", ((head, tuple(logits)),), InputSpec(32))).eval()
    with torch.no_grad():
        network.get_parameter(f"heads.{head}.weight").zero_()
        network.get_parameter(f"heads.{head}.bias").copy_(torch.tensor(list(logits.values())))
    return network


def test_the_mean_is_of_those_that_know_the_label() -> None:
    one = constant(Head.FINDINGS, Mass=0.0, Edema=1.0986123)  # 1/2, 3/4
    other = constant(Head.FINDINGS, Edema=-1.0986123)  # 1/4
    targets = tuple(Target(Head.FINDINGS, label) for label in ("Edema", "Mass", "Hernia"))
    told = teachers([one, other], targets, 1)(torch.randn(2, 1, 32, 32))
    torch.testing.assert_close(told, torch.tensor([[0.5, 0.5, NAN]] * 2), equal_nan=True)


@pytest.mark.parametrize(
    ("unstated", "expected"), [(False, [0.85, 0.15, NAN, NAN, 1.0]), (True, [0.85, 0.15, 0.3, NAN, 1.0])]
)
def test_stated_labels_are_mixed_and_unstated_ones_only_filled_when_asked(
    unstated: bool, expected: list[float]
) -> None:
    targets = torch.tensor([[1.0, 0.0, NAN, NAN, 1.0]])
    told = torch.tensor([[0.7, 0.3, 0.3, NAN, NAN]])
    torch.testing.assert_close(
        taught_targets(targets, told, 0.5, unstated), torch.tensor([expected]), equal_nan=True
    )


def test_a_teacher_is_asked_at_its_own_size_and_keeps_nothing() -> None:
    network = small_network(size=64)
    seen: list[tuple[int, ...]] = []
    network.register_forward_pre_hook(lambda _module, inputs: seen.append(tuple(inputs[0].shape)))
    told = teachers([network], network.targets, 1)(torch.randn(2, 1, 32, 32, requires_grad=True))
    assert seen == [(2, 1, 64, 64)]
    assert not told.requires_grad
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not isinstance(Teachers((), ()), torch.nn.Module)


def test_a_teacher_that_cannot_teach_is_refused() -> None:
    network = constant(Head.FINDINGS, Mass=0.0)
    with pytest.raises(ConfigurationError, match="knows none of the run's labels"):
        teachers([network], (Target(Head.FINDINGS, "Edema"),), 1)
    with pytest.raises(ConfigurationError, match="other channels"):
        teachers([network], network.targets, 3)
