"""Files of a run are written whole or not at all, and a disk that refuses is told in a sentence (G20, G21)."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from cxrviewer.errors import StorageError

NEW = ".new"
"""Ends the name of a file that is not finished yet."""

_TROUBLE = {
    errno.ENOSPC: ("The disk of the training runs is full.", "Free some space, then resume the run."),
    errno.EDQUOT: (
        "The quota of the training runs' disk is used up.",
        "Free some space, then resume the run.",
    ),
    errno.EROFS: (
        "The disk of the training runs is read-only.",
        "Make it writable again, then resume the run.",
    ),
    errno.EIO: ("The disk of the training runs reports an error.", "Check the disk, then resume the run."),
}


def storage_error(exc: OSError) -> StorageError | None:
    """The sentence for what a full, read-only or failing disk raises; None for every other OSError."""
    found = _TROUBLE.get(exc.errno or 0)
    return None if found is None else StorageError(*found)


@contextmanager
def telling() -> Iterator[None]:
    """Inside, a disk that refuses raises StorageError; every other OSError stays what it is."""
    try:
        yield
    except OSError as exc:
        told = storage_error(exc)
        if told is None:
            raise
        raise told from exc


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
        # Interrupts included: only a process that is killed leaves its temporary file behind (`sweep`).
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    settle(path.parent)


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace a small file. Raises OSError; the old content then stays."""
    with new_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def overwrite(path: Path, content: str) -> None:
    """Put a small text in the place of a file's content, in the space that the file has already. Raises OSError.

    For the last words on a full disk, where no second file fits: within one block, so a reader sees the old text or
    the new one, but a power cut may leave neither.
    """
    with path.open("r+b") as file:
        file.write(content.encode())
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def append_whole(path: Path, text: str) -> None:
    """Add to a file all of the text or nothing. Raises OSError."""
    content = text.encode()
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        try:
            if file.write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with suppress(OSError):
                file.truncate(before)
            raise


def settle(folder: Path) -> None:
    """Bring a folder's names to the disk: a rename or removal is durable only then."""
    if sys.platform == "win32":  # which cannot open a folder, and orders its renames by itself
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Remove what a killed process left unfinished. Only for who alone writes here."""
    for file in folder.glob(f"*{NEW}"):
        with suppress(OSError):
            file.unlink()


def free_bytes(folder: Path) -> int:
    """Space that is left for this user on the disk of a folder."""
    return shutil.disk_usage(folder).free
