"""What a run tells of itself: pace and what is left, rows of metrics, status and ticket."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cxrviewer.training.config import Stage, TrainingConfig
from cxrviewer.training.fit import fit
from cxrviewer.training.launcher import environment
from cxrviewer.training.pacing import Pacemaker
from cxrviewer.training.reporter import append_metrics, keep_rows
from cxrviewer.training.run_folder import Pace, RunFolder
from cxrviewer.training.run_listing import log_tail, read_status
from cxrviewer.training.tickets import Ticket, read_ticket, write_ticket

Build = Callable[..., TrainingConfig]


def test_pace_by_hand(tiny_config: Build) -> None:
    """Two epochs at 32 px and one at 64: areas 1, 1 and 4. Ten pictures every two seconds, a quarter of an epoch."""
    now = 0.0
    pace = Pacemaker(tiny_config(stages=(Stage(size=32, epochs=2), Stage(size=64))), clock=lambda: now)
    assert pace.images_per_second() is None and pace.eta_seconds() is None
    for quarter in range(1, 5):
        now = 2.0 * quarter
        pace.note(0, quarter / 4, 10)
    assert pace.images_per_second() == 5.0
    # A quarter of a small epoch takes 2 s: 8 s for the second epoch, and 4 times as long for the large one.
    assert pace.eta_seconds() == 8 + 32
    now += 8
    pace.note(1, 1.0, 40)
    assert pace.eta_seconds() == 32
    now += 32
    pace.note(2, 1.0, 40)
    assert pace.eta_seconds() == 0


def test_pace_goes_by_the_last_minutes(tiny_config: Build) -> None:
    now = 0.0
    pace = Pacemaker(tiny_config(stages=(Stage(size=32, epochs=10),)), clock=lambda: now)
    for step in range(1, 101):  # slow at first: something else was going on
        now += 10 if step <= 30 else 2
        pace.note((step - 1) // 10, 0.1 * ((step - 1) % 10 + 1), 8)
    assert pace.images_per_second() == 4.0


def test_a_run_tells_its_pace_with_its_heartbeat(tiny_config: Build, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    paces: list[Pace] = []
    fit(tiny_config(stages=(Stage(size=32, epochs=2),)), run, tell=lambda *_: paces.append(run.pace))
    assert [pace.epoch for pace in paces] == [1] * 6 + [2] * 6
    assert {pace.epochs for pace in paces} == {2}
    assert sys.platform != "linux" or min(pace.memory_bytes or 0 for pace in paces) > 50 << 20
    assert run.pace == Pace(), "what follows has no epochs"
    run.pace = Pace(3, 8, 12.5, 90, 7)
    run.status("running", 0.4, "epoch 3 of 8")
    status = read_status(run.path)
    assert status is not None and status.process is not None and status.process.alive
    told = status.as_json()
    assert (told["epoch"], told["epochs"], told["images_per_second"], told["eta_seconds"]) == (3, 8, 12.5, 90)
    assert (told["memory_bytes"], told["device"], told["pid"]) == (7, "cpu", status.process.pid)
    json.dumps(told)


def test_rows_have_rates_and_what_was_measured(tiny_config: Build, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    fit(tiny_config(stages=(Stage(size=32, epochs=2),)), run)
    with (run.path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert all(0 < float(row["learning_rate"]) <= 0.01 and float(row["loss"]) > 0 for row in rows)
    assert all(0 <= float(row["tune_pneumonia_auroc"]) <= 1 for row in rows)


def test_rows_that_are_done_again_and_halves_go(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    keep_rows(file, 3)
    assert not file.exists()
    for epoch in range(4):
        append_metrics(file, {"epoch": epoch, "loss": 0.5}, ("epoch", "loss"))
    with file.open("a") as half:
        half.write("4,0.")
    keep_rows(file, 2)
    # A newer program may know more columns: the file keeps to its own.
    append_metrics(file, {"epoch": 2, "loss": 0.25, "new": 1}, ("epoch", "loss", "new"))
    assert file.read_text().split() == ["epoch,loss", "0,0.5", "1,0.5", "2,0.25"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"device": "cpu"}', '{"device": 1, "submitted": "x"}'])
def test_a_run_without_a_ticket_has_the_plain_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "ticket.json").write_text(content)
    assert read_ticket(tmp_path) == Ticket()
    write_ticket(tmp_path, Ticket("cuda:1", 5.0, "/somewhere", 3))
    assert read_ticket(tmp_path) == Ticket("cuda:1", 5.0, "/somewhere", 3)


def test_a_log_tail_is_short_whatever_the_log(tmp_path: Path) -> None:
    assert log_tail(tmp_path) == ()
    (tmp_path / "log.txt").write_bytes(b"\xff" * 50_000 + b"\n" + b"line\n" * 100)
    assert log_tail(tmp_path, 3) == ("line", "line", "line")
    assert len(log_tail(tmp_path)) == 40


@pytest.mark.parametrize("arguments", [[], ["absent"], ["a", "b"]])
def test_the_process_of_no_run_is_wrong_usage(tmp_path: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cxrviewer.training", *arguments],
        capture_output=True, cwd=tmp_path, env=environment(os.environ, "cpu"),
    )  # fmt: skip
    assert done.returncode == 2 and b"usage" in done.stderr
