"""What a stage does not train stays as it is, batch norms included."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from cxrviewer.errors import ConfigurationError
from cxrviewer.training.config import Optimisation, Stage, TrainingConfig
from cxrviewer.training.fit import fit, load_state
from cxrviewer.training.freezing import blocks_of, freeze_all_but, set_modes, trained_part
from cxrviewer.training.optimisers import OPTIMISERS
from cxrviewer.training.run_folder import RunFolder

Build = Callable[..., TrainingConfig]


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2)),
        nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.ReLU(),
    )  # fmt: skip


def test_norms_belong_to_the_part_before_them() -> None:
    net = network()
    assert [len(block) for block in blocks_of(net)] == [3, 1, 3]
    # Around the whole there may be another module.
    assert [len(block) for block in blocks_of(nn.Sequential(net))] == [3, 1, 3]


@pytest.mark.parametrize(
    ("stage", "trained"),
    [
        (Stage(trains="all"), [0, 1, 3, 4, 5]),
        (Stage(trains="heads"), []),
        (Stage(trains="last", layers=1), [4, 5]),
        (Stage(trains="last", layers=2), [3, 4, 5]),
    ],
)
def test_the_part_that_a_stage_trains(stage: Stage, trained: list[int]) -> None:
    net = network()
    part = trained_part(net, stage)
    freeze_all_but(net, part)
    set_modes(net, part)
    with_weights = [k for k, child in enumerate(net) if any(True for _ in child.parameters())]
    assert [k for k in with_weights if all(p.requires_grad for p in net[k].parameters())] == trained
    assert [k for k in with_weights if net[k].training] == trained


def test_more_blocks_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="last 4 blocks are to be trained, and the backbone has 3"):
        trained_part(network(), Stage(trains="last", layers=4))


@pytest.mark.parametrize("optimizer", OPTIMISERS)
def test_frozen_weights_do_not_move(tiny_config: Build, tmp_path: Path, optimizer: str) -> None:
    """Neither by a gradient nor by decay nor by momentum of an earlier stage; the norms' statistics neither."""

    def run(epochs: int) -> dict[str, torch.Tensor]:
        # The same length either way, so that the rates of the first epochs are the same.
        stages = (Stage(size=32, epochs=1), Stage(size=32, epochs=2, trains="heads"))
        how = Optimisation(optimizer=optimizer, schedule="constant")
        config = tiny_config(stages=stages, optimisation=how, ema_decay=0.0, weight_decay=0.5)
        folder = RunFolder(tmp_path / str(epochs))

        def stop(share: float, _words: str) -> None:
            if share * 3 > epochs:
                raise _EnoughError

        with contextlib.suppress(_EnoughError):
            fit(config, folder, tell=stop)
        return load_state(folder.checkpoint)

    after_first, at_end = run(1), run(3)
    backbone = [name for name in at_end if name.startswith("classifier.backbone.")]
    assert all(torch.equal(at_end[name], after_first[name]) for name in backbone)
    assert not torch.equal(
        at_end["classifier.heads.pneumonia.weight"], after_first["classifier.heads.pneumonia.weight"]
    )


class _EnoughError(Exception):
    pass
