"""Asking why: the spread over seeds, maps that fail, and choices made while maps are in the making."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from support.page_reading import VIEWER, answered, components, pane_of, take_in, text_of, until

from cxrviewer.classifiers.targets import Target
from cxrviewer.errors import CancelledError, ConfigurationError
from cxrviewer.explainers.explainer import Explanation
from cxrviewer.labels import Head
from cxrviewer.reading import Reader
from cxrviewer.ui import regions, resources, spread
from cxrviewer.ui.state import ViewerState

CHOOSER = "Why this answer?"


def choose(app: AppTest, finding: str) -> AppTest:
    return next(box for box in app.selectbox if box.label == CHOOSER).set_value(finding).run()


def button(app: AppTest, start: str) -> Any:
    return next((one for one in app.button if one.label.startswith(start)), None)


def all_drawn(app: AppTest) -> bool:
    return all(pane["overlay"] for pane in components(app, "panes")[1]["panes"])


def asked(open_page: Any, finding: str = "Mass") -> AppTest:
    app = until(open_page(VIEWER, study=take_in().study_id), answered)
    return choose(app, finding)


class Held:
    """Stands in for `Reader.explain`: nothing ends before it is let go or no longer wanted."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun: list[tuple[str, str]] = []
        self.stopped: list[tuple[str, str]] = []
        self._explain = Reader.explain

    def __call__(self, reader: Reader, radiograph: Any, target: Any, method: str, *more: Any) -> Any:
        what = (target.label, method)
        self.begun.append(what)
        progress, cancelled = more[1], more[2]
        while not self.go.wait(0.02):
            progress(0.5)
            if cancelled():
                self.stopped.append(what)
                raise CancelledError("stopped")
        return self._explain(reader, radiograph, target, method, *more)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Any:
    held = Held()
    monkeypatch.setattr(Reader, "explain", lambda *arguments: held(*arguments))
    yield held
    held.go.set()


def soon(ready: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_spread_is_measured_on_request_alone_and_never_twice(
    open_page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = until(asked(open_page), all_drawn)
    assert not any("spread" in line for line in pane_of(app, "lime")["caption"])
    button(app, "Measure spread over seeds").click().run()
    until(app, lambda app: any("spread" in line for line in pane_of(app, "lime")["caption"]))
    assert f"over {spread.SEEDS + 1} seeds" in pane_of(app, "lime")["caption"][1]
    assert "R²" in pane_of(app, "lime")["caption"][0]
    assert button(app, "Measure spread") is None

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("cxrviewer.explainers.lime.Lime._explain", never)
    choose(app, "Nodule")
    assert not any("spread" in line for line in pane_of(app, "lime")["caption"])
    choose(app, "Mass")
    until(app, lambda app: any("spread" in line for line in pane_of(app, "lime")["caption"]))


def test_the_spread_shows_progress_and_can_be_stopped(open_page: Any, held: Held) -> None:
    held.go.set()
    app = until(asked(open_page), all_drawn)
    held.go.clear()
    button(app, "Measure spread over seeds").click().run()
    until(app, lambda app: [bar.proto.text for bar in app.get("progress")] == ["Measuring the spread: 50 %"])
    button(app, "Stop").click().run()
    soon(lambda: held.stopped == [("Mass", "lime")])
    assert button(app, "Measure spread over seeds") is not None
    assert pane_of(app, "lime")["overlay"], "the map itself stays"


def test_window_and_finding_can_be_changed_while_maps_are_in_the_making(open_page: Any, held: Held) -> None:
    app = asked(open_page)
    soon(lambda: held.begun)
    assert all(pane["progress"] is not None for pane in components(app, "panes")[1]["panes"])
    picture = components(app, "panes")[0]["panes"][0]["picture"]
    start = time.monotonic()
    next(box for box in app.selectbox if box.label == "Window").set_value("bone-like").run()
    assert components(app, "panes")[0]["panes"][0]["picture"] != picture
    choose(app, "Nodule")
    assert time.monotonic() - start < 10, "the page waited for a map"
    soon(lambda: ("Mass", "gradcam") in held.stopped)
    held.go.set()
    until(app, all_drawn)
    assert {pane["alt"] for pane in components(app, "panes")[1]["panes"]} == {
        f"{title} of Nodule" for title in ("Grad-CAM", "Integrated Gradients", "LIME")
    }


def test_a_map_that_fails_says_why_and_can_be_tried_again(
    open_page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    explain = Reader.explain

    def fails(reader: Reader, radiograph: Any, target: Any, method: str, *more: Any) -> Any:
        if method == "integrated-gradients":
            raise ConfigurationError("The gradients ran away.", "Fetch them.")
        return explain(reader, radiograph, target, method, *more)

    monkeypatch.setattr(Reader, "explain", fails)
    app = asked(open_page)
    until(app, lambda app: pane_of(app, "lime")["overlay"] and pane_of(app, "gradcam")["overlay"])
    until(app, lambda app: pane_of(app, "integrated-gradients")["caption"])
    assert pane_of(app, "integrated-gradients")["caption"] == ["The gradients ran away. Fetch them."]
    monkeypatch.setattr(Reader, "explain", explain)
    button(app, "Try again").click().run()
    until(app, all_drawn)


def test_four_thumbnails_of_the_highest_findings(open_page: Any) -> None:
    app = until(asked(open_page, "Effusion"), lambda app: len(components(app, "panes")) == 3)
    until(app, lambda app: all(pane["overlay"] for pane in components(app, "panes")[-1]["panes"]))
    findings = components(app, "rows")[0]["rows"][1:5]
    strip = next(data for data in components(app, "panes") if data["small"])
    names = [pane["caption"][0] for pane in strip["panes"]]
    assert names == [f"{row['cells'][0]['text']} {row['cells'][1]['text']}" for row in findings]


def test_the_browser_is_given_the_very_values_of_the_file(open_page: Any) -> None:
    row = take_in()
    app = open_page(VIEWER, study=row.study_id)
    told = components(app, "panes")[0]["values"]
    data, low, step = resources.codes(row.digest, 1)
    assert told["url"]
    assert (told["low"], told["step"]) == (low, step)
    values = low + step * np.frombuffer(data, "<u2").reshape(256, 256)
    np.testing.assert_array_equal(values, resources.radiograph(row.digest, 1).pixels)


def test_bars_carry_the_operating_point_and_where_the_bands_begin(open_page: Any) -> None:
    app = until(open_page(VIEWER, study=take_in().study_id), answered)
    bars = [row["cells"][2] for row in components(app, "rows")[0]["rows"]]
    assert all(bar["mark"] == 0.4 and bar["limits"] == [0.2, 0.8] for bar in bars)
    assert "Ticks below: where unsure and high begin." in text_of(app)
    assert "too few positives" not in text_of(app)


def test_a_site_prevalence_moves_marks_and_says_so(open_page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from cxrviewer.settings import get_settings

    monkeypatch.setenv("CXR_SITE_PREVALENCE", "0.1")
    get_settings.cache_clear()
    app = until(open_page(VIEWER, study=take_in().study_id), answered)
    assert "stands for a prevalence of 0.10, as set for this site" in text_of(app)
    pneumonia, finding = (components(app, "rows")[0]["rows"][index]["cells"][2] for index in (0, 1))
    # Odds of 2/3, 1/4 and 4 at one half, a ninth of that at one in ten.
    assert pneumonia["mark"] == pytest.approx((2 / 27) / (1 + 2 / 27))
    assert pneumonia["limits"] == pytest.approx([(1 / 36) / (1 + 1 / 36), (4 / 9) / (1 + 4 / 9)])
    assert finding["limits"] == [0.2, 0.8]


def test_a_session_reads_the_scores_its_own_way_and_stores_nothing_of_it(open_page: Any) -> None:
    row = take_in()
    app = until(open_page(VIEWER, study=row.study_id), answered)
    before = components(app, "rows")[0]["rows"]
    stored = resources.archive().results(row.digest)
    app.slider(key="viewer.prevalence").set_value(0.1).run()
    assert "stands for a prevalence of 0.10, as set for this session" in text_of(app)
    pneumonia, finding = (components(app, "rows")[0]["rows"][index]["cells"][2] for index in (0, 1))
    assert pneumonia["mark"] == pytest.approx((2 / 27) / (1 + 2 / 27))
    assert finding["limits"] == [0.2, 0.8]
    assert resources.archive().results(row.digest) == stored
    app.button[[b.label for b in app.button].index("Back to the site's settings")].click().run()
    assert components(app, "rows")[0]["rows"] == before
    assert "as in training" in text_of(app)


def test_lime_shows_its_strongest_regions_for_and_against_or_all(open_page: Any) -> None:
    app = until(asked(open_page), all_drawn)
    few = pane_of(app, "lime")["overlay"]
    grad_cam = pane_of(app, "gradcam")["overlay"]
    app.selectbox(key="viewer.regions").set_value("all").run()
    assert pane_of(app, "lime")["overlay"] != few
    assert pane_of(app, "gradcam")["overlay"] == grad_cam
    app.selectbox(key="viewer.regions").set_value("5 for").run()
    assert pane_of(app, "lime")["overlay"] not in (few, None)


def test_the_regions_that_are_shown() -> None:
    weights = np.arange(-7, 7, dtype=np.float32)
    found = Explanation(
        method="lime", target=Target(Head.FINDINGS, "Mass"), grid=np.tile(weights, (2, 1)), shape=(2, 14), seconds=0.0,
        parameters={}, admits={}, digest="d", weights_sha256="w",
        segments=np.tile(np.arange(14, dtype=np.int32), (2, 1)),
    )  # fmt: skip
    part, keep = regions.shown(found, ViewerState())
    assert part.grid[0].tolist() == [-7, -6, -5, -4, -3, 0, 0, 0, 0, 2, 3, 4, 5, 6]
    assert keep == 100
    whole, keep = regions.shown(found, ViewerState(regions="all", keep_top=40))
    assert whole is found
    assert keep == 40
