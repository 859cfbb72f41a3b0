"""`runs promote` and `models undo`: nothing changes without a yes, and everything can be taken back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from support.made_runs import made_run, write_nih
from support.small_models import save_small
from typer.testing import CliRunner

from cxrviewer.classifiers.registry import serving_id
from cxrviewer.cli import app
from cxrviewer.settings import get_settings


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CXR_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CXR_MODELS_DIR", str(tmp_path / "shipped"))
    monkeypatch.setenv("CXR_ENGINE", "torch")
    get_settings.cache_clear()
    save_small(tmp_path / "shipped", "old", seed=7)
    yield made_run(tmp_path / "data", write_nih(tmp_path / "nih"))
    get_settings.cache_clear()


def call(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(app, arguments, input=answer)


def test_without_a_yes_nothing_changes(run: Path) -> None:
    result = call("runs", "promote", "small-1", answer="n\n")
    assert result.exit_code == 0, result.output
    assert "nih, " in result.stdout and "Mass: " in result.stdout
    assert "does not say which pictures it learnt from" in result.stdout
    assert "Nothing was changed." in result.stderr
    assert serving_id(get_settings()) == "old"
    assert not (get_settings().data_dir / "models").exists()


def test_promoted_and_taken_back(run: Path) -> None:
    result = call("runs", "promote", "small-1", "--yes", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["new_model"], found["serving_model"]) == ("small-1", "old")
    assert found["parts"][0]["labels"][0]["label"] == "Mass"
    assert serving_id(get_settings()) == "small-1"
    undone = call("models", "undo")
    assert (undone.exit_code, undone.stdout) == (0, "old serves from now on.\n")
    assert serving_id(get_settings()) == "old"
    again = call("models", "undo")
    assert again.exit_code == 1 and "no earlier choice" in again.stderr
