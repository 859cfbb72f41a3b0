"""What a run asks of its disk beside `files`: a disk that refuses is told in a sentence, lines are whole (G20, G21)."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cxrviewer.errors import StorageError
from cxrviewer.files import NEW

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


def sweep(folder: Path) -> None:
    """Remove what a killed process left unfinished. Only for who alone writes here."""
    for file in folder.glob(f"*{NEW}"):
        with suppress(OSError):
            file.unlink()


def free_bytes(folder: Path) -> int:
    """Space that is left for this user on the disk of a folder."""
    return shutil.disk_usage(folder).free
