"""CheXpert (Irvin et al., AAAI 2019): 14 observations mined from reports, with `uncertain` and `not mentioned`.

Reads the owner's layout: `train.csv` and `valid.csv` beside `train/` and `valid/`, or the folder above them. Every
path in the label files begins with the name of the release.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np

from cxrviewer.datasets.columns import Coded, Mask, Names, Places, Table, repeated
from cxrviewer.datasets.dataset import NO_FINDING, Dataset, Part, Row
from cxrviewer.datasets.files import files_below, find
from cxrviewer.datasets.label_file import read_columns
from cxrviewer.datasets.options import Options
from cxrviewer.errors import ConfigurationError, NotFoundError
from cxrviewer.labels import CHEXPERT_14, PNEUMONIA
from cxrviewer.studies.radiograph import View

LABELS = (*CHEXPERT_14, PNEUMONIA)
LICENCE = "Stanford University Dataset Research Use Agreement: non-commercial research, no redistribution"
CITATION = "Irvin et al., CheXpert, AAAI 2019"

PATH, SEX, AGE, SIDE, PROJECTION = "Path", "Sex", "Age", "Frontal/Lateral", "AP/PA"
PARTS = {"train.csv": Part.TRAIN, "valid.csv": Part.REPORT}
STATED = {"1.0": 1.0, "1": 1.0, "0.0": 0.0, "0": 0.0, "-1.0": -1.0, "-1": -1.0, "": None}
UNCERTAIN = -1.0
SIDES = ("Frontal", "Lateral")
PROJECTIONS = {"AP": View.AP, "PA": View.PA, "LL": View.LATERAL, "RL": View.LATERAL, "": None}
SEXES = {"Male": "M", "Female": "F", "Unknown": None}

Policy = Literal["ignore", "zeros", "ones"]
MEANING: dict[str, float | None] = {"ignore": None, "zeros": 0.0, "ones": 1.0}
"""U-Ignore, U-Zeros and U-Ones of Irvin et al., section 3."""

_PATIENT = re.compile(r"(?:^|/)(patient\d+)/")


class ChexpertOptions(Options):
    """uncertain: what -1 means, for all labels. labels: another meaning for some of them. blank: what a cell
    without a number means; published presets take it as negative. views: lateral pictures are kept or left out."""

    uncertain: Policy = "ignore"
    labels: dict[str, Policy] = {}
    blank: Literal["ignore", "negative"] = "ignore"
    views: Literal["all", "frontal"] = "all"


def read(root: Path, options: Options | None = None) -> Dataset:
    """The folder's pictures. Raises NotFoundError, ConfigurationError or LabelFileError (with line numbers)."""
    choice = options if isinstance(options, ChexpertOptions) else ChexpertOptions()
    if unknown := set(choice.labels) - set(CHEXPERT_14):
        raise ConfigurationError(
            f"CheXpert has no label called {', '.join(sorted(unknown))}.",
            f"Labels: {', '.join(CHEXPERT_14)}.",
        )
    home = _home(root)
    listings = [home / name for name in PARTS if (home / name).is_file()]
    if not listings:
        raise NotFoundError("No train.csv was found.", "Point at the folder that holds train.csv and train/.")
    folder = files_below(home)
    rows: list[Row] = []
    missing: Names | None = None
    lateral = 0
    for listing in listings:
        table = read_columns(listing, (PATH,), (SEX, AGE, SIDE, PROJECTION, *CHEXPERT_14))
        hashes = table.hashes(PATH)
        _check(table, repeated(hashes))
        # A path begins with the release's name, whatever the folder is called here.
        release = table.at(PATH, np.arange(min(1, len(table))))
        prefix = release[0].split("/", 1)[0] + "/" if release else ""
        found = find(table, PATH, hashes, {prefix + path: path for path in folder.paths})
        below = "" if home == root else f"{home.name}/"
        made = _rows(table, found.rows, [below + path for path in found.paths], choice, PARTS[listing.name])
        kept = [row for row in made if choice.views == "all" or row.view is not View.LATERAL]
        lateral += len(made) - len(kept)
        rows += kept
        missing = found.missing if missing is None else missing.and_then(found.missing)
    notes = (f"{lateral} lateral pictures are left out, as was chosen.",) if lateral else ()
    return Dataset(
        "chexpert", root, tuple(rows), LABELS, missing or (), LICENCE, CITATION, (*folder.notes, *notes)
    )


def _home(root: Path) -> Path:
    """The folder with train.csv: the one given, or the only release in it."""
    if (root / "train.csv").is_file():
        return root
    inside = sorted(path.parent for path in root.glob("CheXpert*/train.csv"))
    return inside[0] if inside else root


def _check(table: Table, again: Mask) -> None:
    for what, wrong in {
        "a path outside the folder": table.leaving(PATH),
        "a path without patientNNNNN/": ~table.matches(PATH, _PATIENT.pattern),
        "a picture that was named before": again,
        f"{SIDE} is neither {SIDES[0]} nor {SIDES[1]}": table.coded[SIDE].where(lambda v: v not in SIDES),
        f"{PROJECTION} is none of {', '.join(filter(None, PROJECTIONS))}": table.coded[PROJECTION].where(
            lambda value: value not in PROJECTIONS
        ),
        f"{SEX} is none of {', '.join(SEXES)}": table.coded[SEX].where(lambda value: value not in SEXES),
        "an age that is no number": table.coded[AGE].where(
            lambda value: not re.fullmatch(r"\d{1,3}(\.0)?", value)
        ),
        **{
            f"{name} is none of 1, 0, -1 and empty": table.coded[name].where(
                lambda value: value not in STATED
            )
            for name in CHEXPERT_14
        },
    }.items():
        table.refuse(wrong, what)


def _rows(table: Table, chosen: Places, paths: list[str], choice: ChexpertOptions, part: Part) -> list[Row]:
    columns = [_meant(table.coded[name], chosen, name, choice) for name in CHEXPERT_14]
    sides = table.coded[SIDE].at(chosen, str)
    views = table.coded[PROJECTION].at(chosen, PROJECTIONS.__getitem__)
    ages = table.coded[AGE].at(chosen, lambda text: float(text) or None)  # 0: not known
    sexes = table.coded[SEX].at(chosen, SEXES.__getitem__)
    shared: dict[tuple[float | None, ...], dict[str, float]] = {}
    rows = []
    for index, values in enumerate(zip(*columns, strict=True)):
        if values not in shared:
            shared[values] = _labels(values)
        match = _PATIENT.search(paths[index])
        patient = f"chexpert:{match.group(1)}" if match else paths[index]
        rows.append(
            Row(
                image=paths[index],
                patient=patient,
                group=patient,
                labels=shared[values],
                view=View.LATERAL if sides[index] == SIDES[1] else views[index],
                age_years=ages[index],
                sex=sexes[index],
                # Three radiologists labelled the owner's validation part; the rest is mined from reports.
                expert=part is Part.REPORT,
                official=part,
            )
        )
    return rows


def _meant(column: Coded, chosen: Places, name: str, choice: ChexpertOptions) -> list[float | None]:
    uncertain = MEANING[choice.labels.get(name, choice.uncertain)]
    blank = 0.0 if choice.blank == "negative" else None

    def meaning(text: str) -> float | None:
        value = STATED[text]
        if value is None:
            return blank
        return uncertain if value == UNCERTAIN else value

    return column.at(chosen, meaning)


def _labels(values: tuple[float | None, ...]) -> dict[str, float]:
    """What is stated. The binary head learns pneumonia against no finding; others leave it unstated."""
    labels = {name: value for name, value in zip(CHEXPERT_14, values, strict=True) if value is not None}
    if labels.get("Pneumonia") == 1:
        labels[PNEUMONIA] = 1.0
    elif labels.get(NO_FINDING) == 1:
        labels[PNEUMONIA] = 0.0
    return labels
