"""The step after a run that judges its maps, on a made-up data set with boxes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.made_runs import made_run, write_nih
from typer.testing import CliRunner

from cxrviewer.cli import app
from cxrviewer.reporting.run_report import read_report
from cxrviewer.settings import get_settings
from cxrviewer.training.run_folder import RunFolder


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CXR_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CXR_ENGINE", "torch")
    get_settings.cache_clear()
    yield tmp_path / "data"
    get_settings.cache_clear()


def test_maps_are_judged_and_the_report_says_how(data_dir: Path, tmp_path: Path) -> None:
    run = made_run(data_dir, write_nih(tmp_path / "nih"))
    result = CliRunner().invoke(app, ["runs", "explain-check", "small-1", "--sample", "2"])
    assert result.exit_code == 0, result.output
    found = json.loads((run / "explanations.json").read_text())
    # Two boxes of one label on a picture are one area.
    assert (found["n_areas"], found["n_images"], found["n_patients"], found["datasets"]) == (4, 4, 4, ["nih"])
    assert {name: values["n"] for name, values in found["methods"].items()} == {
        "Grad-CAM": 4, "Integrated Gradients": 2, "LIME": 2, "Mean map of Grad-CAM": 4,
        "Mean map of Integrated Gradients": 2, "Mean map of LIME": 2, "Where readers marked others": 4,
        "Middle of the picture": 4, "Chance": 4,
    }  # fmt: skip
    by_chance = found["methods"]["Chance"]
    # Three boxes of 0.09 and one area of twice that.
    assert by_chance["pointing"] == by_chance["energy"] == pytest.approx((3 * 0.09 + 0.18) / 4, abs=0.01)
    low, high = by_chance["iou_ci95"]
    assert low < by_chance["iou"] < high
    assert list(found["labels"]) == ["Mass"]
    assert "peak inside" in result.stdout
    assert "Do the maps point at what readers marked?" in [s.title for s in read_report(run).sections]
    assert (run / "report.html").is_file() and (run / "report.pdf").is_file()


def test_without_marked_areas_it_says_so(data_dir: Path, tmp_path: Path) -> None:
    made_run(data_dir, write_nih(tmp_path / "nih", boxes=False))
    result = CliRunner().invoke(app, ["runs", "explain-check", "small-1"])
    assert result.exit_code == 1
    assert "area that a reader marked" in result.stderr


def test_a_run_that_is_not_finished_waits(data_dir: Path) -> None:
    RunFolder(data_dir / "runs" / "first").status("failed", 0.5)
    for command in ("report", "explain-check", "promote"):
        assert CliRunner().invoke(app, ["runs", command, "first"]).exit_code == 2
        assert CliRunner().invoke(app, ["runs", command, "../x"]).exit_code == 1
