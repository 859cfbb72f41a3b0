"""An interrupted and resumed run ends with the weights of an unbroken one, whatever it learns with."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import torch

from cxrviewer.training import lightning_module
from cxrviewer.training.config import Optimisation, Source, Stage, TrainingConfig
from cxrviewer.training.fit import fit, is_finished, load_state
from cxrviewer.training.optimisers import OPTIMISERS
from cxrviewer.training.run_folder import RunFolder
from cxrviewer.training.schedules import SCHEDULES

Build = Callable[..., TrainingConfig]

AVERAGING = {
    "none": {"ema_decay": 0.0},
    "ema": {"ema_decay": 0.8},
    "swa": {"ema_decay": 0.0, "swa_epochs": 2},
}


class _Interrupted(Exception):
    pass


def interrupted(after: int) -> Callable[[float, str], None]:
    left = after

    def stop(_share: float, _words: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise _Interrupted

    return stop


def assert_resumes(config: TrainingConfig, folder: Path, after: int) -> None:
    unbroken, broken = RunFolder(folder / "unbroken"), RunFolder(folder / "broken")
    wanted = load_state(fit(config, unbroken))
    with pytest.raises(_Interrupted):
        fit(config, broken, tell=interrupted(after))
    torch.rand(7)  # another process would have another generator state
    resumed = load_state(fit(config, broken, resume=True))
    assert resumed.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(tensor, resumed[name]), name


@pytest.fixture
def short(tiny_config: Build, kermany_folder: Path) -> Build:
    """Four epochs of three batches, two of them to a step; the second half trains other layers at another rate."""
    source = Source(name="kermany", root=str(kermany_folder), draws=24, tune=0.2, report=0.2)
    stages = (
        Stage(size=32, epochs=2, trains="last", layers=2),
        Stage(size=32, epochs=2, trains="all", learning_rate=0.003),
    )

    def build(**changes: object) -> TrainingConfig:
        return tiny_config(**{"sources": (source,), "stages": stages} | changes)

    return build


@pytest.mark.parametrize(
    ("optimizer", "schedule", "averaging"), list(product(OPTIMISERS, SCHEDULES, AVERAGING))
)
def test_a_resumed_run_ends_with_the_same_weights(
    short: Build, tmp_path: Path, optimizer: str, schedule: str, averaging: str
) -> None:
    how = Optimisation(
        optimizer=optimizer, schedule=schedule, accumulate=2, patience=1, step_epochs=1, keep="last"
    )
    # In the third epoch: what the second has frozen, and what the first two have scored, must come back.
    assert_resumes(short(optimisation=how, **AVERAGING[averaging]), tmp_path, after=8)


def test_tunes_earlier_scores_come_back(
    short: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tune stands still, so each epoch after the first divides the rate: forgotten scores would undo that."""
    monkeypatch.setattr(lightning_module, "auroc", lambda _truth, _scores: 0.5)
    how = Optimisation(optimizer="sgd", schedule="plateau", patience=1)
    assert_resumes(short(optimisation=how, stages=(Stage(size=32, epochs=4),)), tmp_path, after=8)


@pytest.mark.parametrize("after", [2, 8, 11])
def test_the_best_epoch_is_remembered(short: Build, tmp_path: Path, after: int) -> None:
    assert_resumes(short(optimisation=Optimisation(keep="best")), tmp_path, after)


def test_a_run_that_stopped_early_is_finished(short: Build, tmp_path: Path) -> None:
    """At a rate of nothing tune never gains: the second epoch is the last, and resuming adds none."""
    how = Optimisation(stop_after=1, schedule="constant")
    config = short(optimisation=how, learning_rate=1e-30, ema_decay=0.0, stages=(Stage(size=32, epochs=5),))
    run = RunFolder(tmp_path / "run")
    fit(config, run)
    assert is_finished(run.checkpoint, config)
    before = load_state(run.checkpoint)
    rows = (run.path / "metrics.csv").read_text().splitlines()
    assert len(rows) < 6
    fit(config, run, resume=True)
    assert (run.path / "metrics.csv").read_text().splitlines() == rows
    assert all(torch.equal(tensor, before[name]) for name, tensor in load_state(run.checkpoint).items())
