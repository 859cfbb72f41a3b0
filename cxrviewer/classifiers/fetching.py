"""A file from another machine: with progress, a cap, time limits and a checksum, into place by one rename.

The libraries' own loaders have no time limit (torch.hub) or no cap and no checksum (TorchXRayVision), so only their
addresses and their folders are used: what is fetched here, they find.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO
from urllib.parse import urlparse

from cxrviewer import __version__
from cxrviewer.errors import CancelledError, NetworkError, StorageError

PATIENCE = 8.0
"""Seconds until a machine that does not answer, or falls silent, is given up."""
CHUNK = 2**18

Tell = Callable[[float, str], None]
"""Told the share done, in [0, 1], and in words what is being done."""

REMEDY = "Check the connection, or fetch the file elsewhere and name it with the address file:///PATH."


def silent(_share: float, _words: str) -> None:
    """Progress that nobody watches."""


def download(
    url: str,
    target: Path,
    *,
    most: int,
    sha256: str = "",
    tell: Tell = silent,
    cancelled: Callable[[], bool] = lambda: False,
) -> str:
    """Fetch `url` to `target`, at most `most` bytes; gives back the SHA-256 as hexadecimal.

    sha256: what it must begin with. Raises NetworkError (offline, refused, silent, too large, another file),
    StorageError (the disk), CancelledError; then nothing is left behind.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".fetching-", dir=target.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            found = _copy(url, file, most, tell, cancelled)
            file.flush()
            os.fsync(file.fileno())
        if not found.startswith(sha256):
            raise NetworkError(
                f"{target.name} is not the file that was published: its SHA-256 begins with {found[:8]}, not {sha256}.",
                "Fetch it again later; if that does not help, do not use it.",
            )
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return found


def _copy(url: str, file: IO[bytes], most: int, tell: Tell, cancelled: Callable[[], bool]) -> str:
    digest, done, started = hashlib.sha256(), 0, time.monotonic()
    host = urlparse(url).hostname or "this machine"
    request = urllib.request.Request(url, headers={"User-Agent": f"cxrviewer/{__version__}"})
    tell(0.0, f"asking {host}")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            total = int(answer.headers.get("Content-Length") or 0)
            _check_size(total, most)
            while chunk := answer.read(CHUNK):
                if cancelled():
                    raise CancelledError("The download was stopped.")
                done += len(chunk)
                _check_size(done, most)
                digest.update(chunk)
                _write(file, chunk)
                rate = done / max(time.monotonic() - started, 0.1)
                tell(
                    done / total if total else 0.0,
                    f"{done / 1e6:.0f} of {total / 1e6:.0f} MB, {rate / 1e6:.1f} MB/s",
                )
    except urllib.error.HTTPError as exc:
        raise NetworkError(f"{host} answered {exc.code} ({exc.reason}).", REMEDY) from exc
    except (OSError, http.client.HTTPException, ValueError) as exc:
        raise NetworkError(f"{host} could not be reached, or fell silent.", REMEDY) from exc
    if total and done != total:
        raise NetworkError(f"{host} sent {done} of {total} bytes.", REMEDY)
    return digest.hexdigest()


def _write(file: IO[bytes], chunk: bytes) -> None:
    try:
        file.write(chunk)
    except OSError as exc:
        raise StorageError("The file cannot be written.", "Make room on the disk, and try again.") from exc


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise NetworkError(
            f"The file is larger than the {most / 1e6:.0f} MB that were expected.", "Do not use this source."
        )
