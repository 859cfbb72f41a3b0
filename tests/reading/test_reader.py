"""The one path from bytes to an answer: order, caches, failures, and what it does not import."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import cxrviewer.explainers
from cxrviewer.archive import Archive
from cxrviewer.classifiers.prediction import Prediction
from cxrviewer.errors import (
    ModelBundleError,
    OutOfScopeError,
    UnknownTargetError,
    UnreadableError,
)
from cxrviewer.explainers.explainer import Explanation
from cxrviewer.labels import NIH_14
from cxrviewer.logs import configure_logging
from cxrviewer.reading import Reader
from cxrviewer.settings import Settings
from cxrviewer.studies.radiograph import Radiograph
from cxrviewer.studies.sources import Refused, Source


class Counting:
    """Stands between a reader and its model and counts the questions."""

    def __init__(self, reader: Reader) -> None:
        self._model = reader.model
        self.card, self.serving = self._model.card, self._model.serving
        self.questions = 0

    def predict_with_output(self, radiograph: Radiograph) -> tuple[Prediction, Any]:
        self.questions += 1
        return self._model.predict_with_output(radiograph)


@pytest.fixture
def counting(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting(reader)
    monkeypatch.setattr(reader, "_model", counting)
    return counting


class Toy:
    """An explainer whose map is known: the options it was given, and how often it was asked."""

    asked: ClassVar[list[tuple[str, dict[str, Any]]]] = []

    def __init__(self, method: str, **options: Any) -> None:
        self.method, self.options = method, options

    def explain(
        self, classifier: Any, radiograph: Radiograph, target: Any, progress: Any, cancelled: Any
    ) -> Explanation:
        Toy.asked.append((self.method, self.options))
        grid = np.full((2, 2), float(self.options.get("steps", 1)), np.float32)
        return Explanation(
            self.method, target, grid, radiograph.shape, self.options, {}, 0.1, radiograph.digest,
            classifier.weights_sha256,
        )  # fmt: skip


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Toy]]:
    Toy.asked = []
    monkeypatch.setattr(cxrviewer.explainers, "explainer", Toy, raising=False)
    yield Toy


def test_importing_reading_loads_no_network_library() -> None:
    code = (
        "import sys, cxrviewer.reading\n"
        "heavy = {'torch', 'openvino', 'streamlit', 'captum', 'lime', 'pydicom', 'sklearn', 'plotly'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_list_of_studies_with_answers_loads_no_network_library(reader: Reader, folder: Path) -> None:
    assert [reading.ok for reading in reader.read_sources([folder])] == [True, False, True]
    code = (
        "import sys, pathlib; from cxrviewer.archive import Archive\n"
        f"rows = Archive(pathlib.Path({str(reader.settings.data_dir)!r})).studies().rows\n"
        "print(len(rows), all(row.result for row in rows), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "True", "False"]


def test_files_are_answered_in_order_and_a_broken_one_stops_nothing(reader: Reader, folder: Path) -> None:
    readings = list(reader.read_sources([folder, folder / "absent.dcm"]))
    assert [Path(reading.source).name for reading in readings] == ["a.png", "b.dcm", "c.png", "absent.dcm"]
    assert [reading.ok for reading in readings] == [True, False, True, False]
    assert [r.failure.kind for r in readings if r.failure] == ["unreadable", "not-found"]
    first = readings[0]
    assert first.prediction is not None
    assert first.prediction.digest == first.digest
    assert [score.target.label for score in first.prediction.scores] == ["pneumonia", *NIH_14]
    assert first.decode_seconds > 0
    assert first.instance is not None


def test_a_file_that_fails_leaves_no_row(reader: Reader, archive: Archive, folder: Path) -> None:
    (failed,) = reader.read_sources([folder / "b.dcm"])
    assert failed.prediction is None
    assert failed.instance is None
    assert archive.studies().total == 0
    assert list(archive.unlisted()) == []


def test_an_unexpected_error_is_calm_and_quotes_nothing(
    reader: Reader, png: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging()

    def explode() -> bytes:
        raise RuntimeError("Doe^Jane is in this message")

    sources = [Source("x.png", explode), Source("y.png", lambda: png)]
    bad, good = reader.read_all(sources)
    assert bad.failure is not None
    assert bad.failure.kind == "internal"
    assert good.ok
    logged = "".join(capsys.readouterr())
    assert "Doe" not in bad.failure.message + logged
    assert "Traceback" not in bad.failure.message + logged
    assert "RuntimeError" in logged, "the log names the class"


def test_sources_that_break_off_keep_what_was_read(reader: Reader, png: bytes) -> None:
    def sources() -> Iterator[Source | Refused]:
        yield Source("a.png", lambda: png)
        yield Refused("b.zip!x", UnreadableError("The member is damaged.", "Pack it again."))
        raise OSError("the disk went away")

    readings = list(reader.read_all(sources()))
    assert [reading.ok for reading in readings] == [True, False, False]
    assert readings[1].failure is not None
    assert readings[1].failure.message == "The member is damaged. Pack it again."
    assert readings[2].failure is not None
    assert readings[2].failure.kind == "internal"


def test_without_a_model_every_file_says_so(settings: Settings, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    reader = Reader(settings.model_copy(update={"models_dir": tmp_path / "none"}))
    kinds = [reading.failure and reading.failure.kind for reading in reader.read_sources([folder])]
    assert kinds == ["no-model", "unreadable", "no-model"]


def test_opening_alone_asks_no_model(settings: Settings, archive: Archive, folder: Path) -> None:
    def none(*_: object) -> Any:
        raise AssertionError("no model is needed")

    reader = Reader(settings, archive, open_model=none)
    readings = list(reader.read_sources([folder], score=False))
    assert [(reading.ok, reading.prediction) for reading in readings] == [
        (True, None),
        (False, None),
        (True, None),
    ]
    assert archive.studies().total == 2
    assert not reader.model_is_open


def test_a_known_answer_is_not_computed_again(reader: Reader, counting: Counting, png: bytes) -> None:
    radiograph, _ = reader.take_in(png)
    first = reader.predict(radiograph)
    assert reader.predict(radiograph) == first
    assert counting.questions == 1


def test_another_prevalence_or_frame_is_another_question(
    reader: Reader, settings: Settings, archive: Archive, png: bytes
) -> None:
    radiograph, _ = reader.take_in(png)
    first = reader.predict(radiograph)
    rare = Reader(settings.model_copy(update={"site_prevalence": 0.02}), archive).predict(radiograph)
    assert first.pneumonia is not None and rare.pneumonia is not None
    assert rare.pneumonia.probability < first.pneumonia.probability
    assert reader.predict(radiograph) == first, "the first answer is still the first reader's"
    assert reader.predict(replace(radiograph, frame=2)).frame == 2


def test_other_pixels_under_the_same_uid_are_never_served_from_the_store(
    reader: Reader, counting: Counting, png: bytes
) -> None:
    radiograph, _ = reader.take_in(png)
    first = reader.predict(radiograph)
    other = replace(radiograph, pixels=np.ascontiguousarray(radiograph.pixels.T), digest="cd" * 32)
    second = reader.predict(other)
    assert counting.questions == 2
    assert second.digest == "cd" * 32
    assert second.scores[0].logit != first.scores[0].logit


def test_stored_results_reproduce(reader: Reader, settings: Settings, archive: Archive, folder: Path) -> None:
    list(reader.read_sources([folder]))
    fresh = Reader(settings)
    for row in archive.studies().rows:
        (stored,) = archive.results(row.digest)
        again = fresh.predict(reader.open_stored(row.digest))
        for old, new in zip(stored.prediction.scores, again.scores, strict=True):
            assert new.probability == pytest.approx(old.probability, abs=1e-6)


def test_a_stored_file_opens_under_the_digest_it_came_with(reader: Reader) -> None:
    from cxrviewer.studies.phantom_files import phantom_dicom
    from cxrviewer.studies.phantoms import make_phantom

    data = phantom_dicom(make_phantom(1, size=256))
    polyglot = b"MZ".ljust(128, b"\x90") + data[128:]
    radiograph, row = reader.take_in(polyglot)
    assert row.stored_digest != row.digest == radiograph.digest
    again = reader.open_stored(row.digest)
    assert again.digest == row.digest
    np.testing.assert_array_equal(again.pixels, radiograph.pixels)


def test_a_study_deleted_meanwhile_still_gets_its_answer(
    reader: Reader, archive: Archive, png: bytes
) -> None:
    radiograph, row = reader.take_in(png)
    archive.delete_study(row.study_id)
    assert reader.predict(radiograph).scores
    assert archive.results(radiograph.digest) == ()


def test_a_map_is_computed_once_for_its_key(reader: Reader, toy: type[Toy], png: bytes) -> None:
    radiograph, _ = reader.take_in(png)
    first = reader.explain(radiograph, "Effusion", "toy", {"steps": 8})
    again = reader.explain(radiograph, "effusion", "toy", {"steps": 8})
    np.testing.assert_array_equal(first.grid, again.grid)
    assert toy.asked == [("toy", {"steps": 8})]
    assert float(reader.explain(radiograph, "Effusion", "toy", {"steps": 9}).grid[0, 0]) == 9
    assert reader.explain(radiograph, "pneumonia", "toy").target.name == "pneumonia"
    assert reader.explain(radiograph, "findings:Pneumonia", "toy").target.name == "findings:Pneumonia"
    assert len(toy.asked) == 4


def test_out_of_scope_there_is_nothing_to_explain(reader: Reader, toy: type[Toy], png: bytes) -> None:
    radiograph = reader.open(png)
    hand = replace(radiograph, metadata=replace(radiograph.metadata, body_part="HAND"))
    assert reader.predict(hand).scores == ()
    with pytest.raises(OutOfScopeError, match="HAND"):
        reader.explain(hand, "Effusion", "toy")
    assert reader.grad_cams(hand) == {}
    assert toy.asked == []


def test_an_unknown_target_names_those_there_are(reader: Reader, toy: type[Toy], png: bytes) -> None:
    with pytest.raises(UnknownTargetError, match="Effusion"):
        reader.explain(reader.open(png), "Eggplant", "toy")
    assert toy.asked == []


def test_grad_cams_of_all_targets_come_from_the_prediction(
    reader: Reader, counting: Counting, png: bytes
) -> None:
    radiograph, _ = reader.take_in(png)
    prediction = reader.predict(radiograph)
    maps = reader.grad_cams(radiograph)
    assert counting.questions == 1
    assert list(maps) == [score.target for score in prediction.scores]
    assert all(grid.min() >= 0 and grid.dtype == np.float32 for grid in maps.values())


def test_the_model_is_opened_once_by_many_threads(settings: Settings, png: bytes) -> None:
    from concurrent.futures import ThreadPoolExecutor

    opened: list[str | None] = []
    plain = Reader(settings)

    def open_slowly(model_id: str | None, _settings: Settings) -> Any:
        opened.append(model_id)
        time.sleep(0.05)
        return plain.model

    reader = Reader(settings, model_id="tiny-1", open_model=open_slowly)
    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(lambda _: reader.model, range(4)))
    assert opened == ["tiny-1"]
    assert len({id(model) for model in models}) == 1


def test_a_wrong_model_id_is_told(settings: Settings) -> None:
    with pytest.raises(ModelBundleError):
        _ = Reader(settings, model_id="no-such-model").model
