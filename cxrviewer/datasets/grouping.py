"""Which rows must stay together: patients joined with the duplicates of their pictures, identical or listed."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from cxrviewer.datasets.dataset import Dataset, Row
from cxrviewer.datasets.tables import read_table
from cxrviewer.errors import LabelFileError


class Groups:
    """Disjoint sets of names. `join` unites two, `of` names the set by its smallest member."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def of(self, name: str) -> str:
        """The set's name; a name never joined is its own set."""
        while (parent := self._parent.get(name, name)) != name:
            self._parent[name] = self._parent.get(parent, parent)
            name = parent
        return name

    def join(self, first: str, second: str) -> None:
        """Put both names in one set."""
        low, high = sorted((self.of(first), self.of(second)))
        if low != high:
            self._parent[high] = low


def identical_pictures(dataset: Dataset) -> tuple[tuple[Row, ...], ...]:
    """Rows whose files hold the same bytes, in sets of two and more. Only files of equal size are read."""
    by_size: dict[int, list[Row]] = defaultdict(list)
    for row in dataset.rows:
        picture = dataset.picture(row)
        by_size[picture.stat().st_size if isinstance(picture, Path) else 0].append(row)
    by_content: dict[str, list[Row]] = defaultdict(list)
    for rows in by_size.values():
        if len(rows) > 1:
            for row in rows:
                digest = hashlib.sha256(dataset.picture(row).read_bytes()).hexdigest()
                by_content[digest].append(row)
    return tuple(tuple(rows) for rows in by_content.values() if len(rows) > 1)


def join_identical(dataset: Dataset) -> Dataset:
    """The same data set with the groups of byte-identical pictures joined, so that no split can part them."""
    pairs = ((rows[0], row) for rows in identical_pictures(dataset) for row in rows[1:])
    return _joined(dataset, pairs)


def join_listed(dataset: Dataset, listing: Path) -> Dataset:
    """The same with the groups of a list's pairs joined: near-duplicates. Columns `a` and `b` name pictures.

    A pair of which the data set lacks a picture (a view that is left out, a file that is missing) joins nothing.
    Raises NotFoundError, or LabelFileError where the list is of other pictures altogether.
    """
    rows = {row.image: row for row in dataset.rows}
    listed = [(line["a"], line["b"]) for _, line in read_table(listing, ["a", "b"])]
    pairs = [(rows[a], rows[b]) for a, b in listed if a in rows and b in rows]
    if listed and not pairs:
        raise LabelFileError(
            f"No pair of {listing.name} names pictures of {dataset.name}.",
            "Compare the pictures again and keep the pairs.",
        )
    return _joined(dataset, pairs)


def _joined(dataset: Dataset, pairs: Iterable[tuple[Row, Row]]) -> Dataset:
    groups = Groups()
    for first, second in pairs:
        groups.join(first.group, second.group)
    return replace(dataset, rows=tuple(replace(row, group=groups.of(row.group)) for row in dataset.rows))
