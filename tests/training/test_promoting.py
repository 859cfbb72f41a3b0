"""A run's model beside the serving one, on pictures that neither has learnt; its promotion and the way back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.small_models import small_card
from support.tiny_bundle import save_tiny_bundle

from cxrviewer.classifiers import registry
from cxrviewer.classifiers.card import TrainingData
from cxrviewer.classifiers.registry import bundle_below
from cxrviewer.datasets.splits import Part, SplitRow, read_split, write_split
from cxrviewer.errors import ConfigurationError, ModelBundleError, NotFoundError
from cxrviewer.settings import Settings
from cxrviewer.training.commands import train
from cxrviewer.training.comparing import compare_with_serving, fair_rows
from cxrviewer.training.config import Stage, TrainingConfig
from cxrviewer.training.promoting import promote

Build = Callable[..., TrainingConfig]


def row(image: str, patient: str, part: Part = Part.REPORT, dataset: str = "nih") -> SplitRow:
    return SplitRow(dataset, patient, patient, image, part)


def data(name: str) -> TrainingData:
    return TrainingData(name=name, digest="0", n_images=1, n_patients=1, licence="", citation="", use="")


def test_pictures_and_patients_that_were_learnt_are_left_out() -> None:
    report = [row("a", "1"), row("b", "2"), row("c", "3"), row("d", "4"), row("a", "1", dataset="kermany")]
    learnt = [
        row("a", "1", Part.TRAIN), row("x", "2", Part.TUNE), row("c", "3", Part.REPORT), row("e", "5", Part.TRAIN),
    ]  # fmt: skip
    found = fair_rows(report, small_card("old"), learnt)
    # c: only reported on; d: never seen; kermany's a is another picture.
    assert found.rows == (2, 3, 4)
    assert found.notes == ("2 of 5 pictures are left out: old has learnt from them or from their patients.",)
    assert fair_rows(report[2:], small_card("old"), learnt).notes == ()


def test_without_a_split_the_named_data_sets_are_left_out() -> None:
    report = [row("a", "1"), row("b", "2", dataset="covid")]
    named = fair_rows(report, small_card("old", training_data=(data("nih"),)), None)
    assert named.rows == (1,)
    assert "does not say which pictures" in named.notes[0] and "names nih" in named.notes[1]
    unknown = fair_rows(report, small_card("old"), None)
    assert unknown.rows == (0, 1)
    assert "too good" in unknown.notes[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_config: Build) -> Path:
    folder = tmp_path_factory.mktemp("promoted")
    config = tiny_config(stages=(Stage(size=32, epochs=3),), scope_epochs=0)
    (folder / "c.json").write_text(config.model_dump_json())
    train(folder / "c.json", folder / "run")
    return folder / "run"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    save_tiny_bundle(tmp_path / "shipped", "old")
    return Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "shipped", engine="torch", model=None)


def test_side_by_side_on_the_same_pictures(run: Path, settings: Settings) -> None:
    shares: list[float] = []
    found = compare_with_serving(run, shares.append, settings)
    assert (found.new_model, found.serving_model, found.left_out) == ("tiny-test", "old", 0)
    (part,) = found.parts
    assert (part.dataset, part.n_images) == ("kermany", 16)
    (label,) = part.labels
    kept = json.loads((run / "metrics.json").read_text())["report"]["kermany"]["labels"]["pneumonia"]
    assert label.new == pytest.approx(kept["auroc"], abs=1e-4)
    assert shares[-1] == 1.0
    assert json.loads(json.dumps(found.as_json()))["parts"][0]["labels"][0]["label"] == "pneumonia"


def test_a_model_that_learnt_the_report_part_is_not_compared(run: Path, settings: Settings) -> None:
    rows = [
        SplitRow(r.dataset, r.patient, r.group, r.image, Part.TRAIN) for r in read_split(run / "split.csv")
    ]
    write_split(rows, settings.models_dir / "old" / "split.csv")
    found = compare_with_serving(run, settings=settings)
    assert (found.left_out, found.parts) == (16, ())
    assert "16 of 16 pictures are left out" in found.notes[0]


def test_without_a_serving_model_there_is_nothing_to_compare(run: Path, tmp_path: Path) -> None:
    nobody = Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "none", model=None)
    found = compare_with_serving(run, settings=nobody)
    assert (found.serving_model, found.parts) == (None, ())


def test_a_run_without_predictions_says_so(run: Path, settings: Settings, tmp_path: Path) -> None:
    old = shutil.copytree(run, tmp_path / "older")
    (old / "predictions.csv").unlink()
    with pytest.raises(NotFoundError, match=r"no predictions\.csv"):
        compare_with_serving(old, settings=settings)


def test_promoting_and_the_way_back(run: Path, settings: Settings) -> None:
    assert promote(run, settings) == "tiny-test"
    assert registry.serving_id(settings) == "tiny-test"
    served = registry.open_model(settings=settings)
    assert served.card == bundle_and_card(run)
    assert (settings.data_dir / "models" / "tiny-test" / "split.csv").is_file()
    # Promoted already: it would be compared with itself, and says what it is.
    assert compare_with_serving(run, settings=settings).serving_model == "tiny-test"
    assert registry.undo(settings) is None
    assert registry.serving_id(settings) == "old"


def bundle_and_card(run: Path) -> object:
    from cxrviewer.classifiers.card import read_card

    return read_card(bundle_below(run))


def test_a_promotion_that_fails_changes_nothing(run: Path, settings: Settings, tmp_path: Path) -> None:
    damaged = shutil.copytree(run, tmp_path / "damaged")
    (bundle_below(damaged) / "weights.safetensors").write_bytes(b"x")
    with pytest.raises(ModelBundleError):
        promote(damaged, settings)
    save_tiny_bundle(settings.data_dir / "models", "tiny-test")
    with pytest.raises(ConfigurationError, match="another model called tiny-test"):
        promote(run, settings)
    assert registry.serving_id(settings) == "old"
