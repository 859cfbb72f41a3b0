"""Montgomery and Shenzhen tuberculosis sets of the U.S. National Library of Medicine (Jaeger et al., 2014).

Only pictures and labels are read: the masks of the Shenzhen part state no terms, so none is used from here.
"""

from __future__ import annotations

from pathlib import Path

from cxrviewer.datasets.dataset import ABNORMAL, Dataset, Row
from cxrviewer.datasets.tables import read_table, refuse, refuse_pictures

TUBERCULOSIS = "tuberculosis"
LABELS = (TUBERCULOSIS, ABNORMAL)
LICENCE = "public domain, acknowledgement asked"
CITATION = "Jaeger et al., Quant Imaging Med Surg 2014;4(6):475-477"


def read(root: Path) -> Dataset:
    """The folder's pictures, one a patient. Raises NotFoundError or LabelFileError (with line numbers)."""
    table = read_table(root / "labels.csv", ["image", "tb"])
    refuse("labels.csv", [n for n, line in table if line["tb"] not in ("0", "1")], "tb is neither 0 nor 1")
    refuse_pictures("labels.csv", root, [(n, line["image"]) for n, line in table])
    rows, missing = [], []
    for _, line in table:
        if not (root / line["image"]).is_file():
            missing.append(line["image"])
            continue
        patient = f"nlm:{Path(line['image']).stem.rsplit('_', 1)[0].lower()}"
        value = float(line["tb"])
        rows.append(Row(line["image"], patient, patient, {TUBERCULOSIS: value, ABNORMAL: value}))
    return Dataset("nlm", root, tuple(rows), LABELS, tuple(missing), LICENCE, CITATION)
