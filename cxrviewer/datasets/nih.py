"""ChestX-ray14 (Wang et al., CVPR 2017): 14 labels text-mined from reports, so noisy; mostly adults, one centre.

Reads the owner's layout (`Data_Entry_2017*.csv`, `images*/`, `BBox_List_2017.csv`, `train_val_list.txt` and
`test_list.txt`) and the small one with `labels.csv`, `boxes.csv` and lists of experts' labels beside `images/`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from cxrviewer.datasets.columns import Mask, Table, among, repeated
from cxrviewer.datasets.dataset import ABNORMAL, NO_FINDING, Box, Dataset, Part, Row
from cxrviewer.datasets.files import files_below, find
from cxrviewer.datasets.label_file import header_of, read_columns
from cxrviewer.datasets.tables import read_table, refuse
from cxrviewer.errors import NotFoundError
from cxrviewer.labels import NIH_14, PNEUMONIA, canonical
from cxrviewer.studies.radiograph import View

LABELS = (*NIH_14, PNEUMONIA, ABNORMAL)
LICENCE = "free use with acknowledgement of the NIH Clinical Center"
CITATION = "Wang et al., ChestX-ray8, CVPR 2017; experts' labels: Majkowska et al. 2020, Tang et al. 2020"
EXPERT_LISTS = ("expert_google2019.csv", "normal_abnormal_cadlab.csv")
OFFICIAL_LISTS = {"train_val_list.txt": Part.TRAIN, "test_list.txt": Part.REPORT}

MAX_AGE = 120
OWNER_SIDE = 1024
"""The owner's boxes are pixels of the release with this side."""

FINDINGS, AGE, VIEW, PATIENT = "Finding Labels", "Patient Age", "View Position", "Patient ID"
SEXES = ("Patient Gender", "Patient Sex")
"""The edition of 2020 renamed the column."""

_VIEWS = {"PA": View.PA, "AP": View.AP}
_UNITS = {"Y": 1.0, "M": 12.0, "D": 365.25}
_SLACK = 0.01
"""Published boxes may end a rounding error outside the picture."""
_IMAGES = re.compile(r"images[^/]*/")
_AGE = re.compile(r"\d{1,3}[YMD]?")


def labels_of(names: list[str]) -> dict[str, float]:
    """All 14 are stated. The binary head learns pneumonia against no finding; others leave it unstated."""
    labels = {label: float(label in names) for label in NIH_14}
    labels[ABNORMAL] = float(names != [NO_FINDING])
    if "Pneumonia" in names or names == [NO_FINDING]:
        labels[PNEUMONIA] = float("Pneumonia" in names)
    return labels


def read(root: Path) -> Dataset:
    """The folder's pictures. Raises NotFoundError or LabelFileError (with line numbers)."""
    listing = _label_file(root)
    header = header_of(listing)
    # The file's name: a re-encoded copy may have another ending than the owner's `Image Index`.
    name = "filename" if "filename" in header else "Image Index"
    sex = next((column for column in SEXES if column in header), SEXES[0])
    table = read_columns(listing, (name, PATIENT), (FINDINGS, AGE, sex, VIEW))
    hashes = table.hashes(name)
    _check(table, name, repeated(hashes))
    folder = files_below(root)
    files = {path.rsplit("/", 1)[-1]: path for path in folder.paths if _IMAGES.match(path)}
    boxes, official = _boxes(root), _official(root)
    marked = np.flatnonzero(among(hashes, {*_experts(root), *boxes}))
    patients_with_expert = set(table.at(PATIENT, marked))
    found = find(table, name, hashes, files)
    columns = zip(
        found.paths,
        table.at(PATIENT, found.rows),
        table.coded[FINDINGS].at(found.rows, lambda text: labels_of(_names(text))),
        table.coded[VIEW].at(found.rows, _VIEWS.get),
        table.coded[AGE].at(found.rows, _age),
        table.coded[sex].at(found.rows, lambda text: text or None),
        strict=True,
    )
    rows = []
    for path, number, labels, view, age, of_sex in columns:
        patient, picture = f"nih:{int(number)}", path.rsplit("/", 1)[-1]
        rows.append(
            Row(
                image=path,
                patient=patient,
                group=patient,
                labels=labels,
                view=view,
                age_years=age,
                sex=of_sex,
                boxes=tuple(boxes.get(picture, ())),
                expert=number in patients_with_expert,
                official=official.get(picture),
            )
        )
    return Dataset("nih", root, tuple(rows), LABELS, found.missing, LICENCE, CITATION, folder.notes)


def _label_file(root: Path) -> Path:
    for pattern in ("Data_Entry_2017*.csv", "labels.csv"):
        if found := sorted(root.glob(pattern)):
            return found[0]
    raise NotFoundError(
        "No Data_Entry_2017*.csv was found.", "Point at the folder that holds it beside images/."
    )


def _names(text: str) -> list[str]:
    return [canonical(name) for name in text.split("|")]


def _age(text: str) -> float | None:
    """Years. The first edition writes `058Y`, `013M`, `010D`; above 120 is a typing error, so not stated."""
    number = text.rstrip("".join(_UNITS))
    years = int(number) / _UNITS.get(text[len(number) :], 1)
    return years if years <= MAX_AGE else None


def _check(table: Table, name: str, again: Mask) -> None:
    known = {*NIH_14, NO_FINDING}
    findings = table.coded[FINDINGS]
    for what, wrong in {
        "an unknown finding": findings.where(lambda text: not set(_names(text)) <= known),
        "No Finding beside a finding": findings.where(
            lambda text: "|" in text and NO_FINDING in _names(text)
        ),
        "a picture that was named before": again,
        "a picture outside the folder": table.leaving(name),
        "a picture without a name": table.empty(name),
        "a patient that is no number": ~table.matches(PATIENT, r"^\d{1,12}$"),
        "an age that is no number": table.coded[AGE].where(lambda text: not _AGE.fullmatch(text)),
    }.items():
        table.refuse(wrong, what)


def _boxes(root: Path) -> dict[str, list[Box]]:
    """Boxes by file name, from the fractions of the small layout or the pixels of the owner's."""
    small, owner = root / "boxes.csv", root / "BBox_List_2017.csv"
    if small.is_file():
        return _read_boxes(small, ["filename", "Finding Label", "x_frac", "y_frac", "w_frac", "h_frac"], 1)
    # Unquoted commas in the owner's header make four columns of `Bbox [x,y,w,h]`.
    columns = ["Image Index", "Finding Label", "Bbox [x", "y", "w", "h]"]
    return _read_boxes(owner, columns, OWNER_SIDE) if owner.is_file() else {}


def _read_boxes(path: Path, columns: list[str], side: float) -> dict[str, list[Box]]:
    name, label, *numbers = columns
    boxes: dict[str, list[Box]] = defaultdict(list)
    wrong = []
    for number, line in read_table(path, columns):
        left, top, width, height = (_fraction(line[column], side) for column in numbers)
        inside_picture = left >= 0 and top >= 0 and left + width <= 1 + _SLACK and top + height <= 1 + _SLACK
        if not (inside_picture and width > 0 and height > 0 and canonical(line[label]) in NIH_14):
            wrong.append(number)
        boxes[line[name]].append(Box(canonical(line[label]), left, top, width, height))
    refuse(path.name, wrong, "a box needs a known finding and four numbers inside the picture")
    return dict(boxes)


def _fraction(text: str, side: float) -> float:
    """NaN where the text is no number: no comparison with it is true, so the line is refused."""
    try:
        return float(text) / side
    except ValueError:
        return float("nan")


def _experts(root: Path) -> set[str]:
    paths = [root / name for name in EXPERT_LISTS if (root / name).is_file()]
    return {line["filename"] for path in paths for _, line in read_table(path, ["filename"])}


def _official(root: Path) -> dict[str, Part]:
    """The owner's parts by file name. Raises LabelFileError where a picture stands in both lists, or twice in one."""
    parts: dict[str, Part] = {}
    for listing, part in OFFICIAL_LISTS.items():
        if not (path := root / listing).is_file():
            continue
        again = []
        for number, line in enumerate(path.read_text("utf-8-sig", "replace").splitlines(), 1):
            if name := line.strip():
                if name in parts:
                    again.append(number)
                parts[name] = part
        refuse(listing, again, "a picture that was listed before")
    return parts
