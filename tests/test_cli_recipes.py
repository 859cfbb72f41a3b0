"""Presets and the learning-rate finder on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from cxrviewer.cli import app
from cxrviewer.settings import get_settings
from cxrviewer.training.presets import PRESETS


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CXR_DATA_DIR", str(tmp_path / "data"))
    get_settings.cache_clear()
    yield tmp_path / "data"
    get_settings.cache_clear()


@pytest.fixture
def kermany(tmp_path: Path) -> Path:
    """Sixty persons; the ill ones' pictures are brighter."""
    rng = np.random.default_rng(0)
    for person in range(60):
        ill = person % 2 == 0
        name = f"person{person}_bacteria_1" if ill else f"IM-{person:04d}-0001"
        path = tmp_path / "kermany" / "train" / ("PNEUMONIA" if ill else "NORMAL") / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.normal(120 if ill else 90, 20, (40, 40)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "kermany"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_presets_are_listed_with_where_they_come_from() -> None:
    result = run("train", "--presets")
    assert result.exit_code == 0
    assert [line.split(":")[0] for line in result.stdout.splitlines() if not line.startswith("-")] == list(
        PRESETS
    )
    assert "- data: siim, then chexpert\n" in result.stdout
    assert "- differs: nobody publishes ImageNet weights of ResNetV2-152" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Name a recipe"),
        (["--config", "c.json", "--preset", "quick-nih"], "one of the two"),
        (["--config", "c.json", "--root", "x"], "--root and --id go with --preset"),
        (["--preset", "quick"], "There is no preset called quick"),
        (["--preset", "quick-nih"], "learns from 1 folders (nih), and 0 are given"),
        (["--preset", "quick-nih", "--root", "x", "--id", "A B"], "id: "),
    ],
)
def test_what_cannot_be_trained_is_told(arguments: list[str], words: str) -> None:
    result = run("train", *arguments)
    assert result.exit_code in (1, 2)
    assert words in result.stderr


def test_the_rate_finder_suggests_and_trains_nothing(data_dir: Path, kermany: Path) -> None:
    result = run("train", "--preset", "quick-kermany", "--root", kermany, "--id", "mine", "--find-rate")
    assert result.exit_code == 0, result.stderr
    folder = data_dir / "rates" / "mine"
    found = json.loads((folder / "rate.json").read_text())
    assert set(found) == {"rates", "losses", "smoothed", "suggestion"}
    assert result.stdout == f"{found['suggestion']:.1e}\n"
    assert "Loss over the learning rate" in (folder / "rate.html").read_text(encoding="utf-8")
    # No folder stands in the way of the run of that id.
    assert not (data_dir / "runs" / "mine").exists()
