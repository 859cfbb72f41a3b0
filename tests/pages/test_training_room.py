"""The training room's pages: name a folder, choose a recipe, start it, watch it, compare it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import BaseModel
from streamlit.testing.v1 import AppTest
from support.dataset_folders import FOLDERS
from support.page_reading import components, text_of, until

from cxrviewer.datasets import DATASETS
from cxrviewer.datasets.remembering import checked, remember, remembered
from cxrviewer.training import runs
from cxrviewer.training.config import Source, TrainingConfig
from cxrviewer.training.material import gather
from cxrviewer.ui.dataset_words import READERS
from cxrviewer.ui.recipe import GROUPS, defaults, read_recipe
from cxrviewer.ui.recipe_form import source_of

DATASETS_PAGE = "pages/training/datasets.py"
LAUNCH, RUNS = "pages/training/launch.py", "pages/training/runs.py"
HOSTILE = "<img src=x onerror=alert(1)> [a](b) $x$ **c**"


def labelled(app: AppTest, kind: str, label: str) -> Any:
    return next(one for one in getattr(app, kind) if one.label == label)


def section(app: AppTest, name: str) -> AppTest:
    return app.segmented_control(key="dataset-section").set_value(name).run()


def known(site: Path, name: str = "mine", reader: str = "kermany", folder: Path | None = None) -> Path:
    root = folder or site.parent / reader
    if not root.exists():
        FOLDERS[reader](root)
    remember(site, checked(name=name, reader=reader, root=str(root)))
    return root


def read(app: AppTest) -> AppTest:
    return until(app, lambda app: "Labels" in text_of(app) or "cannot" in text_of(app))


def a_run(site: Path, name: str, state: str = "cancelled", **more: Any) -> Path:
    folder = site / "runs" / name
    folder.mkdir(parents=True)
    status = {
        "state": state,
        "heartbeat": time.time(),
        "progress": 0.5,
        "message": "epoch 1 of 2",
        "seconds": 9,
    }
    (folder / "status.json").write_text(json.dumps(status | more))
    (folder / "metrics.csv").write_text(
        "epoch,size,learning_rate,loss,tune_pneumonia_auroc,seconds\n0,32,0.1,1.5,0.6,3\n1,32,0.1,1.0,0.7,6\n"
    )
    values = defaults() | {"id": name, "sources": [{"name": "kermany", "root": "/nowhere"}]}
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def test_a_folder_is_named_read_and_remembered(open_page: Any, site: Path) -> None:
    root = FOLDERS["kermany"](site.parent / "kermany").root
    app = open_page(DATASETS_PAGE)
    assert "127.0.0.1" in text_of(app), "what the app may read is said"
    labelled(app, "text_input", "Folder on this machine").set_value(str(root)).run()
    assert "Directly inside: 3 folders" in text_of(app)
    labelled(app, "text_input", "Remember it as").set_value("my chests").run()
    labelled(app, "button", "Read the folder").click().run()
    read(app)
    page = text_of(app)
    assert "4 pictures" in page and "4 patients" in page and "0 files missing" in page and "CC BY 4.0" in page
    assert [one.name for one in remembered(site)] == ["my chests"]
    table = app.dataframe[0].value
    assert list(table["Positive"]) == [2, 1, 2]
    assert list(table["w+"]) == ["0.50", "0.50", "0.50"]


@pytest.mark.parametrize("typed", ["relative/path", "/no/such/folder"])
def test_a_folder_that_is_not_there_is_said_so(open_page: Any, site: Path, typed: str) -> None:
    app = open_page(DATASETS_PAGE)
    labelled(app, "text_input", "Folder on this machine").set_value(typed).run()
    assert "must begin at the root" in text_of(app) or "no such folder" in text_of(app)
    labelled(app, "button", "Read the folder").click().run()
    assert "Name a folder that is there." in text_of(app)
    assert not remembered(site)


def test_the_columns_of_a_table_are_chosen_in_the_page(open_page: Any, site: Path) -> None:
    root = site.parent / "table"
    root.mkdir()
    rng = np.random.default_rng(0)
    for name in "ab":
        Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)).save(root / f"{name}.png")
    (root / "list.csv").write_text("shot,who,ill,odd\na.png,p,1,x\nb.png,q,0,y\n")
    app = open_page(DATASETS_PAGE)
    labelled(app, "selectbox", "What it is").set_value("csv").run()
    labelled(app, "text_input", "Folder on this machine").set_value(str(root)).run()
    assert labelled(app, "selectbox", "Picture's path").options == ["guess it", "shot", "who", "ill", "odd"]
    labelled(app, "selectbox", "Picture's path").set_value("shot").run()
    labelled(app, "selectbox", "Patient").set_value("who").run()
    labelled(app, "multiselect", "Labels").set_value(["ill"]).run()
    labelled(app, "button", "Read the folder").click().run()
    read(app)
    assert remembered(site)[0].options == {"path": "shot", "patient": "who", "labels": ["ill"]}
    assert list(app.dataframe[0].value["Positive"]) == [1]


def test_a_bad_label_file_is_refused_with_its_line(open_page: Any, site: Path) -> None:
    folder = FOLDERS["csv"](site.parent / "csv")
    listing = folder.root / folder.listing
    lines = listing.read_text().splitlines()
    listing.write_text("\n".join([*lines, lines[-1]]) + "\n")
    remember(site, checked(name="bad", reader="csv", root=str(folder.root), options=folder.options))
    app = read(open_page(DATASETS_PAGE))
    assert "cannot be used" in text_of(app) and "line" in text_of(app) and not app.exception


def test_file_and_label_names_stay_text(open_page: Any, site: Path) -> None:
    root = site.parent / "hostile"
    for number, name in enumerate((HOSTILE, "fine")):
        (root / name).mkdir(parents=True)
        pixels = np.full((40, 40), 40, np.uint8)
        pixels[5:20, 5 : 10 + 9 * number] = 200
        Image.fromarray(pixels).save(root / name / f"{HOSTILE}.png")
    known(site, "h", "folder", root)
    app = read(open_page(DATASETS_PAGE))
    section(app, "Pictures")
    until(app, lambda app: "positive label" in text_of(app) or "figcaption" in text_of(app))
    page = text_of(app)
    assert "&lt;img src=x onerror" in page and "<img src=x" not in page
    assert not [one for one in app.markdown if "onerror" in str(one.value)]
    section(app, "Split")
    assert not app.exception


def test_duplicates_are_compared_on_request_and_found(open_page: Any, site: Path) -> None:
    root = site.parent / "twins"
    for number, place in enumerate(("a/1.png", "b/2.png", "b/3.png")):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(1).integers(0, 255, (40, 40), np.uint8)
        pixels[0, 0] = number // 2  # the third differs from the two others in one pixel
        Image.fromarray(pixels).save(root / place)
    known(site, "twins", "folder", root)
    app = section(read(open_page(DATASETS_PAGE)), "Duplicates")
    assert "compared with every other" in text_of(app)
    labelled(app, "button", "Compare the pictures").click().run()
    until(app, lambda app: "2 pairs could stand in two parts" in text_of(app))
    table = app.dataframe[0].value
    assert list(table["Files"]) == ["differ", "differ", "identical"]
    assert list(table["Kept together"]) == ["no", "no", "yes"]
    labelled(app, "button", "Keep the pairs together").click().run()
    assert "No pair could stand in two parts" in text_of(app)
    (one,) = remembered(site)
    source = Source.model_validate(source_of(one))
    config = TrainingConfig.model_validate(defaults() | {"id": "x", "sources": [source.model_dump()]})
    assert len({row.group for row in gather(config).split}) == 1, "a run keeps them on one side"
    labelled(app, "button", "Let the pairs go").click().run()
    assert remembered(site)[0].together == ""


def test_another_data_set_gets_a_name_of_its_own_and_a_changed_one_takes_its_new_name(
    open_page: Any, site: Path
) -> None:
    root = known(site, "kermany")
    app = read(open_page(DATASETS_PAGE))
    labelled(app, "button", "Add another").click().run()
    labelled(app, "text_input", "Folder on this machine").set_value(str(root)).run()
    assert labelled(app, "text_input", "Remember it as").placeholder == "kermany-2"
    labelled(app, "text_input", "Remember it as").set_value("kermany").run()
    labelled(app, "button", "Read the folder").click().run()
    assert "Another data set is remembered under that name." in text_of(app)
    labelled(app, "button", "Cancel").click().run()
    labelled(app, "button", "Change").click().run()
    labelled(app, "text_input", "Remember it as").set_value("children").run()
    labelled(app, "button", "Read the folder").click().run()
    assert [one.name for one in remembered(site)] == ["children"]


def test_choices_of_a_reader_are_said_in_words(open_page: Any, site: Path) -> None:
    app = open_page(DATASETS_PAGE)
    labelled(app, "selectbox", "What it is").set_value("chexpert").run()
    assert labelled(app, "selectbox", "Uncertain (-1) counts as").options == [
        "not stated (U-Ignore)",
        "negative (U-Zeros)",
        "positive (U-Ones)",
    ]


def test_a_refused_data_set_is_named_by_its_folder_and_no_run_starts_from_it(
    open_page: Any, site: Path
) -> None:
    (site.parent / "empty").mkdir()
    known(site, "mine", "nih", site.parent / "empty")
    app = until(open_page(LAUNCH), lambda app: "cannot be used" in text_of(app))
    assert f"The data set in {site.parent / 'empty'} cannot be used." in text_of(app)
    assert labelled(app.run(), "button", "Start the run").disabled


def test_a_preset_with_shares_of_its_own_keeps_the_name_of_the_data_set(open_page: Any, site: Path) -> None:
    remember(site, checked(name="mine", reader="kermany", root=str(known(site)), tune=0.3))
    app = open_page(LAUNCH)
    labelled(app, "button", "Fill the form with it").click().run()
    assert labelled(app, "multiselect", "Data sets").value == ["mine"]


def test_the_split_is_shown_in_parts_and_kept(open_page: Any, site: Path) -> None:
    known(site)
    app = section(read(open_page(DATASETS_PAGE)), "Split")
    labelled(app, "selectbox", "Split").set_value("official").run()
    assert "has 1 picture, too few to choose by" in text_of(app)
    assert app.dataframe[0].value["tune"].iloc[0] == 1
    labelled(app, "button", "Keep this split").click().run()
    assert remembered(site)[0].split == "official"
    labelled(app, "button", "Deal it by person instead").click().run()
    assert remembered(site)[0].split == "patient"


def test_the_launch_page_says_what_to_do_first(open_page: Any) -> None:
    app = open_page(LAUNCH)
    assert "No data set is known yet" in text_of(app)


def test_a_recipe_is_started_as_the_form_says(
    open_page: Any, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = known(site)
    app = until(open_page(LAUNCH), lambda app: "Class balance" in text_of(app))
    labelled(app, "selectbox", "Network").set_value("tiny").run()
    labelled(app, "number_input", "Batch").set_value(2).run()
    labelled(app, "selectbox", "Loss").set_value("focal").run()
    next(one for one in app.text_input if "Name of the run" in one.label).set_value("from-the-page").run()
    given: list[TrainingConfig] = []

    def submit(config: TrainingConfig, runs_dir: Path) -> Any:
        given.append(config)
        a_run(site, config.id, "queued")
        return runs._status(runs_dir / config.id)

    monkeypatch.setattr(runs, "submit", submit)
    monkeypatch.setattr("cxrviewer.ui.training.tick", lambda _folder: ())
    labelled(app, "button", "Start the run").click().run()
    (config,) = given
    assert (config.id, config.backbone, config.batch_size, config.loss.kind) == (
        "from-the-page",
        "tiny",
        2,
        "focal",
    )
    assert config.sources[0].root == str(root)
    assert "from-the-page" in str(components(app, "rows")), "the runs page shows it"


def test_a_wrong_value_is_said_beside_the_form_and_nothing_starts(open_page: Any, site: Path) -> None:
    known(site)
    app = until(open_page(LAUNCH), lambda app: "Class balance" in text_of(app))
    next(one for one in app.text_input if "Name of the run" in one.label).set_value("Not An Id").run()
    assert "id: a name of small letters, digits" in text_of(app)
    assert labelled(app, "button", "Start the run").disabled


def test_a_preset_fills_the_form_with_its_recipe_and_our_folder(open_page: Any, site: Path) -> None:
    known(site)
    app = open_page(LAUNCH)
    presets = "A first run, or a recipe that repeats published work"
    labelled(app, "selectbox", presets).set_value("kermany-small-cnn").run()
    assert "figure by person is known" in text_of(app)
    labelled(app, "button", "Fill the form with it").click().run()
    assert labelled(app, "selectbox", "Network").value == "small-cnn"
    assert labelled(app, "selectbox", "Loss").value == "bce"
    assert labelled(app, "multiselect", "Data sets").value


def test_stages_can_be_added_and_keep_their_own_rates(open_page: Any, site: Path) -> None:
    known(site)
    app = open_page(LAUNCH)
    labelled(app, "button", "Add a stage").click().run()
    rates = [one for one in app.number_input if one.label == "Own rate"]
    assert len(rates) == 2
    rates[1].set_value(1e-5).run()
    recipe = app.session_state["room_state"].recipe
    assert [stage.get("learning_rate") for stage in recipe.values["stages"]] == [None, 1e-5]


def test_the_launch_page_reaches_every_field_of_a_recipe() -> None:
    def leaves(model: type[BaseModel], before: str = "") -> set[str]:
        found = set()
        for name, info in model.model_fields.items():
            kind = info.annotation
            inner = isinstance(kind, type) and issubclass(kind, BaseModel)
            found |= leaves(kind, f"{before}{name}.") if inner else {f"{before}{name}"}  # type: ignore[arg-type]
        return found

    asked = {one.path for group in GROUPS for one in (*group.main, *group.advanced)}
    own_forms = {"id", "sources", "heads", "stages"}
    assert leaves(TrainingConfig) == asked | own_forms


def test_every_reader_has_words() -> None:
    assert set(READERS) == set(DATASETS)


def test_the_form_begins_with_a_recipe_that_is_right() -> None:
    config, sentences = read_recipe(defaults() | {"id": "x", "sources": [{"name": "kermany", "root": "/x"}]})
    assert config is not None and not sentences


def test_a_stopped_run_is_resumed_taken_over_and_deleted(
    open_page: Any, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_run(site, "one")
    resumed: list[Path] = []
    monkeypatch.setattr(runs, "resume", lambda path: resumed.append(path))
    app = open_page(RUNS)
    assert "cancelled · after 9 s" in text_of(app)
    labelled(app, "button", "Resume").click().run()
    assert resumed == [folder]
    labelled(app, "button", "Delete this run").click().run()
    assert not folder.exists() and "no training run yet" in text_of(app)


def test_a_runs_recipe_goes_back_to_the_launch_page(open_page: Any, site: Path) -> None:
    a_run(site, "one")
    app = open_page(RUNS)
    labelled(app, "button", "Use its recipe").click().run()
    assert labelled(app, "multiselect", "Data sets").value == ["kermany: /nowhere"]


def test_a_running_one_is_asked_to_stop_first_and_ended_then(
    open_page: Any, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_run(
        site, "one", "running", epoch=2, epochs=3, images_per_second=41.6, eta_seconds=70, memory_bytes=2**30
    )
    asked: list[bool] = []

    def cancel(path: Path, hard: bool = False) -> None:
        asked.append(hard)
        (path / "cancel").touch()

    monkeypatch.setattr(runs, "cancel", cancel)
    app = open_page(RUNS)
    assert "running · epoch 2 of 3 · 42 pictures a second · 1.0 GB · 1 min to go" in text_of(app)
    assert not [one for one in app.button if one.label == "Delete this run"]
    labelled(app, "button", "Stop").click().run()
    labelled(app, "button", "End it now").click().run()
    assert asked == [False, True] and (folder / "cancel").exists()


def test_several_runs_stand_on_one_chart(open_page: Any, site: Path) -> None:
    for name in ("one", "two"):
        a_run(site, name)
    app = open_page(RUNS)
    app.segmented_control(key="runs-view").set_value("Compare").run()
    assert set(labelled(app, "multiselect", "Runs").value) == {"one", "two"}
    labelled(app, "selectbox", "Metric").set_value("tune_pneumonia_auroc").run()
    chart = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert {line["name"] for line in chart["data"]} == {"one", "two"}
