"""The models' page: figures of each model, operating points to slide over, choosing, comparing and the way back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from support.made_runs import HOSTILE, made_run, save_run, write_nih
from support.page_reading import text_of, until

from cxrviewer.classifiers.registry import serving_id
from cxrviewer.evaluation.explorer import Explorer
from cxrviewer.reporting.part_report import sliders_of
from cxrviewer.settings import get_settings
from cxrviewer.ui.candidates import cards_side_by_side, finished_runs

PAGE = "pages/models/registry.py"


def press(app: AppTest, label: str) -> AppTest:
    (button,) = [button for button in app.button if button.label == label]
    return button.click().run()


def install(site: Path, tmp_path: Path, name: str = "Mass") -> Path:
    """A model with figures among those of the site."""
    run = save_run(tmp_path / "made", name)
    return Path(shutil.copytree(run / "bundle" / "small-1", site / "models" / "small-1"))


def figures_of(folder: Path, name: str = "Mass") -> dict[str, Any]:
    from cxrviewer.classifiers.card import read_card

    found: Any = read_card(folder).metrics["report"]
    return dict(found[name])


def shown(app: AppTest, column: str) -> Any:
    return next(frame.value for frame in app.dataframe if column in frame.value.columns)


def choose(app: AppTest, model: str) -> AppTest:
    app.session_state["model"] = model
    return app.run()


def test_the_threshold_moves_the_counts(open_page: Any, site: Path, tmp_path: Path) -> None:
    part = figures_of(install(site, tmp_path))
    app = choose(open_page(PAGE), "small-1")
    assert not app.exception
    sliders = sliders_of(part)
    assert sliders is not None
    points: Explorer = sliders.points["pneumonia"]
    (slider,) = app.select_slider
    assert slider.value == 0.5
    for threshold in (0.5, float(points.thresholds[-1]), float(points.thresholds[0])):
        slider = app.select_slider[0].set_value(threshold)
        app.run()
        at = points.nearest(threshold)
        table = shown(app, "called positive")
        assert list(table["called positive"]) == [points.tp[at], points.fp[at]]
        assert list(table["of"]) == [60, 60]
    app.number_input[0].set_value(1.0)
    app.select_slider[0].set_value(0.5)
    app.run()
    ppv = points.predictive(0.01)[0][points.nearest(0.5)]
    assert f"Where 1.0 % are ill: PPV {ppv:.2f}" in text_of(app)


def test_the_figures_are_the_reports(open_page: Any, site: Path, tmp_path: Path) -> None:
    part = figures_of(install(site, tmp_path))
    app = choose(open_page(PAGE), "small-1")
    found = part["labels"]["Mass"]
    low, high = found["auroc_ci95"]
    table = shown(app, "Average precision")
    assert table["AUROC"][2] == f"{found['auroc']:.2f} ({low:.2f} to {high:.2f})"
    assert set(shown(app, "Group")["Group"]) == {"F", "M"}
    assert "Measured on the report part of Mass" in text_of(app)


def test_texts_of_a_card_stay_text(open_page: Any, site: Path, tmp_path: Path) -> None:
    install(site, tmp_path, HOSTILE)
    app = choose(open_page(PAGE), "small-1")
    assert not app.exception
    assert "<script>alert" not in text_of(app) and "&lt;script&gt;alert" in text_of(app)


def test_a_model_without_its_run_is_compared_by_cards(open_page: Any, site: Path, tmp_path: Path) -> None:
    install(site, tmp_path)
    app = press(choose(open_page(PAGE), "small-1"), "Use this model")
    assert "cannot be compared on the same pictures" in text_of(app)
    assert serving_id(get_settings()) == "tiny-1"  # asking changes nothing
    app = press(app, "Keep the present one")
    assert "cannot be compared" not in text_of(app)
    app = press(press(app, "Use this model"), "Let it serve")
    assert serving_id(get_settings()) == "small-1"
    assert "Before it: the one that comes with the program." in text_of(app)
    press(app, "Undo")
    assert serving_id(get_settings()) == "tiny-1"


def test_a_finished_run_is_compared_and_promoted(open_page: Any, site: Path, tmp_path: Path) -> None:
    made_run(site, write_nih(tmp_path / "nih"))
    app = press(open_page(PAGE), "Compare")
    until(app, lambda page: any(button.label == "Let it serve" for button in page.button))
    table = shown(app, "Difference")
    assert list(table["Label"]) == ["Mass"]
    assert "AUROC small-1" in table.columns and "AUROC tiny-1" in table.columns
    assert "tiny-1 does not say which pictures it learnt from." in text_of(app)
    app = press(app, "Let it serve")
    assert serving_id(get_settings()) == "small-1"
    assert (site / "models" / "small-1" / "card.json").is_file()
    assert "From your training runs" not in text_of(app)


def test_the_setting_comes_first(
    open_page: Any, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, tmp_path)
    monkeypatch.setenv("CXR_MODEL", "tiny-1")
    get_settings.cache_clear()
    app = choose(open_page(PAGE), "small-1")
    assert "CXR_MODEL names the serving model" in text_of(app)
    assert not [button for button in app.button if button.label in ("Use this model", "Undo")]


def test_cards_side_by_side_share_data_and_label(tmp_path: Path) -> None:
    from cxrviewer.classifiers.card import read_card

    first = read_card(save_run(tmp_path / "a") / "bundle" / "small-1")
    other = read_card(save_run(tmp_path / "b", "Nodule", "small-2") / "bundle" / "small-2")
    assert cards_side_by_side(first, other)["Label"] == []
    twin = first.model_copy(update={"id": "small-3"})
    columns = cards_side_by_side(first, twin)
    assert list(columns) == ["Data", "Label", "AUROC small-1", "AUROC small-3"]
    assert columns["AUROC small-1"] == columns["AUROC small-3"] and len(columns["Label"]) == 3


def test_a_damaged_run_is_left_out(tmp_path: Path, site: Path) -> None:
    run = made_run(site, write_nih(tmp_path / "nih"))
    assert [found.path for found in finished_runs(site / "runs", ())] == [run]
    (run / "bundle" / "small-1" / "card.json").write_text("{")
    assert finished_runs(site / "runs", ()) == ()


def test_a_model_is_fetched_or_it_says_why_not(
    open_page: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from cxrviewer.classifiers import getting
    from cxrviewer.errors import NetworkError

    asked: list[str] = []

    def fetch(name: str, models_dir: Path, tell: Any, **_: object) -> getting.Got:
        asked.append(name)
        if len(asked) == 1:
            raise NetworkError("github.com could not be reached, or fell silent.", "Check the connection.")
        tell(1.0, "done")
        return getting.Got(tmp_path, name)

    monkeypatch.setattr(getting, "fetch", fetch)
    app = open_page(PAGE)
    assert not asked and not [frame for frame in app.dataframe if "Trained on" in frame.value.columns]
    app.toggle[0].set_value(True).run()
    assert not asked, "looking at the list asks no other machine"
    assert "xrv-densenet121-all" in set(shown(app, "Trained on")["Weights"])
    app = press(app, "Fetch")
    until(app, lambda page: "could not be reached" in text_of(page))
    app = press(app, "Fetch")
    until(app, lambda page: "was not fetched" not in text_of(page) and "Fetching" not in text_of(page))
    assert len(asked) == 2 and asked[0] == asked[1]
