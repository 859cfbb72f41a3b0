"""Paediatric chest radiographs of Kermany et al., Cell 2018 (ages one to five, one hospital).

Reads the owner's layout (`train|val|test/NORMAL|PNEUMONIA/*.jpeg`) and, where a `manifest.csv` stands beside
it, takes lung masks and near-duplicates from there.
"""

from __future__ import annotations

import re
from pathlib import Path

from cxrviewer.datasets.dataset import ABNORMAL, Dataset, Part, Row, Terms
from cxrviewer.datasets.grouping import Groups
from cxrviewer.datasets.tables import inside, read_table, refuse, refuse_pictures
from cxrviewer.errors import NotFoundError
from cxrviewer.labels import PNEUMONIA

CLASSES = {"NORMAL": 0.0, "PNEUMONIA": 1.0}
SUFFIXES = {".jpeg", ".jpg", ".png"}
BACTERIAL = "bacterial"
LABELS = (PNEUMONIA, BACTERIAL, ABNORMAL)
LICENCE = "CC BY 4.0"
CITATION = "Kermany, Zhang, Goldbaum. Mendeley Data, doi 10.17632/rscbjbr9sj; Kermany et al., Cell 2018"
AGES = (1.0, 5.0)
OWNERS_PARTS = {"train": Part.TRAIN, "val": Part.TUNE, "test": Part.REPORT}
FEWEST_VAL = 16
"""Pictures in the owner's val part."""
MASK_TERMS = Terms(
    "CC BY 4.0", "V7 Labs, covid-19-xray-dataset; the left mask covers most of the heart by design"
)

_PERSON = re.compile(r"person(\d+)", re.IGNORECASE)
_NORMAL = re.compile(r"((?:NORMAL2-)?IM-\d+)", re.IGNORECASE)


def patient_of(part: str, stem: str) -> str:
    """The person that a file name hints at; numbers are only unique within the owner's part.

    Bacterial and viral pictures of one number are taken as one person: too coarse is safe, too fine leaks.
    """
    for pattern in (_PERSON, _NORMAL):
        if match := pattern.search(stem):
            return f"kermany:{part}:{match.group(0).lower()}"
    return f"kermany:{part}:{stem.lower()}"


def labels_of(folder: str, stem: str) -> dict[str, float]:
    """Pneumonia from the folder; bacterial or viral from the name, where it says so."""
    labels = {PNEUMONIA: CLASSES[folder], ABNORMAL: CLASSES[folder]}
    for word, value in (("bacteria", 1.0), ("virus", 0.0)):
        if word in stem.lower():
            labels[BACTERIAL] = value
    return labels


def read(root: Path) -> Dataset:
    """The folder's pictures. Raises NotFoundError where no class folder stands in it."""
    manifest = root / "manifest.csv"
    rows, missing = _from_manifest(root, manifest) if manifest.is_file() else (_from_folders(root), [])
    if not rows:
        raise NotFoundError(
            "No NORMAL or PNEUMONIA folder with pictures was found.",
            "Point at the folder that holds train/NORMAL and train/PNEUMONIA.",
        )
    notes: tuple[str, ...] = ()
    val = sum(row.official is Part.TUNE for row in rows)
    if 0 < val <= FEWEST_VAL:
        notes = (
            f"The owner's val part has {val} pictures, too few to choose by: split by person instead, "
            'with "split": "patient" in the recipe, which is what is done unless it says otherwise.',
        )
    return Dataset(
        "kermany",
        root,
        tuple(rows),
        LABELS,
        tuple(missing),
        LICENCE,
        CITATION,
        notes,
        ages=AGES,
        mask_terms=MASK_TERMS if any(row.mask for row in rows) else None,
    )


def _from_folders(root: Path) -> list[Row]:
    rows = []
    for folder in sorted(root.glob("*/*")):
        if folder.name not in CLASSES or not folder.is_dir() or folder.is_symlink():
            continue
        part = folder.parent.name
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in SUFFIXES and not path.is_symlink():
                patient = patient_of(part, path.stem)
                labels = labels_of(folder.name, path.stem)
                image, official = path.relative_to(root).as_posix(), OWNERS_PARTS.get(part)
                rows.append(Row(image, patient, patient, labels, official=official))
    return rows


def _from_manifest(root: Path, manifest: Path) -> tuple[list[Row], list[str]]:
    table = read_table(manifest, ["path", "label", "mask", "dup_group"])
    refuse(
        manifest.name,
        [n for n, row in table if row["label"] not in CLASSES],
        "the label is not NORMAL or PNEUMONIA",
    )
    base = root.parent if table and table[0][1]["path"].startswith(f"{root.name}/") else root
    for column in ("path", "mask"):
        refuse(
            manifest.name,
            [n for n, row in table if not inside(base, row[column])],
            f"the {column} leaves the folder",
        )
    refuse_pictures(manifest.name, base, [(n, row["path"]) for n, row in table])
    rows, missing, groups = [], [], Groups()
    for _, line in table:
        path = base / line["path"]
        part = line.get("kaggle_split") or path.parent.parent.name
        patient = patient_of(part, path.stem)
        groups.join(path.relative_to(root).as_posix(), patient)
        if line["dup_group"]:
            groups.join(patient, f"kermany:dup:{line['dup_group']}")
    _join_near_duplicates(root, base, groups)
    for _, line in table:
        path = base / line["path"]
        image = path.relative_to(root).as_posix()
        if not path.is_file():
            missing.append(image)
            continue
        part = line.get("kaggle_split") or path.parent.parent.name
        mask = str(base / line["mask"]) if line["mask"] and (base / line["mask"]).is_file() else None
        patient = patient_of(part, path.stem)
        labels, official = labels_of(line["label"], path.stem), OWNERS_PARTS.get(part)
        rows.append(Row(image, patient, groups.of(patient), labels, mask=mask, official=official))
    return rows, missing


def _join_near_duplicates(root: Path, base: Path, groups: Groups) -> None:
    listing = root / "near_duplicates.csv"
    if listing.is_file():
        for _, pair in read_table(listing, ["a", "b"]):
            first, second = ((base / pair[side]).relative_to(root).as_posix() for side in ("a", "b"))
            groups.join(first, second)
