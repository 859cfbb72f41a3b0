"""VinDr-CXR (Nguyen et al., Scientific Data 2022): 28 findings and boxes, each by several radiologists, adults.

Reads PhysioNet's layout (`annotations/image_labels_*.csv`, `annotations/annotations_*.csv`, `train/`, `test/`) and the
competition's (`train.csv` beside `train/`). Three people read a picture of the train part, each on their own; five
agreed on each of the test part.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from cxrviewer.datasets.columns import Table, repeated
from cxrviewer.datasets.dataset import NO_FINDING, Box, Dataset, Part, Row
from cxrviewer.datasets.dicom_header import facts_of_all
from cxrviewer.datasets.files import files_below, find
from cxrviewer.datasets.label_file import header_of, read_columns
from cxrviewer.datasets.options import Options
from cxrviewer.errors import LabelFileError, NotFoundError
from cxrviewer.labels import PNEUMONIA

NAMES = {
    "Pleural effusion": "Effusion",
    "Pleural thickening": "Pleural_Thickening",
    "Pulmonary fibrosis": "Fibrosis",
    "Other diseases": "Other disease",
    "No finding": NO_FINDING,
}
"""The owner's names -> ours. The train file says `Other diseases`, the test file `Other disease`."""
FINDINGS = (
    "Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Clavicle fracture", "Consolidation",
    "Edema", "Emphysema", "Enlarged PA", "ILD", "Infiltration", "Lung Opacity", "Lung cavity", "Lung cyst",
    "Mediastinal shift", "Nodule/Mass", "Pleural_Thickening", "Effusion", "Pneumothorax", "Fibrosis",
    "Rib fracture", "Other lesion", "COPD", "Lung tumor", "Pneumonia", "Tuberculosis", "Other disease", NO_FINDING,
)  # fmt: skip
LABELS = (*FINDINGS, PNEUMONIA)
LICENCE = "PhysioNet Credentialed Health Data License 1.5.0"
CITATION = "Nguyen et al., VinDr-CXR, Scientific Data 2022;9:429"
IMAGE, READER, CLASS, CORNERS = "image_id", "rad_id", "class_name", ("x_min", "y_min", "x_max", "y_max")
CONSENSUS = "consensus"
SLACK = 1.0
"""Boxes may end a rounding error outside the picture, in pixels."""
NOTE = "The owner gives no patient numbers: a picture counts as a patient of its own."


class VindrOptions(Options):
    """agreement: how many of a picture's readers must have named a finding for it to count."""

    agreement: Literal["any", "majority", "all"] = "majority"


@dataclass
class _Gathered:
    """Of one part: which readers saw a picture, what each named, and what they drew (in pixels, with their lines)."""

    readers: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    named: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    boxes: dict[str, list[tuple[int, str, str, tuple[float, ...]]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    missing: dict[str, None] = field(default_factory=dict)


def read(root: Path, options: Options | None = None) -> Dataset:
    """The folder's pictures. Raises NotFoundError, UnreadableError or LabelFileError (with line numbers)."""
    choice = options if isinstance(options, VindrOptions) else VindrOptions()
    folder = files_below(root)
    rows: list[Row] = []
    missing: dict[str, None] = {}
    for part in ("train", "test"):
        files = {PurePosixPath(path).stem: path for path in folder.pictures(f"{part}/")}
        labels, marks = _listings(root, part)
        if marks is None:
            continue
        gathered = _Gathered()
        if labels is not None:
            _gather_labels(labels, files, gathered)
        drawn = _gather_boxes(marks, files, gathered, votes=labels is None)
        rows += _rows(root, part, files, gathered, drawn, choice)
        missing |= gathered.missing
    if not rows and not missing:
        raise NotFoundError(
            "Neither annotations/annotations_train.csv nor train.csv was found.",
            "Point at the folder that holds them.",
        )
    notes = (NOTE, *folder.notes)
    return Dataset("vindr", root, tuple(rows), LABELS, tuple(missing), LICENCE, CITATION, notes)


def _listings(root: Path, part: str) -> tuple[Path | None, Path | None]:
    """The file of labels and the file of boxes; the competition has only the second."""
    labels = root / "annotations" / f"image_labels_{part}.csv"
    for marks in (root / "annotations" / f"annotations_{part}.csv", root / f"{part}.csv"):
        if marks.is_file() and CLASS in header_of(marks):
            return (labels if labels.is_file() else None), marks
    return None, None


def _gather_labels(path: Path, files: dict[str, str], into: _Gathered) -> None:
    header = header_of(path)
    columns = {NAMES.get(name, name): name for name in header if name not in (IMAGE, READER)}
    several = READER in header
    texts = (IMAGE, READER) if several else (IMAGE,)
    if unknown := [name for name in columns if name not in FINDINGS]:
        raise LabelFileError(
            f"{path.name}, line 1: unknown findings {', '.join(unknown)}.",
            "Correct the header, or fetch it again.",
        )
    table = read_columns(path, texts, tuple(columns.values()))
    hashes = table.hashes(IMAGE)
    _check_names(table)
    table.refuse(
        repeated(hashes * 31 + table.hashes(READER) if several else hashes), "a picture that was read before"
    )
    for label, name in columns.items():
        table.refuse(
            table.coded[name].where(lambda v: v not in ("0", "1", "0.0", "1.0")),
            f"{label} is neither 0 nor 1",
        )
    found = find(table, IMAGE, hashes, files)
    into.missing |= dict.fromkeys(found.missing)
    images = table.at(IMAGE, found.rows)
    readers = table.at(READER, found.rows) if several else [CONSENSUS] * len(images)
    for image, reader in zip(images, readers, strict=True):
        into.readers[image].add(reader)
    for label, name in columns.items():
        for image, value in zip(images, table.coded[name].at(found.rows, float), strict=True):
            into.named[image][label] += int(value)


def _gather_boxes(path: Path, files: dict[str, str], into: _Gathered, votes: bool) -> Table:
    several = READER in header_of(path)
    table = read_columns(path, (IMAGE, *((READER,) if several else ()), *CORNERS), (CLASS,))
    names, hashes = table.coded[CLASS], table.hashes(IMAGE)
    _check_names(table)
    table.refuse(names.where(lambda value: NAMES.get(value, value) not in FINDINGS), f"an unknown {CLASS}")
    corners = np.stack([table.numbers(name) for name in CORNERS], 1)
    nothing = names.where(lambda value: NAMES.get(value, value) == NO_FINDING)
    blank = np.isnan(corners)
    table.refuse(~nothing & blank.any(1), "a finding without a box")
    with np.errstate(invalid="ignore"):
        inverted = (corners[:, :2] < 0).any(1) | (corners[:, 2:] <= corners[:, :2]).any(1)
    table.refuse(~nothing & inverted, "a box without an inside")
    found = find(table, IMAGE, hashes, files)
    into.missing |= dict.fromkeys(found.missing)
    readers = table.at(READER, found.rows) if several else [CONSENSUS] * len(found.rows)
    kinds = names.at(found.rows, lambda value: NAMES.get(value, value))
    voted: set[tuple[str, str, str]] = set()
    for row, image, reader, kind in zip(found.rows, table.at(IMAGE, found.rows), readers, kinds, strict=True):
        if votes:
            into.readers[image].add(reader)
            if (image, reader, kind) not in voted:
                voted.add((image, reader, kind))
                into.named[image][kind] += 1
        if kind != NO_FINDING:
            into.boxes[image].append((int(row), kind, reader, tuple(corners[row].tolist())))
    return table


def _check_names(table: Table) -> None:
    table.refuse(table.empty(IMAGE), "a picture without a name")
    table.refuse(table.matches(IMAGE, r"[/\\]|^\.+$|\x00"), "a name that is a path")


def _rows(
    root: Path, part: str, files: dict[str, str], gathered: _Gathered, drawn: Table, choice: VindrOptions
) -> list[Row]:
    images = list(gathered.readers)
    facts = facts_of_all(root, [files[image] for image in images])
    outside = np.zeros(len(drawn), np.bool_)
    rows = []
    for image, fact in zip(images, facts, strict=True):
        width, height, boxes = float(fact.columns), float(fact.rows), []
        for line, kind, reader, (left, top, right, bottom) in gathered.boxes.get(image, ()):
            outside[line] = right > width + SLACK or bottom > height + SLACK
            span = ((right - left) / width, (bottom - top) / height)
            boxes.append(Box(kind, left / width, top / height, *span, reader=reader))
        rows.append(
            Row(
                image=files[image],
                patient=f"vindr:{image}",
                group=f"vindr:{image}",
                labels=_labels(gathered.named[image], len(gathered.readers[image]), choice),
                view=fact.view,
                age_years=fact.age_years,
                sex=fact.sex,
                boxes=tuple(boxes),
                expert=part == "test",
                official=Part.REPORT if part == "test" else Part.TRAIN,
            )
        )
    drawn.refuse(outside, "a box leaves the picture")
    return rows


def _labels(named: Counter[str], readers: int, choice: VindrOptions) -> dict[str, float]:
    """All 28 are stated. The binary head learns pneumonia against no finding; others leave it unstated."""
    enough = {"any": 1, "majority": readers // 2 + 1, "all": readers}[choice.agreement]
    labels = {name: float(named[name] >= enough) for name in FINDINGS}
    if labels["Pneumonia"] or labels[NO_FINDING]:
        labels[PNEUMONIA] = labels["Pneumonia"]
    return labels
