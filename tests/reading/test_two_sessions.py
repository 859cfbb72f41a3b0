"""G1: whatever one session opens, the other goes on getting answers from the same process."""

from __future__ import annotations

import os
import struct
import threading
import time
import zlib

import numpy as np
from support.dicom_files import dataset, encode, ramp
from support.pictures import png_of

from cxrviewer.archive import Archive
from cxrviewer.errors import CxrError
from cxrviewer.reading import Reader
from cxrviewer.settings import Settings

SECONDS = 6.0


def png_bomb() -> bytes:
    """A header of 60,000 x 60,000 pixels before a few bytes of zeros."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + chunk(b"IEND", b"")
    )


def odd_files() -> list[bytes]:
    good = encode(dataset(ramp()))
    rng = np.random.default_rng(3)
    cut = [good[: int(len(good) * share)] for share in (0.1, 0.3, 0.6, 0.9, 0.99)]
    noise = [rng.integers(0, 256, 4000, dtype=np.uint8).tobytes() for _ in range(4)]
    scratched = bytearray(good)
    scratched[140:400:7] = b"\xff" * len(scratched[140:400:7])
    return [
        b"",
        b"GIF89a" + bytes(50),
        b"BM" + bytes(100),
        b"II*\0" + bytes(100),
        png_bomb(),
        bytes(scratched),
        *cut,
        *noise,
    ]


def test_odd_files_in_one_session_leave_the_other_alone(settings: Settings, archive: Archive) -> None:
    reader, process, done = Reader(settings, archive), os.getpid(), threading.Event()
    outcomes: list[str] = []

    def careless() -> None:
        files = odd_files()
        while not done.is_set():
            for data in files:
                try:
                    reader.take_in(data)
                    outcomes.append("read")
                except CxrError as error:
                    outcomes.append(error.kind)

    other = threading.Thread(target=careless)
    other.start()
    answers, start = 0, time.monotonic()
    try:
        while time.monotonic() - start < SECONDS:
            radiograph, _ = reader.take_in(png_of(answers))
            assert len(reader.predict(radiograph).scores) == 15
            answers += 1
            time.sleep(0.1)
    finally:
        done.set()
        other.join(60)
    assert not other.is_alive() and os.getpid() == process
    assert answers >= 3 and len(outcomes) >= len(odd_files())
    assert "internal" not in outcomes and {"unreadable", "unsupported", "too-large"} <= set(outcomes)
