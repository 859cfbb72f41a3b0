"""What only one data set has: uncertain labels, several readers, run-length masks, guessed columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import dicom_files
from support.dataset_folders import FOLDERS, chexpert_line, picture, table

from cxrviewer.datasets import Part, Row, read_dataset, rle
from cxrviewer.datasets.dicom_header import facts_of
from cxrviewer.errors import ConfigurationError, LabelFileError, NotFoundError, UnreadableError
from cxrviewer.studies.radiograph import View
from cxrviewer.training.pictures import read_grey


def rows_of(name: str, root: Path, **options: Any) -> tuple[Row, ...]:
    return read_dataset(name, root, options).rows


# --- CheXpert ---


@pytest.mark.parametrize(
    ("options", "edema", "pneumonia"),
    [
        ({}, None, None),
        ({"uncertain": "zeros"}, 0.0, 0.0),
        ({"uncertain": "ones"}, 1.0, 1.0),
        ({"uncertain": "ones", "labels": {"Pneumonia": "zeros"}}, 1.0, 0.0),
        ({"labels": {"Edema": "ones"}}, 1.0, None),
    ],
)
def test_chexpert_uncertain(
    tmp_path: Path, options: dict[str, Any], edema: float | None, pneumonia: float | None
) -> None:
    rows = rows_of("chexpert", FOLDERS["chexpert"](tmp_path).root, **options)
    assert rows[1].labels.get("Edema") == edema
    assert rows[2].labels.get("Pneumonia") == pneumonia
    assert rows[2].labels["Edema"] == 0  # what is certain stays


def test_chexpert_blanks_are_another_matter_than_uncertain_ones(tmp_path: Path) -> None:
    root = FOLDERS["chexpert"](tmp_path).root
    rows = rows_of("chexpert", root, blank="negative")
    assert len(rows[1].labels) == 14  # all but Edema, which is uncertain; and pneumonia
    assert rows[1].labels["Fracture"] == 0
    assert "Edema" not in rows[1].labels
    assert rows_of("chexpert", root)[1].labels == {"Pneumonia": 1.0, "pneumonia": 1.0}


def test_chexpert_pneumonia_is_against_no_finding(tmp_path: Path) -> None:
    rows = rows_of("chexpert", FOLDERS["chexpert"](tmp_path).root)
    assert [row.labels.get("pneumonia") for row in rows] == [0.0, 1.0, None, None]


def test_chexpert_views_ages_and_parts(tmp_path: Path) -> None:
    root = FOLDERS["chexpert"](tmp_path).root
    rows = rows_of("chexpert", root)
    assert [row.view for row in rows] == [View.AP, View.PA, View.LATERAL, View.AP]
    assert {(row.age_years, row.sex) for row in rows} == {(68.0, "F")}
    assert [row.expert for row in rows] == [False, False, False, True]
    frontal = read_dataset("chexpert", root, {"views": "frontal"})
    assert [row.view for row in frontal.rows] == [View.AP, View.PA, View.AP]
    assert "1 lateral pictures are left out, as was chosen." in frontal.notes


def test_chexpert_from_the_folder_above_and_under_nihs_names(tmp_path: Path) -> None:
    FOLDERS["chexpert"](tmp_path / "CheXpert-v1.0-small")
    dataset = read_dataset("chexpert", tmp_path)
    assert dataset.rows[0].image.startswith("CheXpert-v1.0-small/train/")
    assert read_grey(dataset.picture(dataset.rows[0])).shape == (12, 16)
    np.testing.assert_array_equal(dataset.targets(("Effusion",))[:, 0], [np.nan, np.nan, np.nan, 1])


def test_chexpert_refuses_a_label_that_it_has_not(tmp_path: Path) -> None:
    root = FOLDERS["chexpert"](tmp_path).root
    with pytest.raises(ConfigurationError, match="CheXpert has no label called Gout"):
        read_dataset("chexpert", root, {"labels": {"Gout": "ones"}})
    with pytest.raises(ConfigurationError, match="uncertain: Input should be 'ignore', 'zeros' or 'ones'"):
        read_dataset("chexpert", root, {"uncertain": "perhaps"})


def test_chexpert_age_zero_is_unknown(tmp_path: Path) -> None:
    root = FOLDERS["chexpert"](tmp_path).root
    line = list(chexpert_line("valid/patient64541/study1/view1_frontal.jpg", "Frontal", "AP"))
    line[2] = "0"
    header = (root / "valid.csv").read_text("utf-8").splitlines()[0].split(",")
    table(root / "valid.csv", [header, line])
    assert rows_of("chexpert", root)[3].age_years is None


# --- Kermany, NIH ---


def test_kermany_warns_of_its_val_part_and_says_what_to_do(tmp_path: Path) -> None:
    (note,) = read_dataset("kermany", FOLDERS["kermany"](tmp_path).root).notes
    assert note.startswith(
        "The owner's val part has 1 pictures, too few to choose by: split by person instead"
    )


def test_nih_of_2020_says_sex(tmp_path: Path) -> None:
    made = FOLDERS["nih"](tmp_path)
    listing = tmp_path / "Data_Entry_2017_v2020.csv"
    (tmp_path / made.listing).rename(listing)
    listing.write_text(listing.read_text("utf-8").replace("Patient Gender", "Patient Sex"), "utf-8")
    assert [row.sex for row in rows_of("nih", tmp_path)] == ["M", "M", "F", "F"]


def test_nih_refuses_a_picture_in_both_lists(tmp_path: Path) -> None:
    FOLDERS["nih"](tmp_path)
    (tmp_path / "test_list.txt").write_text("00000003_000.png\n\n00000001_000.png\n", "utf-8")
    with pytest.raises(LabelFileError, match=r"test_list\.txt, line 3: a picture that was listed before"):
        read_dataset("nih", tmp_path)


# --- SIIM ---


def test_siim_masks_run_down_the_columns(tmp_path: Path) -> None:
    row = rows_of("siim", FOLDERS["siim"](tmp_path).root)[1]
    mask = rle.decode(row.lesions[0], 12, 16)
    # "5 2 10 3": pixels 5 and 6 of the first column, then 17 to 19, which are 5 to 7 of the second one.
    assert sorted(zip(*np.nonzero(mask), strict=True)) == [(5, 0), (5, 1), (6, 0), (6, 1), (7, 1)]


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_a_mask_reads_back(height: int, width: int, data: st.DataObject) -> None:
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width)))
    mask = mask.reshape(height, width)
    flat = np.concatenate([[False], mask.T.reshape(-1), [False]]).astype(int)
    starts, ends = np.flatnonzero(np.diff(flat) == 1), np.flatnonzero(np.diff(flat) == -1)
    passed = starts - np.concatenate([[0], ends[:-1]]) if len(starts) else starts
    text = " ".join(f"{p} {n}" for p, n in zip(passed, ends - starts, strict=True)) or rle.NONE
    assert rle.fits(text, height * width)
    np.testing.assert_array_equal(rle.decode(text, height, width), mask)


@pytest.mark.parametrize("text", ["0 13", "5 2 10", "12 1", "-3 2"])
def test_a_mask_that_leaves_the_picture(text: str) -> None:
    with pytest.raises(ValueError):
        rle.decode(text, 3, 4)


def test_siim_no_mask_beside_a_mask_is_refused(tmp_path: Path) -> None:
    root = FOLDERS["siim"](tmp_path).root
    with (root / "train-rle.csv").open("a", encoding="utf-8") as file:
        file.write("1.2.4,40 3\n1.2.1,0 3\n")
    with pytest.raises(LabelFileError, match="line 2: no mask, where another line has one"):
        read_dataset("siim", root)


def test_siim_facts_come_from_the_headers(tmp_path: Path) -> None:
    row = rows_of("siim", FOLDERS["siim"](tmp_path).root)[0]
    assert (row.view, row.age_years, row.sex, row.patient) == (View.AP, 63.0, "F", "siim:P-40")


def test_pictures_without_a_line_are_told(tmp_path: Path) -> None:
    root = FOLDERS["siim"](tmp_path).root
    picture(root / "dicom-images-train/x/y/1.2.9.dcm", 90)
    notes = read_dataset("siim", root).notes
    assert "1 pictures have no line in train-rle.csv and are left out." in notes


# --- RSNA ---


def test_rsna_boxes_and_patients(tmp_path: Path) -> None:
    root = FOLDERS["rsna"](tmp_path).root
    rows = rows_of("rsna", root)
    (box,) = rows[1].boxes
    assert (box.label, box.left, box.top, box.width, box.height) == (
        "Lung Opacity",
        4 / 16,
        3 / 12,
        8 / 16,
        6 / 12,
    )
    assert rows[0].patient == rows[1].patient == "rsna:nih:7"
    (root / "pneumonia-challenge-dataset-mappings_2018.json").unlink()
    alone = read_dataset("rsna", root)
    assert len({row.patient for row in alone.rows}) == 4
    assert any("A picture counts as a patient of its own" in note for note in alone.notes)


def test_rsna_another_class_for_the_same_picture_is_refused(tmp_path: Path) -> None:
    root = FOLDERS["rsna"](tmp_path).root
    classes = root / "stage_2_detailed_class_info.csv"
    lines = classes.read_text("utf-8").splitlines()
    classes.write_text("\n".join([*lines[:-1], lines[-1].replace("Lung Opacity", "Normal")]), "utf-8")
    with pytest.raises(LabelFileError, match="line 6: another class than before"):
        read_dataset("rsna", root)


# --- VinDr-CXR ---


@pytest.mark.parametrize(
    ("agreement", "heart", "fluid", "nothing"), [("any", 1, 1, 1), ("majority", 1, 0, 0), ("all", 0, 0, 0)]
)
def test_vindr_readers_who_differ(
    tmp_path: Path, agreement: str, heart: int, fluid: int, nothing: int
) -> None:
    # Of three readers two saw a large heart, one of these fluid as well, and the third nothing.
    labels = rows_of("vindr", FOLDERS["vindr"](tmp_path).root, agreement=agreement)[0].labels
    assert (labels["Cardiomegaly"], labels["Effusion"], labels["No Finding"]) == (heart, fluid, nothing)


def test_vindr_boxes_know_their_reader_and_the_pictures_size(tmp_path: Path) -> None:
    boxes = rows_of("vindr", FOLDERS["vindr"](tmp_path).root)[0].boxes
    assert [(box.label, box.reader) for box in boxes] == [
        ("Cardiomegaly", "R1"),
        ("Cardiomegaly", "R2"),
        ("Effusion", "R2"),
    ]
    assert (boxes[0].left, boxes[0].top, boxes[0].width, boxes[0].height) == (4 / 16, 3 / 12, 8 / 16, 6 / 12)


def test_vindr_as_the_competition_lays_it_out(tmp_path: Path) -> None:
    root = FOLDERS["vindr"](tmp_path).root
    (root / "annotations/annotations_train.csv").rename(root / "train.csv")
    for path in (root / "annotations").iterdir():
        path.unlink()
    rows = {row.image: row for row in rows_of("vindr", root)}
    # Labels come from the boxes of each reader: two of two drew the heart, one of two the fluid.
    assert rows["train/aa.dicom"].labels["Cardiomegaly"] == 1
    assert rows["train/aa.dicom"].labels["Effusion"] == 0
    assert rows["train/bb.dicom"].labels["No Finding"] == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("aa,R1,Gout,1,1,2,2", "an unknown class_name"),
        ("aa,R1,ILD,,,,", "a finding without a box"),
        ("aa,R1,ILD,5,1,4,2", "a box without an inside"),
        ("aa,R1,ILD,5,1,18,2", "a box leaves the picture"),
        ("aa,R1,ILD,nan,1,18,2", "x_min is no number"),
    ],
)
def test_vindr_wrong_boxes(tmp_path: Path, line: str, words: str) -> None:
    root = FOLDERS["vindr"](tmp_path).root
    with (root / "annotations/annotations_train.csv").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(LabelFileError, match=rf"annotations_train\.csv, line 7: {words}"):
        read_dataset("vindr", root)


# --- DICOM headers ---


def test_a_header_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 50)
    with pytest.raises(UnreadableError, match=r"The header of a\.dcm cannot be read"):
        facts_of(tmp_path / "a.dcm")


def test_dicom_is_learnt_from_as_it_is_read(tmp_path: Path) -> None:
    pixels = dicom_files.ramp(20, 30, 255).astype(np.uint8)
    made = dicom_files.dataset(pixels, WindowCenter=127.5, WindowWidth=256)
    negative = dicom_files.dataset(
        255 - pixels, PhotometricInterpretation="MONOCHROME1", WindowCenter=127.5, WindowWidth=256
    )
    for name, data in (("a.dcm", made), ("b.dcm", negative)):
        (tmp_path / name).write_bytes(dicom_files.encode(data))
    (tmp_path / "c.png").write_bytes(dicom_files.png(pixels))
    plain = read_grey(tmp_path / "c.png")
    np.testing.assert_allclose(read_grey(tmp_path / "a.dcm"), plain, atol=0.003)
    np.testing.assert_allclose(read_grey(tmp_path / "b.dcm"), plain, atol=0.006)


# --- folders and tables ---


def test_folder_patients_by_their_names(tmp_path: Path) -> None:
    root = FOLDERS["folder"](tmp_path).root
    rows = rows_of("folder", root, patient=r"^(p\d+)_")
    assert [row.patient for row in rows] == ["folder:p1", "folder:p2", "folder:p1", "folder:p3"]
    with pytest.raises(ConfigurationError, match=r"patient: .*is no regular expression"):
        read_dataset("folder", root, {"patient": "("})


def test_folders_of_another_shape_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a/b/c/d.png", 1)
    with pytest.raises(NotFoundError, match="does not hold one folder of pictures a class"):
        read_dataset("folder", tmp_path)


def test_csv_columns_are_guessed(tmp_path: Path) -> None:
    made = FOLDERS["csv"](tmp_path)
    guessed, chosen = read_dataset("csv", tmp_path), read_dataset("csv", tmp_path, made.options)
    assert guessed.rows == chosen.rows
    assert guessed.labels == ("pneumonia", "Mass")
    assert [row.view for row in guessed.rows] == [View.PA, View.AP, View.LATERAL, None]
    assert [row.age_years for row in guessed.rows] == [60, None, 61, 2.5]
    assert guessed.rows[3].official is Part.REPORT


def test_csv_with_one_column_of_names(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", [("file", "finding"), ("1.png", "Mass|Infiltrate"), ("2.png", "none")])
    for number in (1, 2):
        picture(tmp_path / f"{number}.png", number)
    dataset = read_dataset("csv", tmp_path)
    assert dataset.labels == ("Infiltration", "Mass", "none")
    assert dataset.rows[0].labels == {"Infiltration": 1.0, "Mass": 1.0, "none": 0.0}
    assert any("counts as a patient of its own" in note for note in dataset.notes)


def test_csv_says_what_it_cannot_tell(tmp_path: Path) -> None:
    table(tmp_path / "t.csv", [("where", "what"), ("1.png", "x")])
    with pytest.raises(
        ConfigurationError, match=r"which column of t\.csv names the pictures\. Choose .*where, what"
    ):
        read_dataset("csv", tmp_path)
    with pytest.raises(ConfigurationError, match=r"No column of t\.csv looks like labels"):
        read_dataset("csv", tmp_path, {"path": "where"})
    with pytest.raises(ConfigurationError, match=r"t\.csv has no column named here"):
        read_dataset("csv", tmp_path, {"path": "here"})
    table(tmp_path / "u.csv", [("where", "what"), ("1.png", "x")])
    with pytest.raises(
        ConfigurationError, match=r"holds 2 tables\. Choose one with the option file: t\.csv, u\.csv"
    ):
        read_dataset("csv", tmp_path)
    with pytest.raises(NotFoundError):
        read_dataset("csv", tmp_path, {"file": "../t.csv"})


def test_torchxrayvision_must_be_told_which(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 1)
    with pytest.raises(ConfigurationError, match=r"must name one of .* Choose one of NIH_Dataset"):
        read_dataset("torchxrayvision", tmp_path)
