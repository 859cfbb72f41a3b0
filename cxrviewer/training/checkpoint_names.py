"""The names in a run's `checkpoints/`: which of them is a whole checkpoint, and which is the newest.

`epoch-0003.ckpt` is the state after three epochs. It counts only with `epoch-0003.ckpt.sha256` beside it, which is
written last: the file of the checksum is the mark of completeness. (`sha256sum -c` reads it.)
"""

from __future__ import annotations

import re
from pathlib import Path

_NAME = re.compile(r"epoch-(\d{4,})\.ckpt")
_EARLIER = "last.ckpt"
"""The one name of runs made before there were two, without a mark; also what a recipe may call the newest."""


def name_of(epochs: int) -> str:
    """The name of the state after so many whole epochs."""
    return f"epoch-{epochs:04d}.ckpt"


def mark_of(checkpoint: Path) -> Path:
    """The file with a checkpoint's checksum."""
    return checkpoint.with_name(f"{checkpoint.name}.sha256")


def whole(folder: Path) -> list[Path]:
    """Checkpoints with their mark, the oldest first."""
    return sorted(
        (
            file
            for file in folder.glob("epoch-*.ckpt")
            if _NAME.fullmatch(file.name) and mark_of(file).is_file()
        ),
        key=epochs_of,
    )


def unmarked(folder: Path) -> list[Path]:
    """Checkpoints that were never finished, or were found broken."""
    return [
        file
        for file in folder.glob("epoch-*.ckpt")
        if _NAME.fullmatch(file.name) and not mark_of(file).is_file()
    ]


def epochs_of(checkpoint: Path) -> int:
    """Whole epochs that a checkpoint's name tells; 0 for other names."""
    found = _NAME.fullmatch(checkpoint.name)
    return int(found[1]) if found else 0


def newest(folder: Path) -> Path | None:
    """The newest whole checkpoint by its name, content unread; None where there is none."""
    found = whole(folder)
    if found:
        return found[-1]
    return folder / _EARLIER if (folder / _EARLIER).is_file() else None


def resolved(checkpoint: Path) -> Path:
    """`.../checkpoints/last.ckpt` in a recipe means the newest one there; other paths mean themselves."""
    if checkpoint.name == _EARLIER and not checkpoint.is_file():
        return newest(checkpoint.parent) or checkpoint
    return checkpoint
