"""Big label files by columns: ten million lines in two gigabytes and a minute (benchmarks/bench_label_file.py).

Arrow parses and keeps the texts. A column with few different values is kept as numbers into a list of them, so that
what a value means is asked once a value and not once a line. Lines are counted as `tables.read_table` counts them.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from cxrviewer.datasets.tables import refuse
from cxrviewer.errors import LabelFileError, NotFoundError

MAX_DIFFERENT = 100_000
"""Different values in a column that should have few: more of them means that it is another column."""
MAX_CELL = 131_072
"""Bytes in one cell, the limit of Python's own reader: an unclosed quote swallows the rest of a file."""
BLOCK = 8 << 20
"""Bytes parsed at a time."""
AT_A_TIME = 100_000
"""Texts that are made Python's at a time."""
LARGE = 64 << 20
"""Bytes of text that are put together: large pieces leave no holes in the memory that parsing goes on in."""
_SAVE_AGAIN = "Save it again as CSV, UTF-8."
_LEAVES = r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)|\x00"
_NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"

Mask = NDArray[np.bool_]
Places = NDArray[np.int64]
"""Row numbers, from 0."""
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Coded:
    """A column with few different values: `values[codes[i]]` is the text of row i."""

    codes: NDArray[np.unsignedinteger[Any]]
    values: tuple[str, ...]

    def where(self, wrong: Callable[[str], bool]) -> Mask:
        """(N,): True where the value is so."""
        flags: Mask = np.array([wrong(value) for value in self.values], np.bool_)[self.codes]
        return flags

    def at(self, rows: NDArray[np.int64], meaning: Callable[[str], T]) -> list[T]:
        """What some rows' values mean; asked once a value."""
        meant = [meaning(value) for value in self.values]
        return [meant[code] for code in self.codes[rows]]


@dataclass(frozen=True, eq=False)
class Table:
    """A label file. `lines`: the number of each row's line, None where row i stands in line i + 2."""

    name: str
    texts: dict[str, pa.ChunkedArray]
    coded: dict[str, Coded]
    size: int
    lines: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return self.size

    def refuse(self, wrong: Mask, what: str) -> None:
        """Raise LabelFileError naming the first lines where `wrong` (N,) is True."""
        rows = np.flatnonzero(wrong)
        refuse(self.name, rows + 2 if self.lines is None else self.lines[rows], what)

    def at(self, column: str, rows: NDArray[np.int64]) -> list[str]:
        """The texts of some rows."""
        return _taken(self.texts[column], rows)

    def matches(self, column: str, pattern: str) -> Mask:
        """(N,): True where a text holds the pattern (RE2)."""
        return _flags(pc.match_substring_regex(self.texts[column], pattern))

    def empty(self, column: str) -> Mask:
        """(N,): True where a text holds nothing but blanks."""
        return ~self.matches(column, r"\S")

    def leaving(self, column: str) -> Mask:
        """(N,): True where a path is absolute or climbs out of its folder. Links are another matter: `files_below`."""
        return self.matches(column, _LEAVES)

    def hashes(self, column: str) -> NDArray[np.int64]:
        """(N,): one number a text, of 64 bits: two of ten million texts share one once in 300,000 files."""
        return _hashes(self.texts[column])

    def numbers(self, column: str) -> NDArray[np.float64]:
        """(N,): NaN where empty. Raises LabelFileError where a text is no number (`nan` and `inf` are none)."""
        empty = self.empty(column)
        self.refuse(~(empty | self.matches(column, _NUMBER)), f"{column} is no number")
        cells = pc.utf8_trim_whitespace(self.texts[column])
        cast = pc.if_else(pa.array(empty), pa.scalar(None, pa.string()), cells).cast(pa.float64())
        return np.asarray(cast.to_numpy(), np.float64)


class Names(Sequence[str]):
    """Some texts of a column, made when they are looked at: a million missing files cost four megabytes."""

    def __init__(self, texts: pa.ChunkedArray, rows: NDArray[np.integer[Any]]) -> None:
        self._texts, self._rows = texts, rows.astype(np.uint32)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(_taken(self._texts, self._rows[index].astype(np.int64)))
        return str(self._texts[int(self._rows[index])].as_py())

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), AT_A_TIME):
            yield from self[start : start + AT_A_TIME]

    def and_then(self, other: Names) -> Names:
        """Both, one after the other."""
        texts = pa.chunked_array([*self._texts.chunks, *other._texts.chunks], pa.string())
        return Names(texts, np.concatenate([self._rows, other._rows + np.uint32(len(self._texts))]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self[:] == tuple(other)

    def __repr__(self) -> str:
        return f"<{len(self)} names>"

    __hash__ = None  # type: ignore[assignment]


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


def repeated(hashes: NDArray[np.int64]) -> Mask:
    """(N,): True where the same number stood before."""
    order = np.argsort(hashes, kind="stable")
    again = np.zeros(len(hashes), np.bool_)
    again[order[1:]] = hashes[order[1:]] == hashes[order[:-1]]
    return again


def among(hashes: NDArray[np.int64], texts: Collection[str]) -> Mask:
    """(N,): True where the number is that of one of the texts (see `Table.hashes`)."""
    wanted = np.sort(np.fromiter(map(hash, texts), np.int64, len(texts)))
    if not len(wanted):
        return np.zeros(len(hashes), np.bool_)
    return np.asarray(wanted[np.searchsorted(wanted, hashes).clip(max=len(wanted) - 1)] == hashes)


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
            blank &= _flags(pc.equal(plain, ""))
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


def _hashes(texts: pa.ChunkedArray) -> NDArray[np.int64]:
    numbers = np.zeros(len(texts), np.int64)
    start = 0
    for batch in pa.table({"text": texts}).to_batches(AT_A_TIME):
        cells = batch.column(0).to_numpy(zero_copy_only=False)
        numbers[start : start + len(cells)] = np.fromiter(map(hash, cells), np.int64, len(cells))
        start += len(cells)
    return numbers


def _taken(texts: pa.ChunkedArray, rows: Places) -> list[str]:
    """Some texts, piece by piece: Arrow's own `take` would first join all pieces into one."""
    ends = np.cumsum([0, *(len(chunk) for chunk in texts.chunks)])
    piece = np.searchsorted(ends, rows, side="right") - 1
    found = np.empty(len(rows), object)
    for number in np.unique(piece):
        here = piece == number
        part = texts.chunk(int(number)).take(pa.array(rows[here] - ends[number]))
        found[here] = part.to_numpy(zero_copy_only=False)
    cells: list[str] = found.tolist()
    return cells


def _flags(values: pa.ChunkedArray | pa.Array) -> Mask:
    if isinstance(values, pa.ChunkedArray):
        return np.asarray(values.to_numpy(), np.bool_)
    return np.asarray(values.to_numpy(zero_copy_only=False), np.bool_)
