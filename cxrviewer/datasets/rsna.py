"""RSNA Pneumonia Detection Challenge (Shih et al., Radiology AI 2019): boxes by radiologists on ChestX-ray14.

Reads `stage_2_train_labels.csv`, `stage_2_detailed_class_info.csv` and `stage_2_train_images/`. A picture with several
boxes has several lines. Where the owner's mapping to ChestX-ray14 stands beside them, patients come from there.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from cxrviewer.datasets.columns import Mask, Table, repeated
from cxrviewer.datasets.dataset import ABNORMAL, Box, Dataset, Row
from cxrviewer.datasets.dicom_header import facts_of_all
from cxrviewer.datasets.files import files_below, find
from cxrviewer.datasets.label_file import read_columns
from cxrviewer.datasets.tables import read_table, refuse
from cxrviewer.errors import LabelFileError
from cxrviewer.labels import PNEUMONIA

OPACITY = "Lung Opacity"
LABELS = (PNEUMONIA, OPACITY, ABNORMAL)
LICENCE = (
    "rules of the RSNA Pneumonia Detection Challenge: non-commercial research; pictures: NIH Clinical Center"
)
CITATION = "Shih et al., Radiology: Artificial Intelligence 2019;1(1):e180041"
LISTING, CLASSES = "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"
MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"
IMAGE, TARGET, CORNERS = "patientId", "Target", ("x", "y", "width", "height")
CLASS_NAMES = ("Normal", "No Lung Opacity / Not Normal", "Lung Opacity")
SLACK = 1.0
"""Boxes may end a rounding error outside the picture, in pixels."""
NOTE = (
    "The pictures come from ChestX-ray14: do not train on one of the two and measure on the other without "
    "comparing their pictures."
)
NO_MAPPING = (
    f"A picture counts as a patient of its own, for lack of {MAPPING}: people who were examined twice may stand in "
    "two parts."
)


def read(root: Path) -> Dataset:
    """The folder's pictures. Raises NotFoundError, UnreadableError or LabelFileError (with line numbers)."""
    table = read_columns(root / LISTING, (IMAGE, *CORNERS), (TARGET,))
    hashes = table.hashes(IMAGE)
    corners = np.stack([table.numbers(name) for name in CORNERS], 1)
    _check(table, hashes, corners)
    folder = files_below(root)
    files = {PurePosixPath(path).stem: path for path in folder.pictures("stage_2_train_images/")}
    found = find(table, IMAGE, hashes, files)
    paths = list(dict.fromkeys(found.paths))
    facts = dict(zip(paths, facts_of_all(root, paths), strict=True))
    sizes = np.array([(facts[p].columns, facts[p].rows) for p in found.paths], float).reshape(-1, 2)
    outside = np.zeros(len(table), np.bool_)
    outside[found.rows] = (corners[found.rows][:, :2] + corners[found.rows][:, 2:] > sizes + SLACK).any(1)
    table.refuse(outside, "a box leaves the picture")
    boxes: dict[str, list[Box]] = {path: [] for path in paths}
    for path, corner, size in zip(found.paths, corners[found.rows], sizes, strict=True):
        if not np.isnan(corner).any():
            left, top, width, height = (float(value) for value in corner / np.tile(size, 2))
            boxes[path].append(Box(OPACITY, left, top, width, height))
    classes, patients = _classes(root), _patients(root)
    rows = []
    for path in paths:
        stem, fact = PurePosixPath(path).stem, facts[path]
        patient = f"rsna:{patients.get(stem, stem)}"
        target = float(bool(boxes[path]))
        labels = {PNEUMONIA: target, OPACITY: target}
        if stem in classes:
            labels[ABNORMAL] = float(classes[stem] != CLASS_NAMES[0])
        rows.append(
            Row(
                image=path,
                patient=patient,
                group=patient,
                labels=labels,
                view=fact.view,
                age_years=fact.age_years,
                sex=fact.sex,
                boxes=tuple(boxes[path]),
            )
        )
    notes = (NOTE, *(() if patients else (NO_MAPPING,)), *folder.notes)
    missing = tuple(dict.fromkeys(found.missing))
    return Dataset("rsna", root, tuple(rows), LABELS, missing, LICENCE, CITATION, notes)


def _check(table: Table, hashes: NDArray[np.int64], corners: NDArray[np.float64]) -> None:
    blank, target = np.isnan(corners), table.coded[TARGET]
    positive = target.where(lambda value: value == "1")
    negative = target.where(lambda value: value == "0")
    same_line = hashes.copy()
    for name in CORNERS:
        same_line = same_line * 31 + table.hashes(name)
    again = repeated(hashes)
    # A picture without a box has one line; one with boxes has no line without.
    alone = negative & (again | repeated(hashes[::-1])[::-1])
    with np.errstate(invalid="ignore"):
        empty_box: Mask = np.asarray((corners[:, :2] < 0).any(1) | (corners[:, 2:] <= 0).any(1))
    for what, wrong in {
        "a picture without a name": table.empty(IMAGE),
        "a name that is a path": table.matches(IMAGE, r"[/\\]|^\.+$|\x00"),
        f"{TARGET} is neither 0 nor 1": ~(positive | negative),
        "the same box of the same picture as before": repeated(same_line),
        "no box, where another line of the picture stands": alone,
        "a target without a box": positive & blank.any(1),
        "a box without a target": negative & ~blank.all(1),
        "a box without an inside": empty_box,
    }.items():
        table.refuse(wrong, what)


def _classes(root: Path) -> dict[str, str]:
    """Normal, abnormal otherwise, or opacity, by picture; the owner repeats a line for each box."""
    if not (root / CLASSES).is_file():
        return {}
    classes: dict[str, str] = {}
    unknown, other = [], []
    for number, line in read_table(root / CLASSES, (IMAGE, "class")):
        if line["class"] not in CLASS_NAMES:
            unknown.append(number)
        if classes.setdefault(line[IMAGE], line["class"]) != line["class"]:
            other.append(number)
    refuse(CLASSES, unknown, f"the class is none of {', '.join(CLASS_NAMES)}")
    refuse(CLASSES, other, "another class than before for the same picture")
    return classes


def _patients(root: Path) -> dict[str, str]:
    """ChestX-ray14's patient number by picture, from the owner's mapping."""
    path = root / MAPPING
    if not path.is_file():
        return {}
    try:
        entries = json.loads(path.read_bytes())
        pairs = [(str(entry["subset_img_id"]), str(entry["img_id"])) for entry in entries]
        return {image: f"nih:{int(name.split('_')[0])}" for image, name in pairs}
    except (ValueError, KeyError, TypeError) as exc:
        raise LabelFileError(f"{MAPPING} is not the owner's list.", "Fetch it again, or remove it.") from exc
