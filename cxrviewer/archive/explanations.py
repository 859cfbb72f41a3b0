"""Maps kept on disk, so that a rerun or a restart computes nothing twice. Losing one costs time, nothing else.

A file is replaced by rename but not synced: a broken one is noticed when read, and dropped.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import threading
import zipfile
import zlib
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cxrviewer.archive.rows import ExplanationKey
from cxrviewer.classifiers.framing import Frame
from cxrviewer.classifiers.targets import Target
from cxrviewer.labels import Head

if TYPE_CHECKING:
    from cxrviewer.explainers.explainer import Explanation

MAX_BYTES = 1 << 30
_KEEP_SHARE = 0.8
"""Down to this share of the cap when it is passed, so that tidying is rare."""


class ExplanationCache:
    """Explanations by key below one folder, at most `max_bytes` in all; the longest unused go first."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._bytes = sum(size for _, size, _ in self._entries())

    def put(self, key: ExplanationKey, explanation: Explanation) -> None:
        """Keep a map. Raises OSError."""
        content = _to_bytes(explanation)
        path = self._path(key)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        temporary = path.with_name(f".part-{secrets.token_hex(8)}")
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        with self._lock:
            self._bytes += len(content)
            if self._bytes > self._max_bytes:
                self._tidy()

    def get(self, key: ExplanationKey) -> Explanation | None:
        """The map, or None where there is none or it is damaged."""
        path = self._path(key)
        try:
            explanation = _from_bytes(path.read_bytes())
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        if (explanation.digest, explanation.weights_sha256) != (key.digest, key.weights_sha256):
            return None
        return explanation

    def remove(self, digest: str) -> None:
        """Remove every map of a file."""
        for path in self._folder.glob(f"{digest}/*"):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (self._folder / digest).rmdir()

    def _path(self, key: ExplanationKey) -> Path:
        return self._folder / key.digest / f"{key.name}.npz"

    def _entries(self) -> list[tuple[float, int, Path]]:
        entries = []
        for path in self._folder.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                entries.append((status.st_mtime, status.st_size, path))
        return entries

    def _tidy(self) -> None:
        entries = sorted(self._entries())
        self._bytes = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if self._bytes <= _KEEP_SHARE * self._max_bytes:
                break
            path.unlink(missing_ok=True)
            self._bytes -= size


_ARRAYS = ("grid", "segments")


def _to_bytes(explanation: Explanation) -> bytes:
    about = {field.name: getattr(explanation, field.name) for field in fields(explanation)}
    arrays = {name: value for name in _ARRAYS if (value := about.pop(name)) is not None}
    about |= {"target": asdict(explanation.target)}
    about |= {name: dict(about[name]) for name in ("parameters", "admits")}
    about["frame"] = asdict(explanation.frame) if explanation.frame else None
    buffer = io.BytesIO()
    np.savez_compressed(buffer, about=np.array(json.dumps(about)), **arrays)
    return buffer.getvalue()


def _from_bytes(content: bytes) -> Explanation:
    # Here and not at the top: it brings torch, which a list of studies does without.
    from cxrviewer.explainers.explainer import Explanation

    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        about = json.loads(str(file["about"]))
        about |= {name: file.get(name) for name in _ARRAYS}
        about["frame"] = Frame(**about["frame"]) if about.get("frame") else None
    target, (height, width) = about.pop("target"), about.pop("shape")
    return Explanation(target=Target(Head(target["head"]), target["label"]), shape=(height, width), **about)
