"""Adult COVID-19 radiographs (Hannover Medical School). All are of admitted patients with COVID-19.

Not every one shows pneumonia, and there is no negative: they only tell how often an adult picture from
elsewhere is called positive. Share-alike and unstated pictures from other sources are left out.
"""

from __future__ import annotations

from pathlib import Path

from cxrviewer.datasets.dataset import Dataset, Row
from cxrviewer.datasets.tables import read_table, refuse, refuse_pictures
from cxrviewer.labels import PNEUMONIA
from cxrviewer.studies.radiograph import View

LABELS = (PNEUMONIA,)
LICENCE = "CC BY 3.0"
CITATION = "COVID-19 Image Repository, Hannover Medical School, doi 10.6084/m9.figshare.12275009"

_VIEWS = {"pa": View.PA, "ap": View.AP}


def read(root: Path) -> Dataset:
    """The pictures at hand; the owner's table may list far more than the folder holds (`missing`)."""
    folder = root / "hannover" if (root / "hannover").is_dir() else root
    table = read_table(folder / "data.csv", ["patient_id", "image_id", "projection"])
    refuse(
        "data.csv", [n for n, line in table if not line["patient_id"].strip()], "a picture without a patient"
    )
    refuse_pictures("data.csv", folder, [(n, f"{line['image_id']}.jpg") for n, line in table])
    rows, missing = [], []
    for _, line in table:
        path = folder / f"{line['image_id']}.jpg"
        if not path.is_file():
            missing.append(path.name)
            continue
        patient = f"covid:{line['patient_id']}"
        view = _VIEWS.get(line["projection"])
        age, sex = line.get("age", ""), line.get("sex", "")
        rows.append(
            Row(
                image=path.relative_to(root).as_posix(),
                patient=patient,
                group=patient,
                labels={PNEUMONIA: 1.0},
                view=view,
                age_years=float(age) if age.isdigit() else None,
                sex=sex.upper() or None,
            )
        )
    return Dataset("covid", root, tuple(rows), LABELS, tuple(missing), LICENCE, CITATION)
