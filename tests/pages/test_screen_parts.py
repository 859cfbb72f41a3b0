"""The parts of the screens that need no screen: words, windows, batches, run folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrviewer.classifiers.targets import Target
from cxrviewer.errors import UnreadableError
from cxrviewer.labels import Head
from cxrviewer.reading import Reader
from cxrviewer.settings import Settings
from cxrviewer.studies.radiograph import Identity, Metadata, Radiograph, Window
from cxrviewer.studies.sources import Refused, Source
from cxrviewer.training.run_listing import RunStatus
from cxrviewer.ui import pictures, runs, words
from cxrviewer.ui.importing import ImportJob, uploads


def radiograph(pixels: np.ndarray, **more: object) -> Radiograph:
    return Radiograph(pixels.astype(np.float32), "0" * 64, Metadata("PNG"), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0.0049, "<0.01"), (0.005, "0.01"), (0.926, "0.93"), (0.9949, "0.99"), (0.999, ">0.99")],
)
def test_a_probability_never_claims_to_be_certain(value: float | None, shown: str) -> None:
    assert words.probability(value) == shown


def test_the_two_pneumonias_are_told_apart() -> None:
    assert words.target_label(Target(Head.PNEUMONIA, "pneumonia")) == "Pneumonia"
    assert words.target_label(Target(Head.FINDINGS, "Pneumonia")) == "Pneumonia (finding)"
    assert words.target_label(Target(Head.FINDINGS, "Pleural_Thickening")) == "Pleural thickening"


@pytest.mark.parametrize(("age", "shown"), [(0.5, "6 mo F"), (1.99, "24 mo F"), (61.9, "61 F"), (None, "F")])
def test_age_and_sex(age: float | None, shown: str) -> None:
    assert words.age_sex(Metadata("DICOM", age_years=age, sex="F")) == shown


def test_a_name_is_masked_until_asked_for() -> None:
    identity = Identity("Doe^Jane")
    assert words.patient(identity, shown=False) == "J. D."
    assert words.patient(identity, shown=True) == "Doe Jane"
    assert words.patient(Identity(""), shown=False) == "no name"


def test_a_zone_that_does_not_exist_is_no_error() -> None:
    assert words.moment("2020-01-02T03:04:00+00:00", "Nowhere/At all").endswith("2020")
    assert words.moment("2020-06-30T23:30:00+00:00", "Asia/Tokyo") == "1 Jul 2020"


@given(height=st.integers(1, 60), width=st.integers(1, 60), longest=st.integers(4, 40))
def test_a_reduced_picture_keeps_its_proportions_and_its_mean(height: int, width: int, longest: int) -> None:
    whole = radiograph(np.full((height, width), 7.0))
    small = pictures.reduced(whole, longest)
    assert max(small.shape) <= longest
    assert small.shape == whole.shape or abs(small.shape[0] / height - small.shape[1] / width) <= 1 / min(
        height, width
    )
    np.testing.assert_allclose(small.pixels, 7.0, rtol=1e-6)


def test_padding_stays_padding_in_a_reduced_picture() -> None:
    padding = np.zeros((8, 8), bool)
    padding[:, :4] = True
    small = pictures.reduced(radiograph(np.ones((8, 8)), padding=padding), 4)
    assert small.padding is not None
    assert small.padding.tolist() == [[True, True, False, False]] * 4


@given(
    low=st.integers(-32768, 32767),
    span=st.integers(0, 65535),
    slope=st.sampled_from([1.0, 0.1, 3.0]),
)
def test_values_for_the_cursor_come_back(low: int, span: int, slope: float) -> None:
    pixels = (np.linspace(low, low + span, 12).round().reshape(3, 4) * slope).astype(np.float32)
    data, first, step = pictures.codes(radiograph(pixels))
    back = first + step * np.frombuffer(data, "<u2").reshape(3, 4)
    exact = slope == 1.0 or (slope == 3.0 and 3 * span <= 65535)
    np.testing.assert_allclose(back, pixels, rtol=0, atol=0 if exact else 0.51 * step + 0.01)


@pytest.mark.parametrize("inverted", [False, True])
def test_the_lung_like_window_lightens_the_dark_part_whatever_the_polarity(inverted: bool) -> None:
    ramp = np.tile(np.linspace(0, 1000, 200), (4, 1))
    picture = radiograph(ramp[:, ::-1] if inverted else ramp, inverted=inverted)
    found = pictures.presets(picture)
    auto, lung, bone = (
        picture.display(found[name])[0].astype(int) for name in ("auto", "lung-like", "bone-like")
    )
    assert lung[60] > auto[60] > bone[60]
    assert list(auto) == sorted(auto)


def test_the_files_own_windows_come_first_and_once() -> None:
    first, second = Window(40, 80, name="<b>one</b>"), Window(50, 100)
    found = pictures.presets(radiograph(np.arange(16.0).reshape(4, 4), voi=first, presets=(first, second)))
    assert list(found)[:2] == ["file", "file 2"]
    assert found["file"] is first


def test_a_batch_goes_on_past_bad_files(tmp_path: Path) -> None:
    reader = Reader(Settings(data_dir=tmp_path, models_dir=tmp_path / "none"))

    def broken() -> bytes:
        raise UnreadableError("The file is damaged.", "Copy it again.")

    sources = [Refused("a", UnreadableError("No.", "")), Source("b", broken), Source("c", lambda: b"nothing")]
    job = ImportJob(reader, lambda: sources, 3)
    job.run()
    assert job.finished
    assert job.line == "Importing: 3 of 3, 3 need attention"
    assert [name for name, _ in job.failures] == ["a", "b", "c"]
    assert job.failures[1][1].message == "The file is damaged. Copy it again."


def test_a_batch_that_cannot_be_listed_ends_with_a_sentence(tmp_path: Path) -> None:
    def fails() -> list[Source]:
        raise RuntimeError("patient text")

    job = ImportJob(Reader(Settings(data_dir=tmp_path)), fails, 1)
    job.run()
    assert job.finished
    assert "patient text" not in job.failures[0][1].message


def test_an_upload_is_named_and_capped() -> None:
    (source,) = uploads([("x.png", lambda: b"data")])
    assert isinstance(source, Source)
    assert (source.name, source.read()) == ("x.png", b"data")


def test_curves_skip_rows_that_do_not_parse(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(
        "epoch,size,loss,seconds\n0,96,1.5,9\n1,96,,9\n2,96,half\n3,96,1.0,9\n"
    )
    (curve,) = runs.curves(tmp_path)
    assert (curve.name, curve.epochs, curve.values) == ("loss", (1.0, 4.0), (1.5, 1.0))
    assert runs.curves(tmp_path / "none") == ()


def test_time_to_go_is_told_from_the_pace() -> None:
    run = RunStatus("r", Path(), "running", 0.25, "", 0.0, 100)
    assert runs.remaining(run) == pytest.approx(300)
    assert runs.remaining(RunStatus("r", Path(), "finished", 1.0, "", 0.0, 100)) is None


@pytest.mark.parametrize(("seconds", "shown"), [(40, "40 s"), (720, "12 min"), (7500, "2 h 05 min")])
def test_durations(seconds: float, shown: str) -> None:
    assert runs.duration(seconds) == shown
