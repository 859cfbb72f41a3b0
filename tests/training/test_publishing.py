"""A run from configuration to a bundle that opens, serves and can be evaluated."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrviewer.classifiers.bundle import Bundle, open_bundle
from cxrviewer.classifiers.model import ServingModel
from cxrviewer.datasets.splits import Part, SplitRow, read_split
from cxrviewer.errors import CancelledError, ConfigurationError, LabelFileError, NotFoundError
from cxrviewer.evaluation.measuring import Task, measure
from cxrviewer.labels import PNEUMONIA, Head
from cxrviewer.settings import get_settings
from cxrviewer.studies.opening import open_study
from cxrviewer.training.card_facts import measured_limits
from cxrviewer.training.checking import keep
from cxrviewer.training.commands import train
from cxrviewer.training.config import Stage, TrainingConfig
from cxrviewer.training.evaluating import evaluate_model, write_predictions
from cxrviewer.training.predictions import Predictions, harmless, read_predictions
from cxrviewer.training.predictions import write_predictions as write_run_predictions
from cxrviewer.training.run_folder import RunFolder

Build = Callable[..., TrainingConfig]


@dataclass(frozen=True)
class Finished:
    run: Path
    bundle: Bundle
    told: list[float]


def write_config(path: Path, config: TrainingConfig) -> Path:
    path.write_text(config.model_dump_json(), "utf-8")
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_config: Build) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    config = tiny_config(stages=(Stage(size=32, epochs=6),), scope_epochs=0)
    told: list[float] = []
    path = train(
        write_config(folder / "c.json", config), folder / "run", tell=lambda share, _: told.append(share)
    )
    return Finished(folder / "run", open_bundle(path), told)


def test_the_run_says_that_it_is_finished(finished: Finished) -> None:
    status = json.loads((finished.run / "status.json").read_text("utf-8"))
    assert (status["state"], status["progress"]) == ("finished", 1.0)
    assert finished.told == sorted(finished.told) and finished.told[-1] == 1.0
    assert (finished.run / "metrics.json").is_file()


def test_heads_that_nothing_taught_are_left_out(finished: Finished) -> None:
    """Kermany states no finding: a findings head would answer at random."""
    assert list(finished.bundle.card.architecture.heads) == [Head.PNEUMONIA]


def test_the_card_tells_what_was_used(finished: Finished, kermany_folder: Path) -> None:
    card = finished.bundle.card
    (data,) = card.training_data
    assert (data.name, data.n_images, data.n_patients, data.licence) == ("kermany", 80, 40, "CC BY 4.0")
    assert str(kermany_folder) not in card.model_dump_json()
    split = finished.bundle.path / "split.csv"
    assert card.split["sha256"] == hashlib.sha256(split.read_bytes()).hexdigest()
    assert card.scope.ages == {Head.PNEUMONIA: (1.0, 5.0)}
    assert card.recipe["backbone"] == "tiny"


def test_the_card_has_everything_that_a_card_must_have(finished: Finished) -> None:
    """As the contract of a bundle says; none of it was written by hand."""
    card = finished.bundle.card.model_dump(mode="json")
    for key in (
        "id",
        "created",
        "task",
        "title",
        "architecture",
        "input",
        "targets",
        "scope",
        "intended_use",
        "limits",
        "training_data",
        "split",
        "recipe",
        "metrics",
        "checks",
        "software",
        "licence",
        "weights_sha256",
    ):
        assert card[key], key  # fmt: skip
    assert {"backbone", "heads"} <= card["architecture"].keys()
    assert {"size", "channels", "resize", "normalisation"} <= card["input"].keys()
    (target,) = card["targets"]
    assert {"slope", "intercept", "prevalence", "threshold", "rule"} <= target.keys()
    assert all(row["digest"] and row["licence"] and row["citation"] for row in card["training_data"])
    assert len(card["split"]["sha256"]) == len(card["weights_sha256"]) == 64
    (part,) = card["metrics"]["report"].values()
    assert {"mean_auroc", "brier", "ece", "loss", "accuracy", "misclassification_rate", "n_images", "n_patients",
            "subgroups", "curves"} <= part.keys()  # fmt: skip
    label = part["labels"]["pneumonia"]
    assert len(label["auroc_ci95"]) == len(label["average_precision_ci95"]) == len(label["brier_ci95"]) == 2
    assert len(part["curves"]["pneumonia"]["operating"]) == 3
    limits = " ".join(card["limits"])
    assert "ages 1 to 5" in limits and "Frontal views only" in limits and "other hospitals" in limits


def test_the_operating_point_is_not_chosen_from_few(finished: Finished) -> None:
    """16 pictures are in tune: no threshold, and the card says why."""
    (target,) = finished.bundle.card.targets
    assert target.n_positive + target.n_negative == 16
    assert target.threshold is None
    assert "none: the tune part of kermany has" in target.rule
    assert any("too few positives" in limit for limit in finished.bundle.card.limits)


def test_metrics_are_those_of_the_report_part(finished: Finished) -> None:
    found = finished.bundle.card.metrics["report"]["kermany"]
    rows = [row for row in read_split(finished.run / "split.csv") if row.part is Part.REPORT]
    assert found["n_images"] == len(rows) == 16
    assert found["labels"][PNEUMONIA]["auroc"] > 0.8
    assert found["curves"][PNEUMONIA]["roc"][0][0] == 0


def test_the_run_keeps_what_was_answered_on_the_report_part(finished: Finished) -> None:
    split = read_split(finished.run / "split.csv")
    found = read_predictions(finished.run / "predictions.csv", split)
    assert {row.image for row in found.rows} == {row.image for row in split if row.part is Part.REPORT}
    (target,) = finished.bundle.card.targets
    again = measure(
        found.labels, found.probabilities, [Task(target.label, None)], [r.patient for r in found.rows]
    )
    kept = finished.bundle.card.metrics["report"]["kermany"]["labels"][PNEUMONIA]
    measured = again.labels[PNEUMONIA]
    assert measured is not None
    assert measured.auroc == pytest.approx(kept["auroc"], abs=1e-4)
    assert measured.brier == pytest.approx(kept["brier"], abs=1e-4)
    chance = 1 / (1 + np.exp(-(target.slope * found.logits + target.intercept)))
    np.testing.assert_allclose(chance, found.probabilities, atol=1e-4)


def test_predictions_round_trip_hostile_names(tmp_path: Path) -> None:
    row = SplitRow("csv", "=1+1", "@g", '=cmd|"x", y.png', Part.REPORT)
    given = Predictions(
        (row,), ("-a:b", "Mass"), np.array([[0.5, -2]]), np.array([[0.6, 0.1]]), np.array([[1, np.nan]])
    )
    write_run_predictions(given, tmp_path / "predictions.csv")
    text = (tmp_path / "predictions.csv").read_text("utf-8")
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert not [cell for cell in cells if cell.startswith(("=", "@"))], text
    found = read_predictions(tmp_path / "predictions.csv", [row])
    assert (found.rows, found.names) == ((row,), ("-a:b", "Mass"))
    np.testing.assert_array_equal(found.logits, given.logits)
    np.testing.assert_array_equal(found.labels, given.labels)
    with pytest.raises(LabelFileError, match="does not fit"):
        read_predictions(tmp_path / "predictions.csv", [])
    with pytest.raises(NotFoundError, match=r"no predictions\.csv"):
        read_predictions(tmp_path / "absent.csv", [])


def test_a_run_is_not_begun_twice(finished: Finished, tiny_config: Build, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="a run in run already"):
        train(finished.run / "config.json", finished.run)
    other = write_config(tmp_path / "c.json", tiny_config(seed=9))
    with pytest.raises(ConfigurationError, match="another configuration"):
        train(other, finished.run, resume=True)


@pytest.fixture
def registered(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> Finished:
    monkeypatch.setenv("CXR_MODELS_DIR", str(finished.bundle.path.parent))
    get_settings.cache_clear()
    yield finished
    monkeypatch.undo()
    get_settings.cache_clear()


def test_evaluating_repeats_the_cards_numbers(
    registered: Finished, kermany_folder: Path, tmp_path: Path
) -> None:
    shares: list[float] = []
    evaluate_model("tiny-test", "kermany", kermany_folder, out=tmp_path, progress=shares.append)
    assert shares[-1] == 1.0
    metrics = json.loads((tmp_path / "metrics.json").read_text("utf-8"))
    card = registered.bundle.card.metrics["report"]["kermany"]
    assert {key: metrics[key] for key in metrics if key in card} == {
        key: card[key] for key in card if key in metrics
    }
    assert (metrics["model"], metrics["dataset"], metrics["split"]) == ("tiny-test", "kermany", "report")
    for key in ("mean_auroc", "mean_auroc_all", "brier", "ece", "n_images", "n_patients", "loss", "accuracy"):
        assert key in metrics
    assert metrics["misclassification_rate"] is None  # no operating point, so nothing is called
    label = metrics["labels"]["pneumonia"]
    assert {"auroc", "auroc_ci95", "average_precision", "sensitivity", "specificity", "threshold", "n_positive",
            "n_negative"} <= label.keys()  # fmt: skip


def test_predictions_are_what_serving_answers(
    registered: Finished, kermany_folder: Path, tmp_path: Path
) -> None:
    evaluate_model("tiny-test", "kermany", kermany_folder, out=tmp_path)
    model = ServingModel(registered.bundle, engine="torch")
    with (tmp_path / "predictions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows[:4]:
        radiograph = open_study((kermany_folder / row["image"]).read_bytes())
        # The made-up pictures are smaller than the scope's least side, so the network is asked past the scope.
        from cxrviewer.classifiers.preparing import prepare

        logit = float(model.serving.logits(prepare(radiograph.presentation(), model.serving.spec))[0, 0])
        target = registered.bundle.card.targets[0]
        chance = 1 / (1 + np.exp(-(target.slope * logit + target.intercept)))
        assert float(row["pneumonia:probability"]) == pytest.approx(chance, abs=1e-4)


def test_pictures_that_no_split_names_are_all_new(registered: Finished, tmp_path: Path) -> None:
    for name in ("test/NORMAL/IM-1.png", "test/PNEUMONIA/person1_virus_1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 40), np.uint8)).save(tmp_path / name)
    found = evaluate_model("tiny-test", "kermany", tmp_path)
    assert (found.part, found.metrics.n_images) == ("all", 2)


def test_parts_are_kept_apart(registered: Finished, kermany_folder: Path) -> None:
    counts = {
        p: evaluate_model("tiny-test", "kermany", kermany_folder, p).metrics.n_images for p in ("tune", "all")
    }
    assert counts == {"tune": 16, "all": 80}
    with pytest.raises(ConfigurationError, match="no part of that name"):
        evaluate_model("tiny-test", "kermany", kermany_folder, "test")


def test_an_empty_part_is_named(registered: Finished, kermany_folder: Path, tmp_path: Path) -> None:
    split = registered.run / "split.csv"
    only = tmp_path / "split.csv"
    only.write_text(
        "".join(line for line in split.read_text("utf-8").splitlines(True) if "report" not in line), "utf-8"
    )
    with pytest.raises(NotFoundError, match="no picture of kermany in its report part"):
        evaluate_model("tiny-test", "kermany", kermany_folder, splits=only)


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_formulas_are_made_harmless(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"
    assert harmless("train/a.png") == "train/a.png"


def test_a_failed_run_says_why(tiny_config: Build, tmp_path: Path) -> None:
    config = write_config(tmp_path / "c.json", tiny_config(batch_size=500))
    with pytest.raises(ConfigurationError):
        train(config, tmp_path / "run")
    status = json.loads((tmp_path / "run/status.json").read_text("utf-8"))
    assert status["state"] == "failed"
    assert "less than one batch" in status["message"]


def test_an_unforeseen_fault_is_told_without_its_text(
    tiny_config: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("/data/doe-john.png")

    monkeypatch.setattr("cxrviewer.training.commands.fit", fail)
    with pytest.raises(OSError, match="doe"):
        train(write_config(tmp_path / "c.json", tiny_config()), tmp_path / "run")
    text = (tmp_path / "run/status.json").read_text("utf-8") + (tmp_path / "run/log.txt").read_text("utf-8")
    assert "stopped by OSError" in text and "doe" not in text


def test_sigterm_cancels_and_resuming_finishes(tiny_config: Build, tmp_path: Path) -> None:
    config = write_config(tmp_path / "c.json", tiny_config(scope_epochs=0))
    before = signal.getsignal(signal.SIGTERM)
    calls = 0

    def tell(_share: float, _words: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 9:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(CancelledError):
        train(config, tmp_path / "run", tell=tell)
    assert signal.getsignal(signal.SIGTERM) is before
    assert json.loads((tmp_path / "run/status.json").read_text("utf-8"))["state"] == "cancelled"
    bundle = train(config, tmp_path / "run", resume=True)
    assert open_bundle(bundle).card.id == "tiny-test"


def test_a_long_step_does_not_look_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxrviewer.training.run_folder.BEAT_SECONDS", 0.02)
    run = RunFolder(tmp_path)
    run.tell(0.5, "one long step")
    with run.heartbeat():
        time.sleep(0.15)
        first = json.loads((tmp_path / "status.json").read_text("utf-8"))
        time.sleep(0.15)
        second = json.loads((tmp_path / "status.json").read_text("utf-8"))
    assert second["heartbeat"] > first["heartbeat"]
    assert (second["state"], second["progress"], second["message"]) == ("running", 0.5, "one long step")


def test_hiding_parts_of_a_picture_by_hand() -> None:
    picture = np.array([[[0.0, 0.2], [0.4, 1.0]]], np.float32)
    shown = np.array([[[True, True], [False, False]]])
    np.testing.assert_allclose(keep(picture, shown), [[[0, 0.2], [0.1, 0.1]]], rtol=1e-6)
    np.testing.assert_allclose(keep(picture, ~shown), [[[0.7, 0.7], [0.4, 1]]], rtol=1e-6)


def test_an_empty_label_is_an_empty_cell(tmp_path: Path) -> None:
    from cxrviewer.datasets import Row
    from cxrviewer.training.evaluating import Evaluation

    labels, chances = np.array([[np.nan]], np.float32), np.array([[0.25]])
    metrics = measure(labels, chances, [Task("Mass", None)], ["p"])
    evaluation = Evaluation("m", "d", "all", ("Mass",), labels, chances, metrics)
    write_predictions(evaluation, [Row("=a.png", "p", "p", {})], tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_text("utf-8").splitlines() == [
        "image,patient,Mass:probability,Mass:label", "'=a.png,p,0.250000,",
    ]  # fmt: skip


def test_what_was_measured_against_the_model_is_a_limit() -> None:
    """Sentences come from the numbers: a good mean and a blind network without lungs say nothing."""
    part = {
        "labels": {"Mass": {}, "Nodule": {}},
        "mean_auroc": 0.67,
        "mean_auroc_ci95": [0.64, 0.7],
        "n_images": 419,
    }
    shown = {"pictures": 5, "whole picture": 0.997, "lungs alone": 0.74, "without lungs": 0.984}
    weak, beyond = measured_limits({"report": {"nih": part}}, {"pneumonia_auroc_by_what_is_shown": shown})
    assert weak == "The findings are weak: mean AUROC 0.67 (0.64 to 0.70) on 419 pictures of nih."
    assert "0.997" in beyond and "0.740" in beyond and "0.984" in beyond
    moved = {"pictures": 5, "moved, by the lungs": 0.9, "moved, by the surroundings": 0.69}
    (sentence,) = measured_limits({}, {"pneumonia_auroc_by_what_is_shown": moved})
    assert "the lungs with AUROC 0.900 and the surroundings with 0.690" in sentence
    good = {"report": {"nih": part | {"mean_auroc": 0.9}}}
    assert measured_limits(good, {"pneumonia_auroc_by_what_is_shown": shown | {"without lungs": 0.52}}) == ()
