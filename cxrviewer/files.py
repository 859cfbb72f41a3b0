"""Files that the program keeps for itself: written whole or not at all, read within bounds (G14, G20, G21).

What lies in a data folder may be damaged, huge or of another's making by the time that it is read again.
"""

from __future__ import annotations

import csv
import errno
import io
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

NEW = ".new"
"""Ends the name of a file that is not finished yet."""

MOST_TABLE_BYTES = 8 * 2**20
MOST_COLUMNS = 256


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write; under its name it exists only when all of it is on the disk.

    A temporary name beside it, fsync of the file, rename, fsync of the folder: after a crash or a power cut at any
    moment the name holds the old content or the new one. Whatever is raised inside is raised again, and the
    temporary file is removed, so that a full disk is not left fuller.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{NEW}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        # Interrupts included: only a process that is killed leaves its temporary file behind.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    settle(path.parent)


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace a small file. Raises OSError; the old content then stays."""
    with new_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def settle(folder: Path) -> None:
    """Bring a folder's names to the disk: a rename or removal is durable only then."""
    if sys.platform == "win32":  # which cannot open a folder, and orders its renames by itself
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_small(path: Path, most: int) -> bytes:
    """All of a file. Raises OSError, also where it is no plain file (a pipe would wait) or larger than `most` bytes."""
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a small CSV by its header; none where it is absent, no text, or no table.

    A row's cells beyond the header are left out, and so are those that a row lacks.
    """
    try:
        text = read_small(path, MOST_TABLE_BYTES).decode()
        names, *rows = [*csv.reader(io.StringIO(text, newline=""))] or [[]]
    except (OSError, ValueError, csv.Error):
        return []
    return [dict(zip(names[:MOST_COLUMNS], row, strict=False)) for row in rows if row]


def read_columns(path: Path, axis: str) -> dict[str, tuple[tuple[float, float], ...]]:
    """The numbers of a small CSV: by the names of its other columns, (axis, value) wherever both are finite."""
    rows = read_table(path)
    places = [_number(row.get(axis)) for row in rows]
    return {
        name: tuple(
            (x, y)
            for x, row in zip(places, rows, strict=True)
            if x is not None and (y := _number(row.get(name))) is not None
        )
        for name in (rows[0] if rows else {})
        if name != axis
    }


def _number(cell: str | None) -> float | None:
    try:
        value = float(cell or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
