"""The caps of decoding, in one place (promises G2 and G3). Each is checked before memory is taken.

`MIB` is 2**20 bytes. A value exactly at a limit is allowed; one above it is a `TooLargeError`.
"""

from __future__ import annotations

from typing import Final

from cxrviewer.errors import TooLargeError

MIB: Final = 1 << 20

MAX_FILE_BYTES: Final = 64 * MIB
"""One file as received, or one member of a ZIP once inflated."""

MAX_PIXELS: Final = 50_000_000
"""Rows times columns of one frame."""

MAX_INFLATED_BYTES: Final = 256 * MIB
"""A deflated DICOM data set once inflated."""

MAX_SEQUENCE_DEPTH: Final = 32
"""Sequences inside sequences of a DICOM data set."""

MAX_ELEMENTS: Final = 50_000
"""DICOM elements, those inside sequences included."""

MAX_FRAMES: Final = 100_000
"""Frames that a header may announce."""

MAX_ZIP_MEMBERS: Final = 10_000
"""Members of one ZIP."""

MAX_ZIP_TOTAL_BYTES: Final = 2048 * MIB
"""All members of one ZIP together, once inflated."""

CHILD_MEMORY_BYTES: Final = 768 * MIB
"""Writable memory of the decoding child (docs/decisions/0002)."""

CHILD_CPU_SECONDS: Final = 10.0
"""Processor time of one decoding job."""

CHILD_WALL_SECONDS: Final = 15.0
"""Wall time of one decoding job, seen from outside the child."""

CHILD_START_SECONDS: Final = 30.0
"""Wall time that a fresh child may take until it says that it is ready."""

ARENA_BYTES: Final = 64 * MIB
"""Memory that the server shares with a decoding child for files and pixels; what is larger passes through a socket."""

ARENA_KEPT_BYTES: Final = 24 * MIB
"""After a job that needed more than this much of it, the shared memory is given back."""

CHILD_JOBS: Final = 200
"""Jobs after which a child is replaced by a fresh one."""


def check_file_size(size: int, limit: int = MAX_FILE_BYTES) -> None:
    """Raise `TooLargeError` where a file of `size` bytes is above the cap."""
    if size > limit:
        raise TooLargeError(
            f"The file has {size / MIB:.1f} MB; at most {limit / MIB:.0f} MB are read.",
            "Export one image, or one series, at a time.",
        )


def check_pixels(width: int, height: int) -> None:
    """Raise `TooLargeError` where a frame of `width` x `height` pixels is above the cap."""
    if width * height > MAX_PIXELS:
        raise TooLargeError(
            f"The picture has {width} x {height} pixels; at most {MAX_PIXELS / 1e6:.0f} million are read.",
            "Export it at a smaller size.",
        )
