"""Files kept by digest: written beside, synced, renamed. A name exists only with its whole content behind it.

<folder>/ab/abcdef....        64 hexadecimal digits, nothing that a person typed (promise G11)
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from cxrviewer.errors import ArchiveError

_DIGEST = re.compile(r"[0-9a-f]{64}")
_TEMPORARY = ".part-"
_STALE_SECONDS = 3600.0


def sha256(data: bytes) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


class FileStore:
    """Bytes by digest below one folder, readable by its owner only. Raises OSError and ArchiveError."""

    def __init__(self, folder: Path, suffix: str = "") -> None:
        self._folder, self._suffix = folder, suffix
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, digest: str) -> Path:
        """Where a digest's file is or would be. Raises ValueError for what is no digest."""
        if _DIGEST.fullmatch(digest) is None:
            raise ValueError("a sha256 digest has 64 hexadecimal digits")
        return self._folder / digest[:2] / f"{digest}{self._suffix}"

    def put(self, digest: str, data: bytes) -> None:
        """Keep `data` under `digest`; on return it is on the disk. A damaged copy from before is mended."""
        path = self.path(digest)
        if _holds(path, data):
            return
        path.parent.mkdir(mode=0o700, exist_ok=True)
        temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
        try:
            _write_synced(temporary, data)
            temporary.replace(path)
            _sync_folder(path.parent)
            _sync_folder(self._folder)
        finally:
            temporary.unlink(missing_ok=True)

    def get(self, digest: str) -> bytes | None:
        """The bytes, or None where there are none."""
        try:
            return self.path(digest).read_bytes()
        except FileNotFoundError:
            return None

    def get_checked(self, digest: str, content_digest: str) -> bytes:
        """The bytes, whose sha256 is `content_digest`. Raises ArchiveError where they are gone or changed."""
        data = self.get(digest)
        if data is None:
            raise ArchiveError("The stored file is missing.", "Delete the study and import its file again.")
        if sha256(data) != content_digest:
            raise ArchiveError(
                "The stored file is damaged.", "Import the same file again: it is then mended."
            )
        return data

    def remove(self, digest: str) -> None:
        """Remove the file, if there is one."""
        self.path(digest).unlink(missing_ok=True)

    def digests(self) -> Iterator[str]:
        """Every digest that has a file, in no order."""
        for path in self._folder.glob(f"??/*{self._suffix}"):
            digest = path.name.removesuffix(self._suffix)
            if _DIGEST.fullmatch(digest):
                yield digest

    def sweep(self) -> None:
        """Remove what broken writes left behind, once it is too old to be a write in progress."""
        for path in self._leftovers():
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink(missing_ok=True)

    def _leftovers(self) -> Iterator[Path]:
        return self._folder.glob(f"??/{_TEMPORARY}*")


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except FileNotFoundError:
        return False


def _write_synced(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    # A rename is on the disk only when its folder is (fsync(2)); Windows has no such call, and no need.
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
