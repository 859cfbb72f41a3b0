"""Big label files by columns: ten million lines in two gigabytes and a minute (benchmarks/bench_label_file.py).

Arrow parses, block by block; what it yields is gathered as `columns.Table` keeps it.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from cxrviewer.datasets.columns import Coded, Table, flags
from cxrviewer.datasets.tables import refuse
from cxrviewer.errors import LabelFileError, NotFoundError

MAX_DIFFERENT = 100_000
"""Different values in a column that should have few: more of them means that it is another column."""
MAX_CELL = 131_072
"""Bytes in one cell, the limit of Python's own reader: an unclosed quote swallows the rest of a file."""
BLOCK = 8 << 20
"""Bytes parsed at a time."""
LARGE = 64 << 20
"""Bytes of text that are put together: large pieces leave no holes in the memory that parsing goes on in."""
_SAVE_AGAIN = "Save it again as CSV, UTF-8."


def header_of(path: Path) -> tuple[str, ...]:
    """A label file's column names, without blanks around them. Raises NotFoundError or LabelFileError."""
    return tuple(name.strip() for name in _raw_header(path))


def read_columns(path: Path, texts: Sequence[str], coded: Sequence[str] = ()) -> Table:
    """Read some columns: `texts` as they are, `coded` as few different values.

    Raises NotFoundError, or LabelFileError where columns are absent or twice there, a line has another number of
    fields, a cell is too long, or the file is no UTF-8.
    """
    raw = _raw_header(path)
    places = _places(path.name, raw, (*texts, *coded))
    wrong: list[int] = []

    def pass_over(row: arrow_csv.InvalidRow) -> str:
        wrong.append(row.number)
        return "skip"

    shape = arrow_csv.ParseOptions(
        ignore_empty_lines=False,
        newlines_in_values=True,
        invalid_row_handler=pass_over,
    )
    kinds = {raw[places[name]]: pa.string() for name in texts}
    kinds |= {raw[places[name]]: pa.dictionary(pa.int32(), pa.string()) for name in coded}
    convert = arrow_csv.ConvertOptions(
        column_types=kinds, include_columns=list(kinds), strings_can_be_null=False
    )
    kept = {name: _Gathered() for name in texts}
    coders = {name: _Coder(path.name, name) for name in coded}
    blanks = _Blanks()
    try:
        with arrow_csv.open_csv(
            path, arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK), shape, convert
        ) as batches:
            for batch in batches:
                for name in texts:
                    column = batch.column(raw[places[name]])
                    _check_cells(path.name, column)
                    kept[name].add(column)
                for name, coder in coders.items():
                    coder.add(batch.column(raw[places[name]]))
                blanks.add(batch)
    except (pa.ArrowInvalid, UnicodeDecodeError) as exc:
        if "Empty CSV file or block" not in str(exc):  # a header alone is a table without rows
            raise LabelFileError(f"{path.name} is not a CSV file in UTF-8.", _SAVE_AGAIN) from exc
    refuse(path.name, sorted(wrong), f"expected {len(raw)} fields")
    columns = {name: texts_of.done() for name, texts_of in kept.items()}
    table = Table(path.name, columns, {name: coder.done() for name, coder in coders.items()}, blanks.size)
    return blanks.without(table, path)


def _raw_header(path: Path) -> list[str]:
    if not path.is_file():
        raise NotFoundError(f"The label file {path.name} is missing.", "Point at the folder that holds it.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            names = next(csv.reader(file), None)
    except (UnicodeDecodeError, csv.Error) as exc:
        raise LabelFileError(f"{path.name} is not a CSV file in UTF-8.", _SAVE_AGAIN) from exc
    if not names:
        raise LabelFileError(f"{path.name} is empty.", "A header line with column names is needed.")
    return names


def _places(name: str, raw: Sequence[str], wanted: Sequence[str]) -> dict[str, int]:
    """Where each wanted column stands."""
    names = [column.strip() for column in raw]
    for what, bad in (
        ("no column named", [column for column in wanted if column not in names]),
        ("two columns named", [column for column in wanted if names.count(column) > 1]),
    ):
        if bad:
            raise LabelFileError(
                f"{name}, line 1: {what} {', '.join(bad)}.", "Correct the header, or choose the right file."
            )
    return {column: names.index(column) for column in wanted}


class _Gathered:
    """Gathers a column of texts batch by batch, in large pieces."""

    def __init__(self) -> None:
        self._large: list[Any] = []
        self._small: list[Any] = []
        self._bytes = 0

    def add(self, part: pa.Array) -> None:
        self._small.append(part)
        self._bytes += part.nbytes
        if self._bytes >= LARGE:
            self._join()

    def done(self) -> pa.ChunkedArray:
        self._join()
        return pa.chunked_array(self._large, pa.string())

    def _join(self) -> None:
        if self._small:
            self._large.append(pa.concat_arrays(self._small, memory_pool=pa.system_memory_pool()))
        self._small, self._bytes = [], 0


class _Coder:
    """Gathers a column batch by batch, in the smallest numbers that hold its codes."""

    def __init__(self, file: str, column: str) -> None:
        self._file, self._column = file, column
        self._known: dict[str, int] = {}
        self._parts: list[NDArray[Any]] = []

    def add(self, part: pa.DictionaryArray) -> None:
        for value in part.dictionary.to_pylist():
            self._known.setdefault(value, len(self._known))
        if len(self._known) > MAX_DIFFERENT:
            raise LabelFileError(
                f"{self._file}: the column {self._column} has more than {MAX_DIFFERENT:,} different values.",
                "Choose the right column.",
            )
        small = np.min_scalar_type(max(len(self._known) - 1, 0))
        codes = np.array([self._known[value] for value in part.dictionary.to_pylist()], small)
        self._parts.append(codes[part.indices.to_numpy(zero_copy_only=False)])

    def done(self) -> Coded:
        codes = np.concatenate(self._parts) if self._parts else np.zeros(0, np.uint8)
        self._parts = []
        return Coded(codes, tuple(value.strip() for value in self._known))


class _Blanks:
    """Counts rows, and remembers whether one is empty in every column that is read."""

    def __init__(self) -> None:
        self.size = 0
        self._seen = False

    def add(self, batch: pa.RecordBatch) -> None:
        self.size += batch.num_rows
        blank = np.ones(batch.num_rows, np.bool_)
        for column in batch.columns:
            if not blank.any():
                return
            plain = column.dictionary.take(column.indices) if pa.types.is_dictionary(column.type) else column
            blank &= flags(pc.equal(plain, ""))
        self._seen |= bool(blank.any())

    def without(self, table: Table, path: Path) -> Table:
        """The table without empty lines. Arrow cannot tell them from lines of commas, so they are looked for."""
        if not self._seen:
            return table
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file)
            next(lines)
            keep = np.fromiter((bool(fields) for fields in lines), np.bool_)
        kept = np.flatnonzero(keep)
        texts = {name: column.filter(pa.array(keep)) for name, column in table.texts.items()}
        coded = {name: Coded(column.codes[kept], column.values) for name, column in table.coded.items()}
        return Table(table.name, texts, coded, len(kept), kept + 2)


def _check_cells(name: str, column: pa.Array) -> None:
    if len(column) and pc.max(pc.binary_length(column)).as_py() > MAX_CELL:
        raise LabelFileError(f"{name} is not a CSV file in UTF-8.", _SAVE_AGAIN)
