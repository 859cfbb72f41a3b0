"""The step after a run that judges its maps, on a made-up data set with boxes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.small_models import save_small
from typer.testing import CliRunner

from cxrviewer.cli import app
from cxrviewer.reporting.run_report import read_report
from cxrviewer.settings import get_settings
from cxrviewer.training.config import Source, Stage, TrainingConfig
from cxrviewer.training.material import gather
from cxrviewer.training.run_folder import RunFolder


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CXR_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CXR_ENGINE", "torch")
    get_settings.cache_clear()
    yield tmp_path / "data"
    get_settings.cache_clear()


def write_nih(root: Path, boxes: bool = True) -> Path:
    """Twelve pictures of as many people; four are marked, one of them with two boxes of a label."""
    (root / "images").mkdir(parents=True)
    rows = ["filename,Finding Labels,Patient ID,Patient Age,Patient Gender,View Position"]
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 255, (64, 64), np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
        rows.append(f"{number}.png,{'Mass' if number % 2 else 'No Finding'},{number},50,M,PA")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    if boxes:
        marked = [(1, 0.1), (3, 0.3), (5, 0.5), (7, 0.1), (7, 0.6)]
        lines = [f"{number}.png,Mass,{left},0.2,0.3,0.3" for number, left in marked]
        header = "filename,Finding Label,x_frac,y_frac,w_frac,h_frac\n"
        (root / "boxes.csv").write_text(header + "\n".join(lines) + "\n")
    return root


def make_run(data_dir: Path, root: Path) -> Path:
    config = TrainingConfig(
        id="small-1",
        sources=(Source(name="nih", root=str(root), report=0.2),),
        backbone="tiny",
        stages=(Stage(size=64),),
    )
    run = RunFolder(data_dir / "runs" / "small-1")
    run.write_config(config)
    run.write_split(gather(config).split)
    save_small(run.path / "bundle", "small-1")
    run.status("finished", 1.0)
    return run.path


def test_maps_are_judged_and_the_report_says_how(data_dir: Path, tmp_path: Path) -> None:
    run = make_run(data_dir, write_nih(tmp_path / "nih"))
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
    make_run(data_dir, write_nih(tmp_path / "nih", boxes=False))
    result = CliRunner().invoke(app, ["runs", "explain-check", "small-1"])
    assert result.exit_code == 1
    assert "area that a reader marked" in result.stderr


def test_a_run_that_is_not_finished_waits(data_dir: Path) -> None:
    RunFolder(data_dir / "runs" / "first").status("failed", 0.5)
    for command in ("report", "explain-check", "promote"):
        assert CliRunner().invoke(app, ["runs", command, "first"]).exit_code == 2
        assert CliRunner().invoke(app, ["runs", command, "../x"]).exit_code == 1
