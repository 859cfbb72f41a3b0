"""What goes into the study store comes out as it was, and only under its own digest."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrviewer.archive import Archive, ExplanationKey, Order, StudyFilter
from cxrviewer.classifiers.prediction import Band, Prediction
from cxrviewer.classifiers.targets import Target
from cxrviewer.errors import ArchiveError, NotFoundError
from cxrviewer.explainers.explainer import Explanation
from cxrviewer.labels import Head
from cxrviewer.studies.radiograph import Radiograph, View

WEIGHTS = "ab" * 32
Make = Callable[..., Radiograph]
Answer = Callable[..., Prediction]


def test_a_study_comes_back_as_it_was_stored(archive: Archive, radiograph: Make) -> None:
    picture = radiograph(b"one", uid="1.2", name="Doe^Jane", age_years=61.0, study_date="2020-01-02")
    row = archive.import_study(b"one", picture, "folder\x1b[31m/a.dcm")
    assert (row.digest, row.stored_digest) == (picture.digest, picture.digest)
    assert row.metadata == picture.metadata
    assert row.identity == picture.identity
    assert "\x1b" not in row.source_name
    assert archive.bytes_of(picture.digest) == b"one"
    assert archive.instance(picture.digest) == row
    study = archive.study(row.study_id)
    assert (study.instances, study.digest, study.identity.initials) == (1, picture.digest, "J. D.")
    assert study.metadata.view is View.PA
    assert study.result is None
    assert archive.studies().rows == (study,)


def test_identity_stays_out_of_reprs(archive: Archive, radiograph: Make) -> None:
    row = archive.import_study(b"one", radiograph(b"one", uid="1.2", name="Doe^Jane"), "Doe.dcm")
    texts = (repr(row), repr(archive.studies()), repr(StudyFilter(text="Doe")))
    assert not any("Doe" in text for text in texts)


def test_a_dicom_preamble_is_zero_on_disk_and_the_key_is_of_the_bytes_received(
    archive: Archive, radiograph: Make, tmp_path: Path
) -> None:
    received = b"#!/bin/sh".ljust(128, b"x") + b"DICM" + b"rest"
    row = archive.import_study(received, radiograph(received))
    assert row.digest == hashlib.sha256(received).hexdigest()
    stored = archive.bytes_of(row.digest)
    assert stored == bytes(128) + b"DICMrest"
    assert row.stored_digest == hashlib.sha256(stored).hexdigest() != row.digest
    assert not any(b"#!/bin/sh" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_radiograph_of_other_bytes_is_refused(archive: Archive, radiograph: Make) -> None:
    with pytest.raises(ValueError, match="other bytes"):
        archive.import_study(b"two", radiograph(b"one"))
    assert archive.studies().total == 0


def test_same_uid_with_other_pixels_is_another_row_with_its_own_answer(
    archive: Archive, radiograph: Make, prediction: Answer
) -> None:
    first, second = radiograph(b"one", uid="1.2"), radiograph(b"two", uid="1.2")
    row = archive.import_study(b"one", first)
    archive.save_result(prediction(first.digest))
    assert archive.import_study(b"two", second).study_id == row.study_id
    assert archive.result(second.digest, 1, WEIGHTS) is None
    assert archive.bytes_of(first.digest) == b"one"
    assert archive.bytes_of(second.digest) == b"two"
    assert [found.digest for found in archive.instances(row.study_id)] == [first.digest, second.digest]


def test_two_people_under_one_uid_are_two_studies(archive: Archive, radiograph: Make) -> None:
    archive.import_study(b"one", radiograph(b"one", uid="1.2", name="Doe^Jane"))
    archive.import_study(b"two", radiograph(b"two", uid="1.2", name="Roe^John"))
    assert {row.identity.patient_name for row in archive.studies().rows} == {"Doe^Jane", "Roe^John"}


def test_the_same_bytes_twice_are_one_study(archive: Archive, radiograph: Make) -> None:
    first = archive.import_study(b"one", radiograph(b"one", uid="1.2"))
    assert archive.import_study(b"one", radiograph(b"one", uid="1.2")) == first
    assert archive.studies().total == 1
    assert archive.study(first.study_id).instances == 1


def test_the_first_frontal_picture_is_the_cover(
    archive: Archive, radiograph: Make, prediction: Answer
) -> None:
    lateral = radiograph(b"one", uid="1.2", view=View.LATERAL)
    frontal, later = radiograph(b"two", uid="1.2"), radiograph(b"three", uid="1.2")
    study_id = archive.import_study(b"one", lateral).study_id
    archive.save_result(prediction(lateral.digest))
    assert archive.study(study_id).digest == lateral.digest
    archive.import_study(b"two", frontal)
    archive.import_study(b"three", later)
    study = archive.study(study_id)
    assert (study.digest, study.metadata.view, study.instances) == (frontal.digest, View.PA, 3)
    assert study.result is None, "the lateral picture's answer is not the frontal one's"


def test_a_result_carries_everything_and_comes_back_exactly(
    archive: Archive, radiograph: Make, prediction: Answer
) -> None:
    picture = radiograph(b"one")
    archive.import_study(b"one", picture)
    saved = prediction(picture.digest, pneumonia=0.1 + 0.2)
    archive.save_result(saved, variant="site 0.1")
    found = archive.result(picture.digest, 1, WEIGHTS)
    assert found is not None
    assert found.prediction == saved
    assert found.variant == "site 0.1"
    assert found.thresholds["pneumonia"] == 0.41
    assert found.thresholds["findings:Pneumonia"] is None
    assert archive.result(picture.digest, 2, WEIGHTS) is None
    assert archive.result(picture.digest, 1, "cd" * 32) is None
    assert archive.result(picture.digest, 1, WEIGHTS, "site 0.2") is None


def test_a_newer_answer_to_the_same_question_takes_the_place(
    archive: Archive, radiograph: Make, prediction: Answer
) -> None:
    picture = radiograph(b"one")
    archive.import_study(b"one", picture)
    archive.save_result(prediction(picture.digest, pneumonia=0.2))
    archive.save_result(prediction(picture.digest, pneumonia=0.3))
    (only,) = archive.results(picture.digest)
    assert only.prediction.pneumonia is not None
    assert only.prediction.pneumonia.probability == 0.3


def test_the_list_shows_the_covers_answer(
    archive: Archive,
    radiograph: Make,
    prediction: Answer,
    out_of_scope: Callable[[Prediction], Prediction],
) -> None:
    picture = radiograph(b"one")
    study_id = archive.import_study(b"one", picture).study_id
    archive.save_result(prediction(picture.digest))
    result = archive.study(study_id).result
    assert result is not None
    assert (result.pneumonia, result.positive, result.band) == (0.93, True, Band.HIGH)
    assert (result.top_label, result.top_probability) == ("Hernia", 0.14)
    assert result.cautions == ("An adult.",)
    archive.save_result(out_of_scope(prediction(picture.digest)))
    result = archive.study(study_id).result
    assert result is not None
    assert (result.in_scope, result.reasons) == (False, ("Looks like a hand.",))
    assert (result.pneumonia, result.top_label) == (None, None)


def test_a_result_without_its_file_is_refused(archive: Archive, prediction: Answer) -> None:
    with pytest.raises(NotFoundError):
        archive.save_result(prediction("cd" * 32))


def test_filters_and_orders(archive: Archive, radiograph: Make, prediction: Answer) -> None:
    people = {"Zeta^A": (0.2, "2020-01-01"), "alpha^B": (0.9, "2021-01-01"), "Mid%^C": (0.5, "2019-01-01")}
    for name, (probability, date) in people.items():
        data = name.encode()
        picture = radiograph(data, uid=name, name=name, study_date=date)
        archive.import_study(data, picture)
        saved = prediction(picture.digest, pneumonia=probability)
        score = replace(saved.scores[0], positive=probability > 0.41)
        archive.save_result(replace(saved, scores=(score, *saved.scores[1:])))

    def names(**wanted: object) -> list[str]:
        page = archive.studies(StudyFilter(**wanted))  # type: ignore[arg-type]
        assert page.total == len(page.rows)
        return [row.identity.patient_name for row in page.rows]

    assert names(order=Order.NAME) == ["alpha^B", "Mid%^C", "Zeta^A"]
    assert names(order=Order.PNEUMONIA) == ["alpha^B", "Mid%^C", "Zeta^A"]
    assert names(order=Order.STUDY_DATE) == ["alpha^B", "Zeta^A", "Mid%^C"]
    assert names(order=Order.NEWEST)[0] == "Mid%^C"
    assert names(text="ZETA") == ["Zeta^A"]
    assert names(text="%") == ["Mid%^C"]
    assert names(text="a mid") == [], "every word has to be there: MID^C has no A"
    assert names(text="c mid") == ["Mid%^C"]
    assert names(text="' OR 1=1 --") == []
    assert names(positive=False) == ["Zeta^A"]
    assert names(since="2020-01-01", until="2020-12-31") == ["Zeta^A"]
    assert names(view=View.LATERAL) == []
    assert names(in_scope=False) == []


def test_pages(archive: Archive, radiograph: Make) -> None:
    for number in range(5):
        archive.import_study(bytes([number]), radiograph(bytes([number])))
    pages = [archive.studies(page=page, size=2) for page in (1, 2, 3, 4)]
    assert [len(page.rows) for page in pages] == [2, 2, 1, 0]
    assert len({row.id for page in pages for row in page.rows}) == 5
    assert (pages[0].total, pages[0].pages) == (5, 3)


def test_a_thumbnail_is_a_small_png_of_the_picture(archive: Archive, radiograph: Make) -> None:
    ramp = np.tile(np.linspace(0, 255, 800, dtype=np.float32), (1200, 1))
    picture = replace(radiograph(b"one"), pixels=ramp)
    archive.import_study(b"one", picture)
    stored = archive.thumbnail(picture.digest)
    assert stored is not None
    with Image.open(io.BytesIO(stored)) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (64, 96))
        pixels = np.asarray(image).astype(int)
    assert pixels[50, 0] < 10 < 245 < pixels[50, -1]
    assert archive.thumbnail("cd" * 32) is None


def test_a_deleted_study_leaves_nothing(
    archive: Archive, radiograph: Make, prediction: Answer, tmp_path: Path
) -> None:
    picture, other = radiograph(b"one", uid="1", name="Doe^Jane"), radiograph(b"two")
    study_id = archive.import_study(b"one", picture, "Doe.dcm").study_id
    archive.import_study(b"two", other)
    archive.save_result(prediction(picture.digest))
    key = ExplanationKey(picture.digest, 1, WEIGHTS, "gradcam", Target(Head.FINDINGS, "Mass"))
    archive.save_explanation(key, _explanation(key))
    archive.delete_study(study_id)
    assert [row.digest for row in archive.studies().rows] == [other.digest]
    assert archive.explanation(key) is None
    with pytest.raises(NotFoundError):
        archive.study(study_id)
    with pytest.raises(NotFoundError):
        archive.bytes_of(picture.digest)
    assert not [path for path in tmp_path.rglob(f"*{picture.digest}*") if path.is_file()]
    archive.import_study(b"one", picture)
    assert archive.bytes_of(picture.digest) == b"one"
    assert archive.results(picture.digest) == ()


def test_a_deletion_cut_short_is_finished_at_the_next_start(
    archive: Archive, radiograph: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = radiograph(b"one")
    study_id = archive.import_study(b"one", picture).study_id
    with monkeypatch.context() as patched:
        patched.setattr(Archive, "_finish_removals", lambda _self: None)
        archive.delete_study(study_id)
    archive.close()
    again = Archive(tmp_path / "data")
    assert list(again.unlisted()) == []
    assert not list((tmp_path / "data" / "files").rglob(picture.digest))
    again.close()


def test_a_changed_or_missing_file_is_told_and_mended(
    archive: Archive, radiograph: Make, tmp_path: Path
) -> None:
    picture = radiograph(b"one")
    archive.import_study(b"one", picture)
    (path,) = (tmp_path / "data" / "files").rglob(picture.digest)
    path.write_bytes(b"0ne")
    with pytest.raises(ArchiveError, match="damaged"):
        archive.bytes_of(picture.digest)
    archive.import_study(b"one", picture)
    assert archive.bytes_of(picture.digest) == b"one"
    path.unlink()
    with pytest.raises(ArchiveError, match="missing"):
        archive.bytes_of(picture.digest)


def test_text_is_never_a_path(archive: Archive) -> None:
    with pytest.raises(NotFoundError):
        archive.bytes_of("../../etc/passwd")
    with pytest.raises(ValueError, match="64 hexadecimal"):
        archive.thumbnail("../../etc/passwd")


def test_many_threads_write_and_read_at_once(archive: Archive, radiograph: Make, prediction: Answer) -> None:
    errors: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            for number in range(6):
                data = f"{worker} {number}".encode()
                picture = radiograph(data, uid="shared")
                archive.import_study(data, picture)
                archive.save_result(prediction(picture.digest))
                assert archive.result(picture.digest, 1, WEIGHTS) is not None
                archive.studies()
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    (study,) = archive.studies().rows
    assert study.instances == 24


def _explanation(key: ExplanationKey) -> Explanation:
    grid = np.arange(6, dtype=np.float32).reshape(2, 3) - 3
    return Explanation(
        key.method, key.target, grid, (12, 8), {"steps": 3}, {"r2": 0.5}, 0.1, key.digest, key.weights_sha256
    )
