"""Run folders and data sets on the command line."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from cxrviewer.cli import app
from cxrviewer.settings import get_settings
from cxrviewer.training import runs
from cxrviewer.training.launcher import LOCAL
from cxrviewer.training.processes import Process, this_process
from cxrviewer.training.run_folder import Pace, RunFolder
from cxrviewer.training.run_listing import RunStatus, read_status


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CXR_DATA_DIR", str(tmp_path / "data"))
    get_settings.cache_clear()
    yield tmp_path / "data"
    get_settings.cache_clear()


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_no_runs_are_an_empty_list() -> None:
    result = run("runs", "list")
    assert (result.exit_code, result.stdout) == (0, "")


def test_runs_are_listed_shown_and_asked_to_stop(data_dir: Path) -> None:
    first = RunFolder(data_dir / "runs" / "first")
    first.status("finished", 1.0, "Done.")
    time.sleep(0.01)
    second = RunFolder(data_dir / "runs" / "second")
    second.status("running", 0.25, "Epoch 1.")
    (second.path / "metrics.csv").write_text("epoch,loss\n0,0.7\n1,0.5\n")
    assert [(row["id"], row["state"]) for row in objects(run("runs", "list", "--json"))] == [
        ("second", "running"),
        ("first", "finished"),
    ]
    (shown,) = objects(run("runs", "show", "second", "--json"))
    assert (shown["progress"], shown["metrics"]) == (0.25, {"epoch": "1", "loss": "0.5"})
    assert run("runs", "show", "second").stdout.startswith("second: running, 25%. Epoch 1.")
    assert not second.cancel_requested()
    assert run("runs", "cancel", "second").exit_code == 0
    assert second.cancel_requested()
    assert not first.cancel_requested()


class NothingStarts:
    """A launcher that only notes what it was asked for: the run then belongs to this very process."""

    def __init__(self) -> None:
        self.launched: list[str] = []

    def launch(self, run: Path) -> Process:
        self.launched.append(run.name)
        return this_process()

    def is_alive(self, run: RunStatus) -> bool:
        return True

    def cancel(self, run: RunStatus, hard: bool) -> None:
        RunFolder(run.path).request_cancel()


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> NothingStarts:
    made = NothingStarts()
    for function in (runs.submit, runs.cancel, runs.resume, runs.tick):
        # Defaults are bound when a function is made: replaced there, whatever way a command comes by it.
        kept = tuple(made if value is LOCAL else value for value in function.__defaults__ or ())
        monkeypatch.setattr(function, "__defaults__", kept)
    return made


def recipe(folder: Path, **changes: object) -> Path:
    values = {"id": "first", "sources": [{"name": "kermany", "root": "nowhere"}]} | changes
    (folder / "recipe.json").write_text(json.dumps(values))
    return folder / "recipe.json"


def test_runs_are_started_queued_cancelled_resumed_cloned_and_deleted(
    data_dir: Path, tmp_path: Path, launcher: NothingStarts
) -> None:
    config = recipe(tmp_path)
    assert run("runs", "start", "--config", config).stdout == "first: running, 0%. starting\n"
    assert run("runs", "start", "--config", config).exit_code == 2, "there is one of that id"
    assert run("runs", "start", "--config", config, "--id", "second").stdout.startswith("second: queued")
    assert run("runs", "start", "--config", config, "--id", "../up").exit_code == 2
    assert run("runs", "start", "--config", config, "--id", "x", "--device", "tpu").exit_code == 2
    assert launcher.launched == ["first"]
    for refused in ("resume", "delete"):
        assert run("runs", refused, "first").exit_code == 2, "it is still at work"
    assert run("runs", "cancel", "second").stdout == "second: cancelled.\n"
    assert run("runs", "cancel", "second").exit_code == 2, "it is not at work"
    assert run("runs", "resume", "second").stdout.startswith("second: queued")
    RunFolder(data_dir / "runs" / "first").status("cancelled", 0.5)
    assert [row["state"] for row in objects(run("runs", "list", "--json"))] == ["running", "cancelled"]
    assert launcher.launched == ["first", "second"], "whoever looks also starts what waits"
    cloned = json.loads(run("runs", "clone", "first", "third").stdout)
    assert cloned["id"] == "third" and cloned["sources"][0]["root"] == "nowhere"
    assert run("runs", "clone", "first", "fourth", "--start").stdout.startswith("fourth: queued")
    assert run("runs", "delete", "first").exit_code == 0
    assert not (data_dir / "runs" / "first").exists()
    assert run("runs", "resume", "absent").exit_code == 1


def test_show_tells_pace_and_log(data_dir: Path) -> None:
    folder = RunFolder(data_dir / "runs" / "first")
    folder.say("reading 48 pictures")
    folder.pace = Pace(epoch=2, epochs=8, images_per_second=41.5, eta_seconds=310, memory_bytes=812 << 20)
    folder.status("running", 0.2, "epoch 2 of 8")
    text = run("runs", "show", "first").stdout
    assert "epoch 2 of 8, 41.5 images a second, 310 s to go, 812 MB on cpu\n" in text
    assert text.endswith("reading 48 pictures\n")
    (shown,) = objects(run("runs", "show", "first", "--json"))
    assert (shown["eta_seconds"], shown["images_per_second"], shown["device"]) == (310, 41.5, "cpu")
    assert len(shown["log"]) == 1


@pytest.mark.parametrize("name", ["absent", "../runs/first", "", "."])
def test_a_run_is_looked_up_and_never_a_path(data_dir: Path, name: str) -> None:
    RunFolder(data_dir / "runs" / "first").status("finished", 1.0)
    assert run("runs", "show", name).exit_code == 1
    assert run("runs", "cancel", name).exit_code == 1


def test_a_silent_run_is_lost_after_a_minute_and_a_finished_one_never(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.status("running", 0.5)
    told = json.loads((folder.path / "status.json").read_text())["heartbeat"]
    states = [getattr(read_status(folder.path, now=told + silent), "state", None) for silent in (59, 61)]
    assert states == ["running", "lost"]
    folder.status("cancelled", 0.5)
    assert getattr(read_status(folder.path, now=told + 10**6), "state", None) == "cancelled"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"state": "running"}', '{"state": 1, "heartbeat": "x"}'])
def test_a_damaged_status_is_no_run(data_dir: Path, content: str) -> None:
    folder = data_dir / "runs" / "odd"
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(content)
    assert run("runs", "list", "--json").stdout == ""


def test_train_without_its_configuration_says_so(tmp_path: Path) -> None:
    result = run("train", "--config", tmp_path / "absent.json")
    assert result.exit_code == 1
    assert "does not exist" in result.stderr
    assert run("train").exit_code == 2


def test_a_wrong_configuration_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"id": "x", "sources": [], "learning_rate": -1}')
    result = run("train", "--config", tmp_path / "config.json")
    assert result.exit_code == 2
    assert "learning_rate" in result.stderr


def _kermany(root: Path) -> Path:
    for kind, count in (("NORMAL", 2), ("PNEUMONIA", 3)):
        (root / "train" / kind).mkdir(parents=True)
        for number in range(count):
            name = f"IM-{number:04d}-0001.jpeg" if kind == "NORMAL" else f"person{number}_bacteria_1.jpeg"
            pixels = np.random.default_rng([number, count]).integers(0, 256, (40, 50), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "train" / kind / name)
    return root


def test_datasets_inspect_json_is_as_the_contract_says(tmp_path: Path) -> None:
    root = _kermany(tmp_path / "kermany")
    result = run("datasets", "inspect", "--dataset", "kermany", "--root", root, "--json")
    assert result.exit_code == 0, result.output
    (found,) = objects(result)
    assert (found["dataset"], found["images"], found["missing_files"]) == ("kermany", 5, 0)
    assert found["patients"] > 1
    assert found["labels"]["pneumonia"] == {"positive": 3, "negative": 2, "unstated": 0}
    human = run("datasets", "inspect", "--dataset", "kermany", "--root", root)
    assert human.stdout.startswith("kermany: 5 images")


def test_a_refused_label_file_names_its_lines(tmp_path: Path) -> None:
    root = tmp_path / "nih"
    (root / "images").mkdir(parents=True)
    header = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position\n"
    rows = "x.png,Effusion,0,1,50,M,PA\ny.png,Eggplant,0,2,50,M,PA\nz.png,Mass,0,3,50,F,AP\n"
    (root / "Data_Entry_2017.csv").write_text(header + rows)
    result = run("datasets", "inspect", "--dataset", "nih", "--root", root, "--json")
    assert result.exit_code == 1
    (answer,) = objects(result)
    assert answer["ok"] is False
    assert set(answer["error"]) == {"kind", "message"}
    assert answer["error"]["kind"] == "unreadable"
    assert "line 3" in answer["error"]["message"], answer


def test_an_unknown_data_set_is_wrong_usage(tmp_path: Path) -> None:
    result = run("datasets", "inspect", "--dataset", "imaginary", "--root", tmp_path)
    assert result.exit_code == 2
    assert "kermany" in result.stderr
