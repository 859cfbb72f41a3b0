"""Any table of pictures: one line a picture, columns chosen by name, or guessed where nothing is chosen."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import field_validator

from cxrviewer.datasets.columns import Coded, Mask, Places, Table, repeated
from cxrviewer.datasets.dataset import Dataset, Row
from cxrviewer.datasets.files import files_below, find
from cxrviewer.datasets.folders import PARTS, label_of
from cxrviewer.datasets.label_file import header_of, read_columns
from cxrviewer.datasets.options import Options
from cxrviewer.errors import ConfigurationError, NotFoundError
from cxrviewer.studies.radiograph import View

USUAL = {
    "path": (
        "path",
        "image",
        "filename",
        "file",
        "image_path",
        "image path",
        "file_name",
        "filepath",
        "image index",
    ),
    "patient": ("patient", "patient_id", "patientid", "patient id", "subject_id", "subject"),
    "view": ("view", "view position", "view_position", "viewposition", "projection"),
    "age": ("age", "patient age", "patient_age", "age_years"),
    "sex": ("sex", "gender", "patient sex", "patient gender", "patient_sex"),
    "split": ("split", "part", "set", "fold"),
    "labels": ("label", "labels", "finding", "findings", "class", "finding labels", "diagnosis"),
}
"""Column names that are taken where none is chosen, in any case of letters."""
STATED = {"1": 1.0, "1.0": 1.0, "0": 0.0, "0.0": 0.0, "": None}
VIEWS = {
    "PA": View.PA, "AP": View.AP, "LATERAL": View.LATERAL, "L": View.LATERAL, "LL": View.LATERAL, "RL": View.LATERAL,
    "OTHER": View.OTHER, "": None,
}  # fmt: skip
LOOKED_AT = 1000
"""Lines by which columns of labels are guessed."""
MAX_AGE = 120
NOTE = "No column names the patients: a picture counts as a patient of its own."
MEANING: dict[str, Callable[[str], Any]] = {
    "view": lambda text: VIEWS[text.upper()],
    "age": lambda text: float(text) if text else None,
    "sex": lambda text: text.upper()[:1] or None,
    "split": lambda text: PARTS[text.lower()] if text else None,
}
"""What a text in one of these columns says."""
KNOWN: dict[str, frozenset[str]] = {
    "view": frozenset(VIEWS),
    "sex": frozenset(("M", "F", "O", "MALE", "FEMALE", "OTHER", "")),
    "split": frozenset((*(name.upper() for name in PARTS), "")),
}
_AGE = re.compile(r"(\d{1,3}(\.\d+)?)?")


class CsvOptions(Options):
    """Column names; an empty one is guessed. file: which table, where the folder holds several.

    labels: columns of 1, 0 and empty (not stated), or one column with names, several of them joined by `|`.
    """

    file: str = ""
    path: str = ""
    patient: str = ""
    labels: tuple[str, ...] = ()
    view: str = ""
    age: str = ""
    sex: str = ""
    split: str = ""

    @field_validator("labels", mode="before")
    @classmethod
    def _one_text(cls, value: object) -> object:
        """`A,B` from a command line."""
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


@dataclass(frozen=True)
class _Columns:
    """What was chosen and what was guessed; empty: there is none. named: `labels` is one column of names."""

    path: str
    patient: str
    view: str
    age: str
    sex: str
    split: str
    labels: tuple[str, ...]
    named: bool


def read(root: Path, options: Options | None = None) -> Dataset:
    """The table's pictures. Raises NotFoundError, ConfigurationError or LabelFileError (with line numbers)."""
    given = options if isinstance(options, CsvOptions) else CsvOptions()
    listing = _listing(root, given.file)
    columns = _choose(listing, given)
    facts = {key: name for key in MEANING if (name := getattr(columns, key))}
    texts = [name for name in (columns.path, columns.patient) if name]
    table = read_columns(listing, texts, [*facts.values(), *columns.labels])
    hashes = table.hashes(columns.path)
    _check(table, columns, facts, repeated(hashes))
    folder = files_below(root)
    found = find(table, columns.path, hashes, {path: path for path in folder.paths})
    if columns.named:
        vocabulary, meant = _named(table.coded[columns.labels[0]], found.rows)
    else:
        vocabulary, meant = tuple(map(label_of, columns.labels)), _flags(table, columns.labels, found.rows)
    patients = table.at(columns.patient, found.rows) if columns.patient else found.paths
    known = {key: table.coded[name].at(found.rows, MEANING[key]) for key, name in facts.items()}
    nothing = [None] * len(found.rows)
    view, age, sex, part = (known.get(key, nothing) for key in MEANING)
    rows = []
    for index, (path, name) in enumerate(zip(found.paths, patients, strict=True)):
        patient = f"csv:{name.strip()}"
        rows.append(
            Row(
                image=path,
                patient=patient,
                group=patient,
                labels=meant[index],
                view=view[index],
                age_years=age[index],
                sex=sex[index],
                official=part[index],
            )
        )
    notes = (*(() if columns.patient else (NOTE,)), *folder.notes)
    return Dataset("csv", root, tuple(rows), vocabulary, found.missing, notes=notes)


def _listing(root: Path, file: str) -> Path:
    tables = {path.name: path for path in sorted(root.glob("*.csv"))}
    if file and file not in tables:
        raise NotFoundError("There is no table of that name in the folder.", "Name one that ends in .csv.")
    if not tables:
        raise NotFoundError("No table that ends in .csv was found.", "Point at the folder that holds one.")
    if not file and len(tables) > 1:
        raise ConfigurationError(
            f"The folder holds {len(tables)} tables.",
            f"Choose one with the option file: {', '.join(tables)}.",
        )
    return tables[file] if file else next(iter(tables.values()))


def _choose(listing: Path, given: CsvOptions) -> _Columns:
    """Columns by name, by the usual names, and for labels by what the first lines hold."""
    header = header_of(listing)
    wanted = [
        name
        for name in (*(getattr(given, key) for key in ("path", "patient", *MEANING)), *given.labels)
        if name
    ]
    if absent := [name for name in wanted if name not in header]:
        raise ConfigurationError(
            f"{listing.name} has no column named {', '.join(absent)}.", f"Columns: {', '.join(header)}."
        )
    with listing.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        lines = [fields for fields in islice(csv.reader(file), 1, LOOKED_AT) if len(fields) == len(header)]
    seen = {name: {fields[place].strip() for fields in lines} for place, name in enumerate(header)}

    def usual(key: str) -> str:
        fits = (name for name in header if name.lower() in USUAL[key] and name not in wanted)
        return next((name for name in fits if all(_means(key, value) for value in seen[name])), "")

    keys = {key: getattr(given, key) or usual(key) for key in ("path", "patient", *MEANING)}
    if not keys["path"]:
        raise ConfigurationError(
            f"It cannot be told which column of {listing.name} names the pictures.",
            f"Choose it with the option path: {', '.join(header)}.",
        )
    taken = set(keys.values())
    flags = [
        name
        for name in header
        if name and name not in taken and {"0", "1", "0.0", "1.0"} & seen[name] and seen[name] <= set(STATED)
    ]
    labels = given.labels or tuple(flags) or tuple(filter(None, [usual("labels")]))
    if not labels:
        raise ConfigurationError(
            f"No column of {listing.name} looks like labels.",
            "Choose columns of 1, 0 and empty, or one of names, with the option labels.",
        )
    named = len(labels) == 1 and not seen[labels[0]] <= set(STATED)
    return _Columns(**keys, labels=labels, named=named)


def _means(key: str, text: str) -> bool:
    """True where a text can stand in a column of that kind."""
    if key == "age":
        return bool(_AGE.fullmatch(text)) and float(text or 0) <= MAX_AGE
    if key in KNOWN:
        return text.upper() in KNOWN[key]
    return True


def _check(table: Table, columns: _Columns, facts: Mapping[str, str], again: Mask) -> None:
    table.refuse(table.empty(columns.path), "a picture without a name")
    table.refuse(table.leaving(columns.path), "a path outside the folder")
    table.refuse(again, "a picture that was named before")
    if columns.patient:
        table.refuse(table.empty(columns.patient), "a picture without a patient")
    for key, name in facts.items():
        allowed = ", ".join(filter(None, KNOWN.get(key, ()))) or f"a number up to {MAX_AGE}"
        wrong = table.coded[name].where(lambda text, key=key: not _means(key, text))  # type: ignore[misc]
        table.refuse(wrong, f"{name} is not one of: {allowed}")
    for name in columns.labels:
        if columns.named:
            table.refuse(table.coded[name].where(lambda text: not text), "a picture without a label")
        else:
            table.refuse(
                table.coded[name].where(lambda text: text not in STATED), f"{name} is none of 1, 0 and empty"
            )


def _flags(table: Table, names: Sequence[str], rows: Places) -> list[dict[str, float]]:
    """What is stated, row by row; rows that state the same share one mapping."""
    labels = [label_of(name) for name in names]
    columns = [table.coded[name].at(rows, STATED.__getitem__) for name in names]
    shared: dict[tuple[float | None, ...], dict[str, float]] = {}
    for values in zip(*columns, strict=True):
        if values not in shared:
            shared[values] = {k: v for k, v in zip(labels, values, strict=True) if v is not None}
    return [shared[values] for values in zip(*columns, strict=True)]


def _named(column: Coded, rows: Places) -> tuple[tuple[str, ...], list[dict[str, float]]]:
    """Every name in the table is a label, stated for every picture."""
    names = {value: {label_of(part) for part in value.split("|") if part.strip()} for value in column.values}
    vocabulary = tuple(sorted(set().union(*names.values())))

    def meaning(value: str) -> dict[str, float]:
        return {label: float(label in names[value]) for label in vocabulary}

    return vocabulary, column.at(rows, meaning)
