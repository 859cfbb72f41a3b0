"""ChestX-ray14 (Wang et al., CVPR 2017): 14 labels text-mined from reports, so noisy; adults mostly, one centre.

Reads the owner's layout (`Data_Entry_2017*.csv`, `images*/`, `BBox_List_2017.csv`) and the small one with
`labels.csv`, `boxes.csv` and lists of experts' labels beside `images/`.
"""

from __future__ import annotations

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

_VIEWS = {"PA": View.PA, "AP": View.AP}


def labels_of(names: list[str]) -> dict[str, float]:
    """All 14 are stated. The binary head learns pneumonia against no finding; other findings leave it unstated."""
    labels = {label: float(label in names) for label in NIH_14}
    labels[ABNORMAL] = float(names != [NO_FINDING])
    if "Pneumonia" in names or names == [NO_FINDING]:
        labels[PNEUMONIA] = float("Pneumonia" in names)
    return labels


def read(root: Path) -> Dataset:
    """The folder's pictures. Raises NotFoundError or LabelFileError (with line numbers)."""
    listing = _label_file(root)
    required = ["Image Index", "Finding Labels", "Patient ID", "Patient Age", "Patient Gender", "View Position"]
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
    raise NotFoundError("No Data_Entry_2017*.csv was found.", "Point at the folder that holds it beside images/.")


def _name(line: Mapping[str, str]) -> str:
    """The file's name: a re-encoded copy may have another ending than the owner's `Image Index`."""
    return line.get("filename") or line["Image Index"]


def _age(text: str) -> float | None:
    """Years. The owner's first edition writes `058Y`; above 120 is a known typing error, so not stated."""
    years = float(text.rstrip("Yy") or "nan")
    return years if 0 <= years <= 120 else None


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
            "an age that is no number": not line["Patient Age"].rstrip("Yy").isdigit(),
        }
        seen.add(_name(line))
        for what, bad in checks.items():
            if bad:
                wrong[what].append(number)
    for what, lines in wrong.items():
        refuse(name, lines, what)


def _boxes(root: Path) -> dict[str, list[Box]]:
    boxes: dict[str, list[Box]] = defaultdict(list)
    if (root / "boxes.csv").is_file():
        columns = ["filename", "Finding Label", "x_frac", "y_frac", "w_frac", "h_frac"]
        for _, line in read_table(root / "boxes.csv", columns):
            values = (float(line[column]) for column in columns[2:])
            boxes[line["filename"]].append(Box(canonical(line["Finding Label"]), *values))
    elif (root / "BBox_List_2017.csv").is_file():
        boxes.update(_owner_boxes(root / "BBox_List_2017.csv"))
    return boxes


def _owner_boxes(path: Path) -> dict[str, list[Box]]:
    """The owner's boxes are pixels of the 1024 x 1024 release; the header's last fields are unnamed."""
    boxes: dict[str, list[Box]] = defaultdict(list)
    for number, line in read_table(path, ["Image Index", "Finding Label"]):
        pixels = [value for value in list(line.values())[2:] if value][:4]
        if len(pixels) != 4:
            refuse(path.name, [number], "a box needs four numbers")
        left, top, width, height = (float(value) / 1024 for value in pixels)
        boxes[line["Image Index"]].append(Box(canonical(line["Finding Label"]), left, top, width, height))
    return boxes


def _experts(root: Path) -> set[str]:
    paths = [root / name for name in EXPERT_LISTS if (root / name).is_file()]
    return {line["filename"] for path in paths for _, line in read_table(path, ["filename"])}
