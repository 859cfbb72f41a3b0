"""A run's checkpoints: whole or absent, two kept, and no code in them (G14, G20).

A save writes the state under a temporary name, brings it to the disk, renames it, and then does the same with its
checksum, which is the mark of completeness (`checkpoint_names`). Only then are older ones removed. So at every moment
the folder holds the last state or the one before, whole.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from cxrviewer.errors import NotFoundError, UnreadableError
from cxrviewer.files import new_file, settle, write_whole
from cxrviewer.training.checkpoint_names import epochs_of, mark_of, newest, resolved, unmarked, whole
from cxrviewer.training.disk import sweep

KEPT = 2
_CHUNK = 2**20

State = dict[str, Any]
"""Tensors and plain values by name; `state_dict` and `epoch` are always there."""


class _Summing:
    """A file for torch to write to, which sums up what passes. (torch writes its archives from front to end.)"""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sum = hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.sum.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()


def save(state: State, path: Path) -> None:
    """Write a checkpoint, then its checksum. Raises OSError; what was there before is then whole still."""
    # Without its mark a checkpoint of the same name, from before a resume, no longer counts.
    mark_of(path).unlink(missing_ok=True)
    with new_file(path) as file:
        summing = _Summing(file)
        try:
            torch.save(state, cast(BinaryIO, summing))  # it only ever writes and flushes
        except RuntimeError as exc:
            # torch's writer fails a second time when it closes its archive, and hides what the disk said.
            if isinstance(exc.__context__, OSError):
                raise exc.__context__ from None
            raise
    write_whole(mark_of(path), f"{summing.sum.hexdigest()}  {path.name}\n")


def prune(folder: Path, kept: int = KEPT) -> None:
    """Remove all but the newest whole checkpoints, and what was never finished. Other files stay."""
    for checkpoint in [*whole(folder)[:-kept], *unmarked(folder)]:
        mark_of(checkpoint).unlink(missing_ok=True)
        checkpoint.unlink(missing_ok=True)
    sweep(folder)
    settle(folder)


def read(checkpoint: Path) -> State:
    """A checkpoint's content, on the CPU. `.../last.ckpt` means the newest one there.

    Raises NotFoundError, or UnreadableError where it is not what was written, or holds anything but numbers.
    """
    path = resolved(checkpoint)
    if not path.is_file():
        raise NotFoundError("The run has no checkpoint yet.", "Let it finish an epoch first.")
    remedy = "Resume from another one, or start again."
    try:
        if mark_of(path).is_file() and _sum_of(path) != mark_of(path).read_text("ascii").split()[0]:
            raise UnreadableError("The checkpoint is damaged: it is not what its checksum says.", remedy)
        content: State = torch.load(path, "cpu", weights_only=True)
        if not {"state_dict", "epoch"} <= content.keys():
            raise KeyError
    except (
        pickle.UnpicklingError,
        RuntimeError,
        KeyError,
        AttributeError,
        EOFError,
        IndexError,
        ValueError,
    ) as exc:
        # weights_only refuses code by UnpicklingError: nothing of it has run.
        raise UnreadableError(
            "The checkpoint is damaged, or holds other things than numbers, and is refused.", remedy
        ) from exc
    except OSError as exc:
        raise UnreadableError("The checkpoint cannot be read from its disk.", remedy) from exc
    return content


def _sum_of(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def last_good(folder: Path, say: Callable[[str], None]) -> Path | None:
    """The newest checkpoint that reads well; None where there is none.

    A broken one loses its mark, so that nobody takes it for the newest again. say: a line for the log about it.
    """
    while (found := newest(folder)) is not None:
        try:
            read(found)
        except UnreadableError as exc:
            if not mark_of(found).is_file():
                raise
            mark_of(found).unlink()
            before = newest(folder)
            instead = "from the beginning" if before is None else f"from epoch {epochs_of(before)}"
            say(f"{found.name} is refused ({exc.message}); the run goes on {instead}")
        else:
            return found
    return None
