"""No memory and no number: the batch shrinks and the run goes on, or it stops with its last good weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cxrviewer.errors import ConfigurationError
from cxrviewer.labels import Head
from cxrviewer.training.commands import train
from cxrviewer.training.config import HeadChoice, Optimisation, Source, Stage, TrainingConfig
from cxrviewer.training.fit import fit, load_state
from cxrviewer.training.lightning_module import ClassifierTraining
from cxrviewer.training.memory_shortage import is_shortage, with_half_the_batch
from cxrviewer.training.pictures import Batch
from cxrviewer.training.run_folder import RunFolder

Build = Callable[..., TrainingConfig]
Step = Callable[[ClassifierTraining, Batch, int], torch.Tensor]

SHORTAGES = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:119] . DefaultCPUAllocator: can't allocate memory: you tried ..."
    ),
    RuntimeError("CUDA error: out of memory"),
    MemoryError("Unable to allocate 3.2 GiB for an array"),
]


@pytest.mark.parametrize("shortage", SHORTAGES)
def test_a_lack_of_memory_is_known_by_its_words(shortage: Exception) -> None:
    assert is_shortage(shortage)


def test_another_fault_is_none() -> None:
    assert not is_shortage(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_shortage(ValueError("out of memory"))


def test_the_effective_batch_stays(tiny_config: Build) -> None:
    config = tiny_config(batch_size=8, optimisation=Optimisation(accumulate=3))
    half = with_half_the_batch(config)
    assert (half.batch_size, half.optimisation.accumulate) == (4, 6)
    assert half.model_copy(update={"batch_size": 8, "optimisation": config.optimisation}) == config
    with pytest.raises(ConfigurationError, match="too short for a single picture"):
        with_half_the_batch(config.model_copy(update={"batch_size": 1}))
    normed = HeadChoice(name=Head.PNEUMONIA, labels=("pneumonia",), stack="dense-512-128-32")
    with pytest.raises(ConfigurationError, match="too short for 3 pictures at a time"):
        with_half_the_batch(tiny_config(batch_size=3, heads=(normed,)))


def room_for(
    pictures: int, monkeypatch: pytest.MonkeyPatch, shortage: Exception, from_epoch: int = 0
) -> list[tuple]:
    """Larger batches than that fail from an epoch on; returns what was asked for, as (epoch, pictures)."""
    asked: list[tuple] = []
    step: Step = ClassifierTraining.training_step

    def limited(self: ClassifierTraining, batch: Batch, index: int) -> torch.Tensor:
        asked.append((self.current_epoch, len(batch.targets)))
        if self.current_epoch >= from_epoch and len(batch.targets) > pictures:
            raise shortage
        return step(self, batch, index)

    monkeypatch.setattr(ClassifierTraining, "training_step", limited)
    return asked


@pytest.fixture
def short(tiny_config: Build, kermany_folder: Path) -> Build:
    """Three epochs of four batches of eight."""
    source = Source(name="kermany", root=str(kermany_folder), draws=32, tune=0.2, report=0.2)

    def build(**changes: object) -> TrainingConfig:
        return tiny_config(**{"sources": (source,), "stages": (Stage(size=32, epochs=3),)} | changes)

    return build


@pytest.mark.parametrize("shortage", SHORTAGES)
def test_the_batch_is_halved_until_it_fits(
    short: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shortage: Exception
) -> None:
    """From the second epoch on: the first is kept, and a step is still made of eight pictures."""
    asked = room_for(3, monkeypatch, shortage, from_epoch=1)
    run, told = RunFolder(tmp_path / "run"), list[str]()
    fit(short(), run, tell=lambda _, words: told.append(words))
    assert asked == [(0, 8)] * 4 + [(1, 8), (1, 4)] + [(1, 2)] * 16 + [(2, 2)] * 16
    log = (run.path / "log.txt").read_text()
    assert "memory ran out: batches of 4" in log and "memory ran out: batches of 2" in log
    assert told[-1].endswith("memory ran out, so batches of 2")
    # Three epochs of four steps, as without a shortage.
    assert torch.load(run.checkpoint, weights_only=True)["global_step"] == 12


def test_halving_ends_at_one_picture(short: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = room_for(0, monkeypatch, SHORTAGES[0])
    with pytest.raises(
        ConfigurationError, match="too short for a single picture at a time; the last whole epoch is kept"
    ):
        fit(short(), RunFolder(tmp_path / "run"))
    assert asked == [(0, 8), (0, 4), (0, 2), (0, 1)]


def test_other_faults_are_not_swallowed(
    short: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = room_for(0, monkeypatch, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        fit(short(), RunFolder(tmp_path / "run"))
    assert len(asked) == 1


def test_a_loss_that_is_no_number_keeps_the_last_epoch(
    short: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step: Step = ClassifierTraining.loss  # type: ignore[assignment]

    def spoilt(self: ClassifierTraining, batch: Batch) -> torch.Tensor:
        return step(self, batch) * (float("nan") if self.current_epoch == 1 else 1)  # type: ignore[call-arg]

    first = RunFolder(tmp_path / "first")
    fit(
        short(stages=(Stage(size=32, epochs=1),), optimisation=Optimisation(schedule="constant"), warmup=0.3),
        first,
    )
    monkeypatch.setattr(ClassifierTraining, "loss", spoilt)
    file, folder = tmp_path / "c.json", tmp_path / "run"
    file.write_text(short(optimisation=Optimisation(schedule="constant"), warmup=0.1).model_dump_json())
    with pytest.raises(ConfigurationError, match="loss is no number any more in epoch 2"):
        train(file, folder)
    status = json.loads((folder / "status.json").read_text())
    assert (
        status["state"] == "failed"
        and "no number" in status["message"]
        and "Lower the learning" in status["message"]
    )
    kept = load_state(RunFolder(folder).checkpoint)
    # The warm-up of a third of one epoch is the tenth of three: the same first epoch, weight by weight.
    assert all(torch.equal(tensor, kept[name]) for name, tensor in load_state(first.checkpoint).items())


def test_weights_spoilt_by_an_epochs_last_step_are_not_stored(
    short: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss may be a number and its gradient none."""

    def spoil(self: ClassifierTraining, *_: object) -> None:
        if self.current_epoch == 1:
            for parameter in self.parameters():
                if parameter.grad is not None:
                    parameter.grad.fill_(float("nan"))

    monkeypatch.setattr(ClassifierTraining, "on_after_backward", spoil)
    run = RunFolder(tmp_path / "run")
    source = short().sources[0].model_copy(update={"draws": 8})  # one step an epoch: no later loss to notice
    with pytest.raises(ConfigurationError, match="weights are no number any more in epoch 2"):
        fit(short(sources=(source,)), run)
    assert all(bool(tensor.isfinite().all()) for tensor in load_state(run.checkpoint).values())
