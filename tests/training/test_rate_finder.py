"""The sweep against curves whose steepest point is known, and on a small network from end to end."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cxrviewer.reporting.rate import rate_figure, write_rate
from cxrviewer.training.config import Stage, TrainingConfig
from cxrviewer.training.rate_finder import MEMORY, find_rate, smooth, suggest

RATES = np.geomspace(1e-6, 1.0, 61)


def test_smoothing_by_hand() -> None:
    assert smooth([3.0]) == pytest.approx((3.0,))
    assert smooth([3.0, 3.0, 3.0]) == pytest.approx((3.0, 3.0, 3.0))
    # Weights 0.9 and 1 over their sum.
    assert smooth([1.0, 2.0])[1] == pytest.approx((MEMORY * 1 + 2) / (MEMORY + 1))


def test_the_steepest_descent_is_found() -> None:
    """A loss that falls along a logistic curve is steepest in its middle, at 1e-3, whatever it does at the end."""
    position = np.log10(RATES)
    losses = 1 / (1 + np.exp(4 * (position + 3)))
    losses[position > -1] += 5 * (position[position > -1] + 1)
    assert suggest(RATES.tolist(), losses.tolist()) == pytest.approx(1e-3, rel=0.01)


def test_what_falls_after_the_lowest_point_counts_not() -> None:
    """Leaving and coming back from far above is the steepest fall of all, and no place to train at."""
    losses = np.concatenate([np.linspace(1, 0.5, 40), [9.0], np.linspace(9, 0.6, 20)])
    found = suggest(RATES.tolist(), losses.tolist())
    assert found is not None and found <= RATES[39]


def test_a_loss_that_only_grows_suggests_nothing() -> None:
    assert suggest(RATES.tolist(), np.linspace(1, 2, 61).tolist()) is None
    assert suggest([], []) is None


def test_a_sweep_of_a_small_network(
    tiny_config: Callable[..., TrainingConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_DATA_DIR", str(tmp_path / "data"))
    told: list[float] = []
    config = tiny_config(stages=(Stage(size=32, epochs=1),), optimisation={"optimizer": "sgd", "clip": 0})
    finding = find_rate(config, tmp_path, tell=lambda share, _: told.append(share), steps=60)
    assert finding.suggestion is not None and 1e-4 < finding.suggestion < 1
    assert len(finding.rates) == len(finding.losses) == len(finding.smoothed) <= 60
    assert np.allclose(np.diff(np.log(finding.rates)), np.log(1e7) / 59)
    assert not list(tmp_path.rglob("*.ckpt"))
    again = find_rate(config, tmp_path, steps=60)
    assert again == finding
    with pytest.raises(dataclasses.FrozenInstanceError):
        finding.suggestion = 1.0  # type: ignore[misc]


def test_a_frozen_backbone_is_not_swept(tiny_config: Callable[..., TrainingConfig], tmp_path: Path) -> None:
    """The heads alone can do less: their loss stays above that of the whole network's sweep."""
    torch.manual_seed(0)
    heads = tiny_config(
        stages=(Stage(size=32, trains="heads"), Stage(size=32)), optimisation={"optimizer": "sgd"}
    )
    every = tiny_config(stages=(Stage(size=32),), optimisation={"optimizer": "sgd"})
    assert find_rate(heads, tmp_path, steps=50).losses != find_rate(every, tmp_path, steps=50).losses


def test_the_plot_holds_the_sweep_and_asks_nobody(tmp_path: Path) -> None:
    figure = rate_figure([1e-3, 1e-2, 1e-1], [1.0, 0.5, 4.0], [1.0, 0.7, 2.0], 1e-2)
    assert [list(trace.y) for trace in figure.data] == [[1.0, 0.5, 4.0], [1.0, 0.7, 2.0]]
    assert figure.layout.xaxis.type == "log"
    low, high = figure.layout.yaxis.range
    assert low < 0.7 and 1.0 < high < 4.0
    write_rate(figure, tmp_path / "rate.html")
    page = (tmp_path / "rate.html").read_text(encoding="utf-8")
    assert "suggestion 1.0e-02" in page and "<script src=" not in page
