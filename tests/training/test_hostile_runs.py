"""Run folders that were damaged, or written by another hand: lists and pages go on, and no process is harmed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from cxrviewer.classifiers.scope import ScopeNet
from cxrviewer.errors import ConfigurationError, CxrError, LabelFileError
from cxrviewer.files import read_columns
from cxrviewer.training import runs, scope_stage
from cxrviewer.training.config import Source, TrainingConfig, load_config
from cxrviewer.training.launcher import LocalLauncher, environment
from cxrviewer.training.material import gather
from cxrviewer.training.predictions import read_predictions
from cxrviewer.training.processes import this_process
from cxrviewer.training.queueing import tick
from cxrviewer.training.run_folder import RunFolder
from cxrviewer.training.run_listing import last_metrics, list_runs, read_status
from cxrviewer.training.tickets import Ticket, read_ticket

NUMBERS = (
    "heartbeat",
    "progress",
    "seconds",
    "submitted",
    "epoch",
    "images_per_second",
    "eta_seconds",
    "pid",
)


def damaged(path: Path, **changes: object) -> Path:
    """A run whose status holds what no run writes."""
    run = RunFolder(path)
    run.status("running", 0.5, "epoch 1")
    content = json.loads((path / "status.json").read_text()) | changes
    (path / "status.json").write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "value",
    [float("inf"), float("nan"), -1, 10**400, "many", [1], {}, True],
    ids=lambda value: str(value)[:9],
)
def test_a_number_that_is_none_hides_only_its_own_run(tmp_path: Path, name: str, value: object) -> None:
    RunFolder(tmp_path / "good").status("queued", 0.0)
    damaged(tmp_path / "odd", **{name: value})
    listed = list_runs(tmp_path)
    assert "good" in [run.id for run in listed]
    for run in listed:
        text = f"{run.progress:.0%} {run.seconds + 1} {run.epoch} {run.images_per_second or 0:.0f}"
        assert text and 0 <= run.progress <= 1 and json.dumps(run.as_json(), allow_nan=False)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 60_000,
        b"\x00\xff\xfe",
        b" " * (1 << 20),
        b'{"state": "running", "heartbeat": 1e999, "progress": 0, "message": "", "seconds": 0}',
        b'{"state": "<b>", "heartbeat": 1, "progress": 0, "message": "", "seconds": 0}',
        b'{"state": "queued", "heartbeat": 1, "progress": 0, "message": 7, "seconds": 0}',
    ],
    ids=["deep", "binary", "huge", "infinite", "state", "message"],
)
def test_what_is_no_status_is_no_run(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "status.json").write_bytes(content)
    assert list_runs(tmp_path) == ()


def test_a_status_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "status.json")
    (tmp_path / "folder" / "status.json").mkdir(parents=True)
    assert list_runs(tmp_path) == ()


def test_a_heartbeat_from_the_future_is_none(tmp_path: Path) -> None:
    path = damaged(tmp_path / "odd", host="elsewhere")
    told = json.loads((path / "status.json").read_text())["heartbeat"]
    states = [getattr(read_status(path, now=told - ahead), "state", None) for ahead in (59, 61)]
    assert states == ["running", "lost"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"epoch,loss\n0,\xff\n",
        b"epoch,loss\n0," + b"1" * 200_000 + b"\n",
        b",".join(b"c%d" % n for n in range(100_000)) + b"\n" + b"1," * 100_000 + b"1\n",
        b"epoch,loss\n" + b"0,0.5\n" * 2_000_000,
        b"epoch,loss\n\n\n0\n",
    ],
    ids=["empty", "binary", "letter", "long", "wide", "large", "short"],
)
def test_any_metrics_give_few_columns(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metrics.csv").write_bytes(content)
    assert len(last_metrics(tmp_path)) <= 256


@pytest.mark.parametrize(
    "changes",
    [
        {"device": "cuda:many"},
        {"device": "cuda:-1"},
        {"submitted": float("inf")},
        {"threads": 10**400},
        {"threads": -1},
        {"folder": 5},
    ],
    ids=str,
)
def test_a_hostile_ticket_is_the_plain_one(tmp_path: Path, changes: dict[str, object]) -> None:
    plain = {"device": "cpu", "submitted": 0.0, "folder": "", "threads": 0}
    (tmp_path / "ticket.json").write_text(json.dumps(plain | changes))
    assert read_ticket(tmp_path) == Ticket()
    assert environment({}, read_ticket(tmp_path).device)["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize("id", ["../up", "/etc", "a/b", "A", "", "a\u202e", "a" * 65])
def test_a_configuration_names_no_path(tmp_path: Path, id: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"id": id, "sources": [{"name": "kermany", "root": "nowhere"}]}))
    with pytest.raises(ConfigurationError, match="id"):
        load_config(path)


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"[" * 100_000, b"{}", b"[]", b" " * (1 << 24), b'{"id": "x", "batch_size": 1e400}'],
    ids=["binary", "deep", "empty", "list", "huge", "infinite"],
)
def test_a_damaged_configuration_is_told(tmp_path: Path, content: bytes) -> None:
    run = RunFolder(tmp_path / "odd")
    run.status("failed", 0.5, "stopped")
    (run.path / "config.json").write_bytes(content)
    for ask in (runs.resume, lambda path: runs.clone_config(path, "copy")):
        with pytest.raises(CxrError):
            ask(run.path)


def test_anothers_process_is_told_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run"
    RunFolder(path).status("running", 0.5, "epoch 1", this_process())

    def refuse(*_arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    monkeypatch.setattr(os, "killpg", refuse)
    with pytest.raises(ConfigurationError, match="another user"):
        runs.cancel(path, hard=True, launcher=LocalLauncher(grace=0.1))
    assert getattr(read_status(path), "state", None) == "running"


class Vanishing(LocalLauncher):
    """Between being listed and being started a run's folder goes: someone removed it by hand."""

    def __init__(self, vanish: Callable[[], None]) -> None:
        super().__init__()
        self._vanish = vanish
        self.launched: list[str] = []

    def launch(self, run: Path) -> object:  # type: ignore[override]
        self.launched.append(run.name)
        self._vanish()
        raise FileNotFoundError(2, "No such file or directory")


def queued(folder: Path, id: str, submitted: float) -> Path:
    run = RunFolder(folder / id)
    run.write_config(TrainingConfig(id=id, sources=(Source(name="kermany", root="nowhere"),)))
    (run.path / "ticket.json").write_text(
        json.dumps({"device": "cpu", "submitted": submitted, "folder": "", "threads": 0})
    )
    run.status("queued", 0.0)
    return run.path


def _gone(path: Path) -> None:
    path.rename(path.with_name(f".gone-{path.name}"))


def test_a_queued_run_whose_folder_goes_does_not_come_back(tmp_path: Path) -> None:
    first = queued(tmp_path, "first", 1.0)
    launcher = Vanishing(lambda: _gone(first) if first.exists() else None)
    assert tick(tmp_path, launcher) == ()
    assert launcher.launched[0] == "first" and not first.exists()


def test_a_queued_run_without_its_configuration_fails_and_the_next_has_its_turn(tmp_path: Path) -> None:
    (queued(tmp_path, "first", 1.0) / "config.json").unlink()
    queued(tmp_path, "second", 2.0)
    launcher = Vanishing(lambda: None)
    tick(tmp_path, launcher)
    assert launcher.launched == ["second"], "a run without a recipe is not started"
    assert getattr(read_status(tmp_path / "first"), "state", None) == "failed"


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"dataset\n" + b"x" * 200_000, b"dataset,image\nnih\n"], ids=len
)
def test_damaged_predictions_are_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "predictions.csv").write_bytes(content)
    with pytest.raises(LabelFileError, match="does not fit"):
        read_predictions(tmp_path / "predictions.csv", ())


@pytest.mark.parametrize("keep", [0.0, 0.5, 1.0, 2.0], ids=["empty", "half", "whole", "other"])
def test_a_scope_network_that_was_killed_while_it_was_kept_is_taught_again(
    tiny_config: Callable[..., TrainingConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: float
) -> None:
    """Teaching stands still here: what counts is whether it is asked for, and what is kept of it."""
    taught: list[ScopeNet] = []

    def teach(*_: object) -> ScopeNet:
        torch.manual_seed(0)
        taught.append(ScopeNet().eval())
        return taught[-1]

    monkeypatch.setattr(scope_stage, "train_scope", teach)
    monkeypatch.setattr(scope_stage, "choose_threshold", lambda *_: 0.0)
    material = gather(tiny_config())
    run = RunFolder(tmp_path / "run")
    first = scope_stage.scope_of(run, material)
    file = run.path / scope_stage.FILE
    whole = file.read_bytes()
    file.write_bytes(whole[: int(keep * len(whole))] if keep <= 1 else save({"a": torch.zeros(3)}))
    again = scope_stage.scope_of(run, material)
    assert len(taught) == (1 if keep == 1.0 else 2), "a whole one is taken as it is"
    assert all(torch.equal(first.tensors[name], again.tensors[name]) for name in first.tensors)
    assert file.read_bytes() == whole and not list(run.path.glob("*.new"))


def test_columns_are_pairs_of_finite_numbers(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text('epoch,loss,note\n0,0.5,"a, b"\n1,inf,7\n2,\nx,1,1\n4,0.25,1e999\n', encoding="utf-8")
    assert read_columns(file, "epoch") == {"loss": ((0.0, 0.5), (4.0, 0.25)), "note": ((1.0, 7.0),)}
    assert read_columns(tmp_path / "absent.csv", "epoch") == {}
