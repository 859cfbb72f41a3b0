"""SIIM-ACR Pneumothorax Segmentation (2019): DICOM and run-length masks, drawn by radiologists on ChestX-ray14.

Reads both editions: `train-rle.csv` beside `dicom-images-train/STUDY/SERIES/IMAGE.dcm`, and `stage_2_train.csv`
beside `stage_2_images/IMAGE.dcm`. A picture with several areas has several lines.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePosixPath

import numpy as np

from cxrviewer.datasets import rle
from cxrviewer.datasets.columns import Table, repeated
from cxrviewer.datasets.dataset import Dataset, Row
from cxrviewer.datasets.dicom_header import facts_of_all
from cxrviewer.datasets.files import files_below, find
from cxrviewer.datasets.label_file import read_columns
from cxrviewer.errors import NotFoundError

LABEL = "Pneumothorax"
LABELS = (LABEL,)
LICENCE = "rules of the SIIM-ACR Pneumothorax Segmentation competition; pictures: NIH Clinical Center"
CITATION = "SIIM-ACR Pneumothorax Segmentation, 2019; pictures: Wang et al., ChestX-ray8, CVPR 2017"
LISTINGS = ("train-rle.csv", "stage_2_train.csv")
IMAGE, RUNS = "ImageId", "EncodedPixels"
NOTE = (
    "The pictures come from ChestX-ray14: do not train on one of the two and measure on the other without "
    "comparing their pictures."
)


def read(root: Path) -> Dataset:
    """The folder's pictures. Raises NotFoundError, UnreadableError or LabelFileError (with line numbers)."""
    listing = next((root / name for name in LISTINGS if (root / name).is_file()), None)
    if listing is None:
        raise NotFoundError(
            f"Neither {' nor '.join(LISTINGS)} was found.", "Point at the folder that holds the label file."
        )
    table = read_columns(listing, (IMAGE, RUNS))
    hashes = table.hashes(IMAGE)
    _check(table, hashes)
    folder = files_below(root)
    files = {PurePosixPath(path).stem: path for path in folder.pictures() if path.endswith(".dcm")}
    found = find(table, IMAGE, hashes, files)
    lesions: dict[str, list[str]] = defaultdict(list)
    for path, runs in zip(found.paths, table.at(RUNS, found.rows), strict=True):
        if runs.strip() != rle.NONE:
            lesions[path].append(runs.strip())
    paths = list(dict.fromkeys(found.paths))
    facts = facts_of_all(root, paths)
    sizes = {path: fact.rows * fact.columns for path, fact in zip(paths, facts, strict=True)}
    too_far = np.zeros(len(table), np.bool_)
    too_far[found.rows] = [
        any(not rle.fits(runs, sizes[path]) for runs in lesions.get(path, ())) for path in found.paths
    ]
    table.refuse(too_far, "a mask leaves the picture")
    rows = []
    for path, fact in zip(paths, facts, strict=True):
        patient = f"siim:{fact.patient or PurePosixPath(path).stem}"
        rows.append(
            Row(
                image=path,
                patient=patient,
                group=patient,
                labels={LABEL: float(path in lesions)},
                view=fact.view,
                age_years=fact.age_years,
                sex=fact.sex,
                lesions=tuple(lesions.get(path, ())),
            )
        )
    unlabelled = len(files) - len(rows)
    notes = (f"{unlabelled} pictures have no line in {listing.name} and are left out.",) if unlabelled else ()
    return Dataset(
        "siim",
        root,
        tuple(rows),
        LABELS,
        tuple(dict.fromkeys(found.missing)),
        LICENCE,
        CITATION,
        (NOTE, *notes, *folder.notes),
    )


def _check(table: Table, hashes: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    negative = table.matches(RUNS, r"^\s*-1\s*$")
    marked = set(hashes[~negative].tolist())
    both = negative & np.fromiter((number in marked for number in hashes.tolist()), np.bool_, len(hashes))
    for what, wrong in {
        "a picture without a name": table.empty(IMAGE),
        "a name that is a path": table.matches(IMAGE, r"[/\\]|^\.+$|\x00"),
        f"{RUNS} is neither -1 nor pairs of numbers": ~table.matches(RUNS, rle.PATTERN),
        "the same mask of the same picture as before": repeated(hashes * 31 + table.hashes(RUNS)),
        "no mask, where another line has one": both,
    }.items():
        table.refuse(wrong, what)
