"""Readers of data sets: four rows in each layout, and refusals that name the line."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.dataset_folders import NIH_HEADER, NIH_ROWS

from cxrviewer.datasets import DATASETS, read_dataset
from cxrviewer.datasets.dataset import digest_of
from cxrviewer.errors import ConfigurationError, LabelFileError, NotFoundError
from cxrviewer.labels import NIH_14
from cxrviewer.studies.radiograph import View


def save_picture(path: Path, grey: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 8), grey, np.uint8)).save(path)


def write_csv(path: Path, rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


KERMANY = (
    "train/NORMAL/IM-0115-0001.jpeg",
    "train/NORMAL/NORMAL2-IM-0001-0001-0002.jpeg",
    "train/PNEUMONIA/person3_bacteria_10.jpeg",
    "train/PNEUMONIA/person3_virus_4.jpeg",
)
MANIFEST = ("path", "kaggle_split", "label", "mask", "dup_group")


@pytest.fixture
def kermany_owner(tmp_path: Path) -> Path:
    for name in KERMANY:
        save_picture(tmp_path / name)
    return tmp_path


@pytest.fixture
def kermany_manifest(tmp_path: Path) -> Path:
    root = tmp_path / "kermany"
    for name in KERMANY:
        save_picture(root / name)
    save_picture(tmp_path / "masks/IM-0115-0001.png")
    write_csv(root / "manifest.csv", [
        MANIFEST,
        (f"kermany/{KERMANY[0]}", "train", "NORMAL", "masks/IM-0115-0001.png", ""),
        (f"kermany/{KERMANY[1]}", "train", "NORMAL", "masks/absent.png", ""),
        (f"kermany/{KERMANY[2]}", "train", "PNEUMONIA", "", "d1"),
        (f"kermany/{KERMANY[3]}", "train", "PNEUMONIA", "", ""),
        ("kermany/train/PNEUMONIA/person9_virus_1.jpeg", "train", "PNEUMONIA", "", "d1"),
    ])  # fmt: skip
    write_csv(root / "near_duplicates.csv", [("a", "b"), (f"kermany/{KERMANY[0]}", f"kermany/{KERMANY[1]}")])
    return root


@pytest.fixture
def nih_owner(tmp_path: Path) -> Path:
    write_csv(tmp_path / "Data_Entry_2017.csv", [NIH_HEADER, *NIH_ROWS])
    for index, row in enumerate(NIH_ROWS[:3]):
        save_picture(tmp_path / f"images_00{index + 1}/images/{row[0]}")
    header = ("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]", "", "", "")
    write_csv(tmp_path / "BBox_List_2017.csv", [
        header, ("00000002_000.png", "Infiltrate", 256, 512, 128, 64, "", "", ""),
    ])  # fmt: skip
    return tmp_path


@pytest.fixture
def nih_small(tmp_path: Path) -> Path:
    write_csv(tmp_path / "labels.csv", [
        ("filename", *NIH_HEADER[:7]), *[(str(row[0]).replace("png", "jpg"), *row[:7]) for row in NIH_ROWS],
    ])  # fmt: skip
    for row in NIH_ROWS:
        save_picture(tmp_path / "images" / str(row[0]).replace("png", "jpg"))
    columns = ("filename", "Image Index", "Finding Label", "x_frac", "y_frac", "w_frac", "h_frac")
    box = ("00000003_000.jpg", "00000003_000.png", "Infiltrate", 0.25, 0.5, 0.125, 0.0625)
    write_csv(tmp_path / "boxes.csv", [columns, box])
    write_csv(tmp_path / "expert_google2019.csv", [("filename", "Fracture"), ("00000001_000.jpg", "NO")])
    write_csv(tmp_path / "normal_abnormal_cadlab.csv", [("filename", "abnormal"), ("00000002_000.jpg", 1)])
    return tmp_path


def test_kermany_as_its_owner_lays_it_out(kermany_owner: Path) -> None:
    rows = {row.image: row for row in read_dataset("kermany", kermany_owner).rows}
    assert sorted(rows) == sorted(KERMANY)
    assert [rows[name].labels["pneumonia"] for name in KERMANY] == [0, 0, 1, 1]
    assert [rows[name].labels.get("bacterial") for name in KERMANY] == [None, None, 1, 0]
    # Numbers of bacterial and viral pictures may mean one person: too coarse is safe.
    assert rows[KERMANY[2]].patient == rows[KERMANY[3]].patient == "kermany:train:person3"
    assert rows[KERMANY[0]].patient == "kermany:train:im-0115"
    assert rows[KERMANY[1]].patient == "kermany:train:normal2-im-0001"


def test_kermany_numbers_are_other_people_in_another_part(kermany_owner: Path) -> None:
    save_picture(kermany_owner / "val/PNEUMONIA/person3_virus_1.jpeg")
    dataset = read_dataset("kermany", kermany_owner)
    assert len({row.patient for row in dataset.rows if "person3" in row.image}) == 2
    assert "1 pictures, too few to choose by" in dataset.notes[0]


def test_kermany_with_a_manifest(kermany_manifest: Path) -> None:
    dataset = read_dataset("kermany", kermany_manifest)
    rows = {row.image: row for row in dataset.rows}
    assert dataset.missing == ("train/PNEUMONIA/person9_virus_1.jpeg",)
    assert rows[KERMANY[0]].mask == str(kermany_manifest.parent / "masks/IM-0115-0001.png")
    assert rows[KERMANY[1]].mask is None
    # A near-duplicate pair joins its two patients; nobody else joins them.
    assert rows[KERMANY[0]].group == rows[KERMANY[1]].group != rows[KERMANY[2]].group


def test_kermany_refuses_a_manifest_with_the_line(kermany_manifest: Path) -> None:
    listing = kermany_manifest / "manifest.csv"
    lines = listing.read_text("utf-8").splitlines()
    lines[2] = lines[2].replace("NORMAL,masks", "HEALTHY,masks")
    listing.write_text("\n".join(lines), "utf-8")
    with pytest.raises(LabelFileError, match=r"manifest\.csv, line 3: the label is not NORMAL or PNEUMONIA"):
        read_dataset("kermany", kermany_manifest)


def test_kermany_refuses_paths_that_leave_the_folder(kermany_manifest: Path) -> None:
    listing = kermany_manifest / "manifest.csv"
    listing.write_text(listing.read_text("utf-8") + "kermany/../../x.jpeg,train,NORMAL,,\n", "utf-8")
    with pytest.raises(LabelFileError, match="line 7: the path leaves the folder"):
        read_dataset("kermany", kermany_manifest)


def test_an_empty_folder_is_not_a_data_set(tmp_path: Path) -> None:
    for name in DATASETS:
        with pytest.raises(NotFoundError):
            read_dataset(name, tmp_path)


def test_an_unknown_name_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="kermany, nih"):
        read_dataset("imagenet", tmp_path)


def test_nih_as_its_owner_lays_it_out(nih_owner: Path) -> None:
    dataset = read_dataset("nih", nih_owner)
    first, second, third = dataset.rows
    assert dataset.missing == ("00000003_000.png",)
    assert first.image == "images_001/images/00000001_000.png"
    assert (first.patient, first.view, first.sex, first.age_years) == ("nih:1", View.PA, "M", 58.0)
    assert third.age_years == pytest.approx(13 / 12)
    assert [name for name in NIH_14 if first.labels[name]] == ["Cardiomegaly", "Effusion"]
    # The binary head learns pneumonia against no finding; other findings do not state it.
    assert "pneumonia" not in first.labels
    assert (second.labels["pneumonia"], third.labels["pneumonia"]) == (0.0, 1.0)
    assert (first.labels["abnormal"], second.labels["abnormal"]) == (1.0, 0.0)


def test_nih_boxes_are_fractions_under_the_labels_own_name(nih_owner: Path) -> None:
    (box,) = read_dataset("nih", nih_owner).rows[2].boxes
    assert box.label == "Infiltration"
    assert (box.left, box.top, box.width, box.height) == (0.25, 0.5, 0.125, 0.0625)


def test_nih_in_the_small_layout(nih_small: Path) -> None:
    dataset = read_dataset("nih", nih_small)
    assert dataset.rows[0].image == "images/00000001_000.jpg"
    assert dataset.rows[3].boxes[0].label == "Infiltration"
    assert dataset.rows[3].age_years is None
    # An expert's label on one picture makes an expert row of every picture of that patient.
    assert [row.expert for row in dataset.rows] == [True, True, True, True]


def test_nih_without_experts_has_no_expert_rows(nih_small: Path) -> None:
    for name in ("boxes.csv", "expert_google2019.csv", "normal_abnormal_cadlab.csv"):
        (nih_small / name).unlink()
    assert not any(row.expert for row in read_dataset("nih", nih_small).rows)


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        (1, "Cardiomegaly|Gout", "an unknown finding"),
        (1, "No Finding|Mass", "No Finding beside a finding"),
        (0, "00000001_000.png", "a picture that was named before"),
        (0, "../00000001_000.png", "a picture outside the folder"),
        (3, "anna", "a patient that is no number"),
        (4, "old", "an age that is no number"),
        (4, "-3", "an age that is no number"),
    ],
)
def test_nih_refuses_a_wrong_line(nih_owner: Path, column: int, value: str, what: str) -> None:
    rows = [list(row) for row in NIH_ROWS]
    rows[2][column] = value
    write_csv(nih_owner / "Data_Entry_2017.csv", [NIH_HEADER, *rows])
    with pytest.raises(LabelFileError, match=rf"Data_Entry_2017\.csv, line 4: {what}"):
        read_dataset("nih", nih_owner)


@pytest.mark.parametrize(
    "box", [("Infiltrate", "x", 1, 1, 1), ("Infiltrate", 1000, 0, 90, 9), ("Gout", 1, 1, 5, 5)]
)
def test_nih_refuses_a_wrong_box(nih_owner: Path, box: tuple[object, ...]) -> None:
    header = ("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]", "", "", "")
    good = ("00000002_000.png", "Mass", 1, 1, 9, 9, "", "", "")
    write_csv(nih_owner / "BBox_List_2017.csv", [header, good, ("00000002_000.png", *box, "", "", "")])
    with pytest.raises(LabelFileError, match=r"BBox_List_2017\.csv, line 3: a box"):
        read_dataset("nih", nih_owner)


def test_nlm_states_tuberculosis_and_uses_no_mask(tmp_path: Path) -> None:
    names = ("images/CHNCXR_0003_0.jpg", "images/CHNCXR_0300_1.jpg", "images/MCUCXR_0001_0.jpg")
    for name in names[:2]:
        save_picture(tmp_path / name)
    rows = [(name, "masks/x.png", tb) for name, tb in zip(names, (0, 1, 0), strict=True)]
    write_csv(tmp_path / "labels.csv", [("image", "mask", "tb"), *rows])
    dataset = read_dataset("nlm", tmp_path)
    assert [row.labels["tuberculosis"] for row in dataset.rows] == [0, 1]
    assert dataset.missing == (names[2],)
    assert all(row.mask is None for row in dataset.rows)


def test_covid_lists_what_the_folder_lacks(tmp_path: Path) -> None:
    save_picture(tmp_path / "hannover/aa.jpg")
    rows = [("p1", "aa", "f", 61, "pa"), ("p1", "bb", "f", 61, "ap")]
    write_csv(tmp_path / "hannover/data.csv", [("patient_id", "image_id", "sex", "age", "projection"), *rows])
    dataset = read_dataset("covid", tmp_path)
    (row,) = dataset.rows
    assert (row.view, row.sex, row.age_years, row.labels) == (View.PA, "F", 61.0, {"pneumonia": 1.0})
    assert dataset.missing == ("bb.jpg",)


def test_targets_are_nan_where_a_label_is_not_stated(kermany_owner: Path) -> None:
    targets = read_dataset("kermany", kermany_owner).targets(("bacterial", "pneumonia", "Hernia"))
    np.testing.assert_array_equal(
        targets, [[np.nan, 0, np.nan], [np.nan, 0, np.nan], [1, 1, np.nan], [0, 1, np.nan]]
    )


def test_the_digest_names_pictures_and_labels(kermany_owner: Path) -> None:
    first = digest_of(read_dataset("kermany", kermany_owner))
    assert digest_of(read_dataset("kermany", kermany_owner)) == first
    save_picture(kermany_owner / KERMANY[0], grey=91)
    second = digest_of(read_dataset("kermany", kermany_owner))
    (kermany_owner / KERMANY[3]).rename(kermany_owner / "train/NORMAL/person3_virus_4.jpeg")
    third = digest_of(read_dataset("kermany", kermany_owner))
    assert len({first, second, third}) == 3
