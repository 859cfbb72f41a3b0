"""Label files, read with care: a wrong one is refused with the line that is wrong (G23)."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from cxrviewer.errors import LabelFileError, NotFoundError

MAX_REPORTED = 5


def read_table(path: Path, required: Sequence[str]) -> list[tuple[int, Mapping[str, str]]]:
    """(line number, row) for every line of a CSV file with a header.

    Raises NotFoundError, or LabelFileError where columns are missing or a line has another number of fields.
    """
    if not path.is_file():
        raise NotFoundError(f"The label file {path.name} is missing.", "Point at the folder that holds it.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return list(_rows(csv.reader(file), path.name, required))
    except (UnicodeDecodeError, csv.Error) as exc:
        raise LabelFileError(
            f"{path.name} is not a CSV file in UTF-8.", "Save it again as CSV, UTF-8."
        ) from exc


def _rows(
    reader: Iterator[list[str]], name: str, required: Sequence[str]
) -> Iterator[tuple[int, Mapping[str, str]]]:
    header = next(reader, None)
    if header is None:
        raise LabelFileError(f"{name} is empty.", "A header line with column names is needed.")
    absent = [column for column in required if column not in header]
    if absent:
        raise LabelFileError(
            f"{name}, line 1: no column named {', '.join(absent)}.", "Add it, or choose the right file."
        )
    wrong: list[int] = []
    for number, fields in enumerate(reader, start=2):
        if not fields:
            continue
        if len(fields) != len(header):
            wrong.append(number)
            continue
        yield number, dict(zip(header, fields, strict=True))
    refuse(name, wrong, f"expected {len(header)} fields")


def refuse(name: str, lines: Sequence[int] | NDArray[np.int64], what: str) -> None:
    """Raise LabelFileError naming the first wrong lines; do nothing where there are none."""
    if len(lines):
        shown = ", ".join(str(line) for line in lines[:MAX_REPORTED])
        more = f" and {len(lines) - MAX_REPORTED} more" if len(lines) > MAX_REPORTED else ""
        raise LabelFileError(f"{name}, line {shown}{more}: {what}.", "Correct or remove these lines.")


def refuse_pictures(name: str, root: Path, pictures: Sequence[tuple[int, str]]) -> None:
    """Raise LabelFileError where a line's picture lies outside the folder, or stood in an earlier line."""
    refuse(name, [n for n, path in pictures if not inside(root, path)], "a picture outside the folder")
    first = {path: n for n, path in reversed(pictures)}
    refuse(name, [n for n, path in pictures if first[path] != n], "a picture that was named before")


def inside(root: Path, relative: str) -> bool:
    """True where a label file's path stays below the folder, textually and after links are followed."""
    pure = PurePosixPath(relative.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or "\x00" in relative:
        return False
    return (root / pure).resolve().is_relative_to(root.resolve())
