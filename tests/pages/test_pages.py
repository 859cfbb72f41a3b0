"""Every page, run whole in Streamlit's own test harness."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from support.dicom_files import dataset, encode, ramp
from support.page_reading import VIEWER, answered, components, take_in, text_of, until

from cxrviewer.studies.phantoms import make_phantom, phantom_png
from cxrviewer.ui import resources

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "pages/reading/worklist.py",
    "pages/reading/viewer.py",
    "pages/models/registry.py",
    "pages/training/datasets.py",
    "pages/training/launch.py",
    "pages/training/runs.py",
)
HOSTILE = "<img src=x onerror=alert(1)> [a](http://b) $x$ **c**.dcm"


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_without_a_study(open_page: Any, page: str) -> None:
    app = open_page(page)
    assert not app.exception
    assert not app.error


def test_an_empty_archive_offers_phantoms(open_page: Any) -> None:
    app = open_page()
    assert [button.label for button in app.button] == ["Load demonstration studies: computer-made phantoms"]
    assert "no diagnosis may rest on it" in text_of(app)


def test_the_first_paint_of_the_worklist_loads_no_network_library(site: Path) -> None:
    script = """
import sys
from streamlit.testing.v1 import AppTest
from cxrviewer.ui import resources
warmed = []
resources._warm = lambda: warmed.append("torch" in sys.modules)
app = AppTest.from_file("viewer_app.py", default_timeout=60).run()
assert not app.exception and app.button
print("loaded:", [name for name in ("torch", "openvino", "captum", "lime") if name in sys.modules], warmed)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert "loaded: [] [False]" in done.stdout, done.stdout + done.stderr


def test_the_list_masks_names_and_shows_file_text_as_data(open_page: Any) -> None:
    app = open_page()
    row = take_in(name=HOSTILE)
    app.run()
    (studies,) = components(app, "rows")
    assert [shown["id"] for shown in studies["rows"]] == [row.study_id]
    cells = studies["rows"][0]["cells"]
    assert cells[1]["text"] == row.identity.initials
    assert cells[1]["sub"] == HOSTILE
    assert "onerror" not in text_of(app)
    assert not [markdown for markdown in app.markdown if "onerror" in str(markdown.value)]


def test_names_are_shown_when_asked_for(open_page: Any) -> None:
    app = open_page()
    row = take_in()
    app.run()
    app.toggle[0].set_value(True).run()
    name = components(app, "rows")[0]["rows"][0]["cells"][1]["text"]
    assert name == row.identity.patient_name.replace("^", " ")


def test_a_filter_that_nothing_matches_says_so(open_page: Any) -> None:
    app = open_page()
    take_in()
    app.run()
    app.text_input[0].set_value("nobody of that name").run()
    assert "No study matches" in text_of(app)
    assert not components(app, "rows")


def test_the_viewer_shows_the_picture_then_the_answer_with_its_model(open_page: Any) -> None:
    app = open_page(VIEWER, study=take_in().study_id)
    (film,) = components(app, "panes")
    assert film["shape"] == [256, 256]
    assert film["ruler"]["label"] == "at detector"
    until(app, answered)
    (findings,) = components(app, "rows")
    assert len(findings["rows"]) == 15
    assert findings["rows"][0]["id"] == "pneumonia"
    values = [row["cells"][2]["value"] for row in findings["rows"][1:]]
    assert values == sorted(values, reverse=True)
    assert all("source" not in row["tip"][0] and len(row["tip"]) == 3 for row in findings["rows"])
    page = text_of(app)
    assert "tiny-1" in page
    assert "Untrained." in page
    assert "prevalence of 0.50" in page


def test_no_map_before_a_finding_is_chosen_and_three_after(open_page: Any) -> None:
    app = until(open_page(VIEWER, study=take_in().study_id), answered)
    assert len(components(app, "panes")) == 1
    chooser = next(box for box in app.selectbox if box.label == "Why this answer?")
    assert chooser.value is None
    chooser.set_value("Effusion").run()

    def drawn(app: AppTest) -> bool:
        return all(pane["overlay"] for pane in components(app, "panes")[1]["panes"])

    until(app, drawn)
    film, maps, *strip = components(app, "panes")
    assert [pane["id"] for pane in maps["panes"]] == ["gradcam", "integrated-gradients", "lime"]
    assert {film["view"], maps["view"], *(row["view"] for row in strip)} == {film["view"]}
    assert sum(len(row["panes"]) for row in strip) == 4
    assert all(pane["caption"] and len(pane["legend"]["numbers"]) >= 2 for pane in maps["panes"])
    assert "not evidence" in text_of(app)


def test_a_rerun_computes_nothing_again(open_page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    app = until(open_page(VIEWER, study=take_in().study_id), answered)
    next(box for box in app.selectbox if box.label == "Why this answer?").set_value("Mass").run()
    until(app, lambda app: all(pane["overlay"] for pane in components(app, "panes")[1]["panes"]))

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(resources.reader().model, "predict_with_output", never)
    monkeypatch.setattr(resources.reader(), "explain", never)
    next(box for box in app.selectbox if box.label == "Window").set_value("lung-like").run()
    assert not app.exception
    assert all(pane["overlay"] for pane in components(app, "panes")[1]["panes"])


def test_a_window_changes_the_picture_and_not_the_answer(open_page: Any) -> None:
    app = until(open_page(VIEWER, study=take_in().study_id), answered)
    before, picture = components(app, "rows")[0]["rows"], components(app, "panes")[0]["panes"][0]["picture"]
    next(box for box in app.selectbox if box.label == "Window").set_value("full range").run()
    next(box for box in app.toggle if box.label == "Invert").set_value(True).run()
    assert components(app, "panes")[0]["panes"][0]["picture"] != picture
    assert components(app, "rows")[0]["rows"] == before


def test_a_slider_makes_the_window_the_readers_own(open_page: Any) -> None:
    app = open_page(VIEWER, study=take_in().study_id)
    app.slider[0].set_value(1000.0).run()
    assert next(box for box in app.selectbox if box.label == "Window").value == "custom"
    assert "L 1000" in text_of(app)


def test_a_frame_is_chosen_by_a_slider_that_says_how_many_there_are(open_page: Any) -> None:
    two = np.stack([ramp(64, 64), ramp(64, 64)[::-1]])
    app = open_page(VIEWER, study=take_in(encode(dataset(two)), "two.dcm").study_id)
    first = components(app, "panes")[0]["panes"][0]["picture"]
    (frames,) = [slider for slider in app.slider if slider.label == "Frame"]
    assert (frames.min, frames.max, frames.value) == (1, 2, 1)
    frames.set_value(2).run()
    assert components(app, "panes")[0]["panes"][0]["picture"] != first


def test_without_a_model_the_picture_is_read_without_scores(
    open_page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cxrviewer.settings import get_settings

    monkeypatch.setenv("CXR_MODELS_DIR", str(tmp_path / "none"))
    get_settings.cache_clear()
    app = open_page(VIEWER, study=take_in(phantom_png(make_phantom(3, size=256))).study_id)
    until(app, lambda app: "No model is installed" in text_of(app))
    assert "There is no model" not in text_of(app)
    assert len(components(app, "panes")) == 1
    assert not components(app, "rows")


def test_an_unknown_study_is_answered_with_a_sentence(open_page: Any) -> None:
    app = open_page(VIEWER, study="0" * 32)
    assert not app.exception
    assert "There is no such study." in text_of(app)


def test_the_models_page_shows_the_card(open_page: Any) -> None:
    app = open_page("pages/models/registry.py")
    (models,) = components(app, "rows")
    assert [row["id"] for row in models["rows"]] == ["tiny-1"]
    assert "Untrained." in text_of(app)
    assert list(app.dataframe[-1].value["Threshold"]) == ["0.400"] * 15


def test_the_runs_page_calls_a_silent_run_lost(open_page: Any, site: Path) -> None:
    folder = site / "runs" / "one"
    folder.mkdir(parents=True)
    status = {
        "state": "running",
        "heartbeat": time.time() - 61,
        "progress": 0.5,
        "message": "epoch 1 of 2",
        "seconds": 9,
    }
    (folder / "status.json").write_text(json.dumps(status))
    (folder / "metrics.csv").write_text("epoch,loss\n0,1.5\n1,1.0\n")
    app = open_page("pages/training/runs.py")
    assert components(app, "rows")[0]["rows"][0]["cells"][1]["text"] == "lost"
    assert "stopped telling" in text_of(app)


def test_the_tags_panel_masks_who_the_patient_is(open_page: Any) -> None:
    row = take_in()
    app = open_page(VIEWER, study=row.study_id)
    next(button for button in app.button if button.label == "Tags").click().run()
    table = app.dataframe[0].value
    values = dict(zip(table["Keyword"], table["Value"], strict=True))
    assert row.identity.patient_name not in set(table["Value"])
    assert values["PatientName"].startswith("masked")
    assert values["Modality"] == row.metadata.modality
