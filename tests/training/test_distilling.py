"""What several networks agree on, as the targets of one: by hand-worked numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.small_models import small_card, small_network

from cxrviewer.classifiers.bundle import pack, save_bundle
from cxrviewer.classifiers.classifier import Architecture, Classifier
from cxrviewer.classifiers.preparing import InputSpec
from cxrviewer.datasets.splits import Part, write_split
from cxrviewer.errors import ConfigurationError, SplitError
from cxrviewer.labels import PNEUMONIA, Head
from cxrviewer.training.config import Distillation, HeadChoice, Loss, Stage, TrainingConfig
from cxrviewer.training.distilling import Teachers, taught_targets, teachers
from cxrviewer.training.fit import fit, load_state
from cxrviewer.training.material import architecture_of, gather
from cxrviewer.training.publishing import classifier_of
from cxrviewer.training.run_folder import RunFolder

Build = Callable[..., TrainingConfig]
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
    pupil = Architecture("tiny", ((Head.FINDINGS, ("Edema", "Mass", "Hernia")),), InputSpec(32))
    told = teachers([one, other], pupil)(torch.randn(2, 1, 32, 32))
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
    told = teachers([network], network.architecture)(torch.randn(2, 1, 32, 32, requires_grad=True))
    assert seen == [(2, 1, 64, 64)]
    assert not told.requires_grad
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not isinstance(Teachers((), ()), torch.nn.Module)


def test_a_teacher_that_cannot_teach_is_refused() -> None:
    network = constant(Head.FINDINGS, Mass=0.0)
    with pytest.raises(ConfigurationError, match="knows none of the run's labels"):
        teachers([network], Architecture("tiny", ((Head.FINDINGS, ("Edema",)),), InputSpec(32)))
    for spec in (
        InputSpec(32, channels=3),
        InputSpec(32, normalisation="zero-one"),
        InputSpec(32, resize="crop"),
    ):
        with pytest.raises(ConfigurationError, match="prepared otherwise"):
            teachers([network], Architecture("tiny", network.architecture.heads, spec))


def bundle_that_says(logit: float, tmp_path: Path) -> Path:
    network = constant(Head.PNEUMONIA, pneumonia=logit)
    return save_bundle(tmp_path, pack(network), small_card("teacher-1", network.architecture))


def test_a_run_learns_what_its_teacher_says(tiny_config: Build, tmp_path: Path) -> None:
    """The teacher says 0.9 of every picture, and alone counts: so does the pupil, whatever the labels are."""
    folder = bundle_that_says(2.1972246, tmp_path / "models")
    config = tiny_config(
        heads=(HeadChoice(name=Head.PNEUMONIA, labels=(PNEUMONIA,)),),
        distillation=Distillation(teachers=(str(folder),), weight=1.0),
        loss=Loss(kind="bce"),
        stages=(Stage(size=32, epochs=6),),
        learning_rate=0.05,
        auxiliary=(),
    )
    run = RunFolder(tmp_path / "run")
    state = load_state(fit(config, run))
    assert not any("teacher" in name for name in state)
    pupil = classifier_of(run.checkpoint, architecture_of(config))
    told = pupil(torch.randn(16, 1, 32, 32)).sigmoid().mean().detach()
    assert 0.8 < float(told) < 0.97


def test_a_teacher_that_has_learnt_what_judges_the_run_is_refused(tiny_config: Build, tmp_path: Path) -> None:
    folder = bundle_that_says(0.0, tmp_path / "models")
    config = tiny_config(distillation=Distillation(teachers=(str(folder),)))
    rows = gather(config).split
    write_split([replace(row, part=Part.TRAIN) for row in rows], folder / "split.csv")
    with pytest.raises(SplitError, match="have learnt"):
        fit(config, RunFolder(tmp_path / "run"))


def test_a_loss_that_wants_zeros_and_ones_takes_no_teacher(tiny_config: Build) -> None:
    with pytest.raises(ValueError, match="teachers give probabilities, which focal is not made for"):
        tiny_config(distillation=Distillation(teachers=("a",)), loss=Loss(kind="focal"))
