"""Which files a folder holds, and which of them a label file names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from cxrviewer.datasets.columns import Names, Table, among

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".dcm", ".dicom"})


@dataclass(frozen=True)
class Folder:
    """paths: every file below a root, relative to it, with `/`, in order. links: how many were not followed."""

    paths: tuple[str, ...]
    links: int

    @property
    def notes(self) -> tuple[str, ...]:
        """What the person should know."""
        if not self.links:
            return ()
        return (f"{self.links} links in the folder were not followed: point at the folder itself.",)

    def pictures(self, below: str = "") -> Iterator[str]:
        """Files that are named as pictures are, in folders whose name begins so."""
        for path in self.paths:
            if path.startswith(below) and PurePosixPath(path).suffix.lower() in PICTURES:
                yield path


def files_below(root: Path) -> Folder:
    """Walk a folder. Links are not followed, so nothing outside is ever read; an absent folder is an empty one."""
    found: list[str] = []
    links, waiting = 0, [""]
    while waiting:
        place = waiting.pop()
        try:
            entries = list(os.scandir(root / place))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for entry in entries:
            name = f"{place}{entry.name}"
            if entry.is_symlink():
                links += 1
            elif entry.is_dir():
                waiting.append(f"{name}/")
            else:
                found.append(name)
    return Folder(tuple(sorted(found)), links)


@dataclass(frozen=True)
class Found:
    """Rows of a table whose picture is there, with its path below the root, and the names of all the others."""

    rows: NDArray[np.int64]
    paths: list[str]
    missing: Names


def find(table: Table, column: str, hashes: NDArray[np.int64], files: Mapping[str, str]) -> Found:
    """Look a table's names up in `files` (name in the table -> path below the root)."""
    rows = np.flatnonzero(there := among(hashes, files))
    names = table.at(column, rows)
    return Found(rows, [files[name] for name in names], Names(table.texts[column], np.flatnonzero(~there)))
