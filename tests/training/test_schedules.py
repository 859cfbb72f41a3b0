"""Learning rates against torch's own and against values worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from cxrviewer.training.config import Optimisation, Source, Stage, TrainingConfig
from cxrviewer.training.schedules import (
    SCHEDULES,
    Span,
    epochs_without_gain,
    plateaus,
    rate_at,
    spans_of,
)

STEPS = 10


def recipe(schedule: str = "constant", **changes: Any) -> TrainingConfig:
    values: dict[str, Any] = {
        "id": "a", "sources": (Source(name="nih", root="x"),), "learning_rate": 1.0, "warmup": 0.2,
        "stages": (Stage(epochs=4),), "optimisation": Optimisation.model_validate({"schedule": schedule}),
    }  # fmt: skip
    return TrainingConfig.model_validate(values | changes)


def rates(config: TrainingConfig, scores: tuple[float, ...] = ()) -> list[float]:
    return [
        rate_at(config, epoch, step, STEPS, scores) for epoch in range(config.epochs) for step in range(STEPS)
    ]


@pytest.mark.parametrize(("epochs", "warmup"), [(1, 0.15), (7, 0.15), (20, 0.3)])
def test_one_cycle_is_torchs(epochs: int, warmup: float) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    steps = epochs * STEPS
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.3, total_steps=steps + 1, pct_start=warmup, cycle_momentum=False, div_factor=20,
        final_div_factor=200,
    )  # fmt: skip
    expected = []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    config = recipe("one-cycle", learning_rate=0.3, warmup=warmup, stages=(Stage(epochs=epochs),))
    assert rates(config) == pytest.approx(expected, rel=1e-9)


def test_warm_up_is_a_straight_line_from_a_twentieth() -> None:
    found = rates(recipe())
    # A fifth of 40 steps: 8, with 1/20 at first and half of the way after four.
    assert found[0] == pytest.approx(0.05) and found[4] == pytest.approx(0.05 + 0.95 / 2)
    assert found[8:] == [1.0] * 32


def test_cosine_is_halfway_in_the_middle() -> None:
    found = rates(recipe("cosine"))
    assert max(found) == found[8] == 1.0
    assert found[24] == pytest.approx(0.5)  # 16 of the 32 steps after the warm-up
    assert found[-1] == pytest.approx((1 + math.cos(math.pi * 31 / 32)) / 2)


def test_steps_divide_by_ten() -> None:
    config = recipe().model_copy(update={"optimisation": Optimisation(schedule="step", step_epochs=2)})
    found = rates(config)
    assert found[19] == 1.0 and found[20] == pytest.approx(0.1)


def test_plateau_waits_and_divides() -> None:
    config = recipe().model_copy(update={"optimisation": Optimisation(schedule="plateau", patience=2)})
    scores = (0.7, 0.6, 0.7)  # two epochs without gain: equal is none
    assert rate_at(config, 3, 0, STEPS, scores) == pytest.approx(0.1)
    assert rate_at(config, 2, 0, STEPS, scores) == 1.0  # what comes later is not known yet


@pytest.mark.parametrize(
    ("scores", "patience", "expected"),
    [
        ((), 1, 0), ((0.5,), 1, 0), ((0.5, 0.4), 1, 1), ((0.5, 0.4, 0.4), 1, 2), ((0.5, 0.4, 0.6, 0.5), 2, 0),
        ((0.5, 0.4, 0.4, 0.4, 0.4), 2, 2), ((0.5, 0.4, 0.4, 0.6, 0.5, 0.5), 2, 2),
    ],
)  # fmt: skip
def test_plateaus_by_hand(scores: tuple[float, ...], patience: int, expected: int) -> None:
    assert plateaus(scores, patience) == expected


def test_epochs_without_gain_by_hand() -> None:
    assert [epochs_without_gain(s) for s in ([], [0.5], [0.5, 0.4], [0.4, 0.5], [0.5, 0.5])] == [
        0,
        0,
        1,
        0,
        1,
    ]


def test_a_stage_with_its_own_rate_opens_a_span() -> None:
    stages = (Stage(epochs=2), Stage(epochs=3), Stage(epochs=4, learning_rate=0.01), Stage(epochs=1))
    assert spans_of(recipe(stages=stages)) == (Span(0, 5, 1.0), Span(5, 5, 0.01))
    first = (Stage(epochs=2, learning_rate=0.5), Stage(epochs=1, learning_rate=0.5))
    assert spans_of(recipe(stages=first)) == (Span(0, 2, 0.5), Span(2, 1, 0.5))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_each_span_has_a_whole_schedule(schedule: str) -> None:
    """Two phases: the second's rates are the first's, scaled by its own peak, whatever tune said before."""
    both = recipe(schedule, stages=(Stage(epochs=4), Stage(epochs=4, learning_rate=0.25)))
    found = rates(both, (0.9, 0.1, 0.1, 0.1))
    alone = rates(recipe(schedule))
    assert found[40:] == pytest.approx([rate / 4 for rate in alone])
