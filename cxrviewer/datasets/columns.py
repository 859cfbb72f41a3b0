"""A big label file's columns in memory, and what can be asked of them without a loop over their lines.

A column with few different values is kept as numbers into a list of them, so that what a value means is asked once a
value and not once a line. Lines are counted as `tables.read_table` counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cxrviewer.datasets.tables import refuse

AT_A_TIME = 100_000
"""Texts that are made Python's at a time."""
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
        return flags(pc.match_substring_regex(self.texts[column], pattern))

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


def flags(values: pa.ChunkedArray | pa.Array) -> Mask:
    """Arrow's booleans as (N,) bool."""
    if isinstance(values, pa.ChunkedArray):
        return np.asarray(values.to_numpy(), np.bool_)
    return np.asarray(values.to_numpy(zero_copy_only=False), np.bool_)
