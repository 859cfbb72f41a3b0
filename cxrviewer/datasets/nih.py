"""ChestX-ray14 (Wang et al., CVPR 2017): 14 labels text-mined from reports, so noisy; mostly adults, one centre.

Reads the owner's layout (`Data_Entry_2017*.csv`, `images*/`, `BBox_List_2017.csv`) and the small one with
`labels.csv`, `boxes.csv` and lists of experts' labels beside `images/`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from cxrviewer.datasets.dataset import Box, Dataset, Row
from cxrviewer.datasets.tables import inside, read_table, refuse
from cxrviewer.errors import NotFoundError
from cxrviewer.labels import NIH_14, PNEUMONIA, canonical
from cxrviewer.studies.radiograph import View

ABNORMAL = "abnormal"
LABELS = (*NIH_14, PNEUMONIA, ABNORMAL)
LICENCE = "free use with acknowledgement of the NIH Clinical Center"
CITATION = "Wang et al., ChestX-ray8, CVPR 2017; experts' labels: Majkowska et al. 2020, Tang et al. 2020"
NO_FINDING = "No Finding"
EXPERT_LISTS = ("expert_google2019.csv", "normal_abnormal_cadlab.csv")

MAX_AGE = 120
OWNER_SIDE = 1024
"""The owner's boxes are pixels of the release with this side."""

_VIEWS = {"PA": View.PA, "AP": View.AP}
_UNITS = {"Y": 1.0, "M": 12.0, "D": 365.25}
_SLACK = 0.01
"""Published boxes may end a rounding error outside the picture."""
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
    required = [
        "Image Index",
        "Finding Labels",
        "Patient ID",
        "Patient Age",
        "Patient Gender",
        "View Position",
    ]
    table = read_table(listing, required)
    _check(root, listing.name, table)
    images = {path.name: path for path in sorted(root.glob("images*/**/*")) if path.is_file()}
    boxes, experts = _boxes(root), _experts(root)
    patients_with_expert = {
        line["Patient ID"] for _, line in table if _name(line) in experts or _name(line) in boxes
    }
    rows, missing = [], []
    for _, line in table:
        path = images.get(_name(line))
        if path is None:
            missing.append(_name(line))
            continue
        patient = f"nih:{int(line['Patient ID'])}"
        rows.append(
            Row(
                image=path.relative_to(root).as_posix(),
                patient=patient,
                group=patient,
                labels=labels_of([canonical(name) for name in line["Finding Labels"].split("|")]),
                view=_VIEWS.get(line["View Position"]),
                age_years=_age(line["Patient Age"]),
                sex=line["Patient Gender"] or None,
                boxes=tuple(boxes.get(_name(line), ())),
                expert=line["Patient ID"] in patients_with_expert,
            )
        )
    return Dataset("nih", root, tuple(rows), LABELS, tuple(missing), LICENCE, CITATION)


def _label_file(root: Path) -> Path:
    for pattern in ("Data_Entry_2017*.csv", "labels.csv"):
        if found := sorted(root.glob(pattern)):
            return found[0]
    raise NotFoundError(
        "No Data_Entry_2017*.csv was found.", "Point at the folder that holds it beside images/."
    )


def _name(line: Mapping[str, str]) -> str:
    """The file's name: a re-encoded copy may have another ending than the owner's `Image Index`."""
    return line.get("filename") or line["Image Index"]


def _age(text: str) -> float | None:
    """Years. The first edition writes `058Y`, `013M`, `010D`; above 120 is a typing error, so not stated."""
    number = text.rstrip("".join(_UNITS))
    years = int(number) / _UNITS.get(text[len(number) :], 1)
    return years if years <= MAX_AGE else None


def _check(root: Path, name: str, table: list[tuple[int, Mapping[str, str]]]) -> None:
    known = {*NIH_14, NO_FINDING}
    seen: set[str] = set()
    wrong: dict[str, list[int]] = defaultdict(list)
    for number, line in table:
        findings = [canonical(label) for label in line["Finding Labels"].split("|")]
        checks = {
            "an unknown finding": not set(findings) <= known,
            "No Finding beside a finding": NO_FINDING in findings and len(findings) > 1,
            "a picture that was named before": _name(line) in seen,
            "a picture outside the folder": not inside(root, _name(line)),
            "a patient that is no number": not line["Patient ID"].isdigit(),
            "an age that is no number": not _AGE.fullmatch(line["Patient Age"]),
        }
        seen.add(_name(line))
        for what, bad in checks.items():
            if bad:
                wrong[what].append(number)
    for what, lines in wrong.items():
        refuse(name, lines, what)


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
