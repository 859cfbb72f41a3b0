"""Which file had which content: so that a second start reads names and times, and not every picture again.

A file is taken for unchanged while path, size and time of change stay the same, as `git` and `make` do. One that was
changed within the last seconds is not remembered: a clock's tick is too coarse to tell it from its next change.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from cxrviewer.datasets import Member

SETTLED = 2.0
"""Seconds."""
_TABLE = (
    "CREATE TABLE IF NOT EXISTS stamps (file BLOB PRIMARY KEY, stamp TEXT NOT NULL, digest BLOB NOT NULL)"
)
_AT_ONCE = 500
"""SQLite's own limit on values in a question is 999 in old versions."""


@dataclass(frozen=True)
class Stamp:
    """file: sha256 of the path, so that no name is kept. told: size and time of change."""

    file: bytes
    told: str


def stamp_of(source: Path | Member) -> Stamp | None:
    """None where there is nothing to go by: the file is too new, or a member does not say where it lies."""
    path, offset = (source, 0) if isinstance(source, Path) else getattr(source, "origin", (None, 0))
    try:
        status = path.stat() if path is not None else None
    except OSError:
        return None
    if path is None or status is None:
        return None
    if time.time() - max(status.st_mtime, status.st_ctime) < SETTLED:
        return None
    name = hashlib.sha256(f"{path.absolute()}\0{offset}".encode("utf-8", "surrogateescape")).digest()
    # The time of the last change of the inode too: a copy that keeps the file's own time does not keep that.
    return Stamp(name, f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}")


class Stamps:
    """The list on disk. One that is damaged or in use is done without: pictures are then read to be known."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def known(self, stamps: Iterable[Stamp | None]) -> dict[Stamp, bytes]:
        """The digest of every file that is as it was when it was read."""
        wanted = [stamp for stamp in stamps if stamp is not None]
        found: dict[Stamp, bytes] = {}
        if not self._file.is_file():
            return found
        try:
            with closing(sqlite3.connect(self._file, timeout=5)) as database:
                for start in range(0, len(wanted), _AT_ONCE):
                    found |= _asked(database, wanted[start : start + _AT_ONCE])
        except sqlite3.Error:
            return {}
        return found

    def remember(self, digests: Mapping[Stamp, bytes]) -> None:
        """Keep what was read; whole or not at all."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._file, timeout=5)) as database, database:
                database.execute(_TABLE)
                rows = [(stamp.file, stamp.told, digest) for stamp, digest in digests.items()]
                database.executemany("INSERT OR REPLACE INTO stamps VALUES (?, ?, ?)", rows)
        except sqlite3.Error:
            self._file.unlink(missing_ok=True)


def _asked(database: sqlite3.Connection, stamps: Sequence[Stamp]) -> dict[Stamp, bytes]:
    marks = ",".join("?" * len(stamps))
    rows = database.execute(
        f"SELECT file, stamp, digest FROM stamps WHERE file IN ({marks})",  # noqa: S608 - question marks alone
        [stamp.file for stamp in stamps],
    )
    told = {bytes(file): (str(stamp), bytes(digest)) for file, stamp, digest in rows}
    return {s: told[s.file][1] for s in stamps if s.file in told and told[s.file][0] == s.told}
