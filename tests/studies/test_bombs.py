"""Small files that unfold into the most that is allowed, or more: server and child stay small (G2, G3)."""

from __future__ import annotations

import os
import struct
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from pydicom import uid
from support import dicom_files as files

from cxrviewer.errors import CxrError
from cxrviewer.studies import limits
from cxrviewer.studies.isolation import DecodingPool

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]

WIDTH, HEIGHT = 50_000, 1_000
TOGETHER, SERVER = 2 << 30, 1 << 30
"""Bytes of server and child at their highest, and of these the server's own with a model loaded. What else this test
process holds, from tests before, is none of the bomb's doing: its growth counts."""
SECONDS = 20.0


def png(height: int) -> bytes:
    """Grey of 16 bits, all zero."""
    packer = zlib.compressobj(9)
    row = b"\0" + bytes(2 * WIDTH)
    packed = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", WIDTH, height, 16, 0, 0, 0, 0)),
        (b"IDAT", packed),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in parts
    )
    return b"\x89PNG\r\n\x1a\n" + body


def deflated(height: int) -> bytes:
    """A deflated DICOM file of 16 bits, all zero."""
    pixels = np.zeros((height, WIDTH), np.uint16)
    return files.encode(files.dataset(pixels), uid.DeflatedExplicitVRLittleEndian)


def jpeg(height: int) -> bytes:
    return files.jpeg(np.zeros((height, WIDTH), np.uint8))


def rle(height: int) -> bytes:
    """Two segments of runs of 128 zeros each."""
    runs = bytes([129, 0]) * (height * WIDTH // 128)
    frame = struct.pack("<16L", 2, 64, 64 + len(runs), *[0] * 13) + runs + runs
    made = files.dataset(np.zeros((4, 4), np.uint16))
    made.Rows, made.Columns = height, WIDTH
    return files.encapsulated(made, uid.RLELossless, [frame])


def resident(process: int, field: str = "VmHWM") -> int:
    """Resident memory of a process in bytes: the highest so far, or now (`VmRSS`)."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(field))
    return int(line.split()[1]) << 10


@pytest.mark.parametrize("make", [png, deflated, jpeg, rle])
def test_the_largest_that_is_allowed_and_one_row_more(make: object) -> None:
    """At the cap a file is read or refused for its memory; one row above it is refused by its header."""
    assert WIDTH * HEIGHT == limits.MAX_PIXELS
    pool = DecodingPool(size=1)
    try:
        pool.warm()
        child = pool._idle[0].process.pid
        bomb, above = make(HEIGHT), make(HEIGHT + 1)  # type: ignore[operator]
        assert len(bomb) < limits.MAX_FILE_BYTES
        Path("/proc/self/clear_refs").write_text("5")  # the peak of this process counts from here (proc(5))
        before, start = resident(os.getpid(), "VmRSS"), time.monotonic()
        opened = pool.open(bomb)
        assert opened.shape == (HEIGHT, WIDTH)
        assert time.monotonic() - start < SECONDS
        grown = resident(os.getpid()) - before
        assert SERVER + grown + resident(child) < TOGETHER
        with pytest.raises(CxrError) as caught:
            pool.open(above)
        assert caught.value.kind == "too-large" and "50 million" in caught.value.message
    finally:
        pool.close()
