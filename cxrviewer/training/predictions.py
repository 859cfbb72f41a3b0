"""`predictions.csv` of a run: what was answered on every picture of the report part, beside what its labels say.

Everything that is measured can be measured again from it, and another model compared on the same pictures.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrviewer.datasets.splits import SplitRow
from cxrviewer.errors import LabelFileError, NotFoundError
from cxrviewer.files import write_whole

PREDICTIONS = "predictions.csv"
WHO = ("dataset", "image", "patient", "group")
KINDS = ("logit", "probability", "label")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that starts so for a formula (OWASP, CSV injection)."""


def harmless(cell: str) -> str:
    """The cell as text: one that a spreadsheet would calculate gets an apostrophe in front (G12)."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _as_written(cell: str) -> str:
    """What `harmless` was given."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


@dataclass(frozen=True, eq=False)
class Predictions:
    """rows: who and which picture, N of them; logits, probabilities, labels: (N, K), columns by `names`, labels NaN
    where nothing is stated."""

    rows: tuple[SplitRow, ...]
    names: tuple[str, ...]
    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    labels: NDArray[np.float64]


def write_predictions(found: Predictions, path: Path) -> None:
    """Write by one rename."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*WHO, *(harmless(f"{name}:{kind}") for name in found.names for kind in KINDS)])
    for number, row in enumerate(found.rows):
        writer.writerow([*(harmless(getattr(row, name)) for name in WHO), *_cells(found, number)])
    write_whole(path, text.getvalue())


def _cells(found: Predictions, number: int) -> Iterator[str]:
    for k in range(len(found.names)):
        label = found.labels[number, k]
        yield f"{found.logits[number, k]:.6g}"
        yield f"{found.probabilities[number, k]:.6f}"
        yield "" if np.isnan(label) else f"{label:g}"


def read_predictions(path: Path, rows: Sequence[SplitRow]) -> Predictions:
    """Read it back; `rows` are those of the run's split, which know the part. Raises NotFoundError, LabelFileError."""
    if not path.is_file():
        raise NotFoundError(
            "The run has no predictions.csv.", "It was made by an earlier version: publish it again."
        )
    known = {(row.dataset, row.image): row for row in rows}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *lines = csv.reader(file)
        columns = [_as_written(cell) for cell in header[len(WHO) :]]
        names = tuple(cell.rsplit(":", 1)[0] for cell in columns[:: len(KINDS)])
        found = [known[_as_written(line[0]), _as_written(line[1])] for line in lines]
        cells = [[float(cell or "nan") for cell in line[len(WHO) :]] for line in lines]
        table = np.array(cells, np.float64).reshape(len(lines), len(names), len(KINDS))
    except (KeyError, ValueError, IndexError, csv.Error) as exc:
        raise LabelFileError(
            "predictions.csv does not fit the run's split.", "Publish the run again, or restore the file."
        ) from exc
    return Predictions(tuple(found), names, table[:, :, 0], table[:, :, 1], table[:, :, 2])
