"""Damage inside compressed pixels that still end properly (promise G4): bytes lost or changed in the middle."""

from __future__ import annotations

import os
import struct
import sys
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames
from pydicom.filereader import dcmread
from support import dicom_files as files

from cxrviewer.errors import UnreadableError
from cxrviewer.studies.damage import decode_jpeg_8bit, heeding_complaints
from cxrviewer.studies.opening import decode, open_study

OFFSETS = [0.2 + 0.035 * i for i in range(20)]
"""Where in a stream bytes are taken out, as shares of its length: behind the tables, before the end marker."""


def scene(height: int = 160, width: int = 200) -> np.ndarray:
    """Soft shapes and a little noise, 8 bits: compressed code of every sort."""
    y, x = np.mgrid[:height, :width] / height
    noise = np.random.default_rng(5).normal(0, 4, (height, width))
    return np.clip(90 + 80 * np.sin(5 * x + 2 * y) * np.cos(4 * y) + noise, 0, 255).astype(np.uint8)


def without(data: bytes, share: float, count: int = 120) -> bytes:
    """The data less `count` bytes; its last two, the end marker, stay."""
    place = min(int(len(data) * share), len(data) - count - 2)
    return data[:place] + data[place + count :]


def jpeg(kind: str) -> bytes:
    grey = Image.fromarray(scene())
    options = {
        "grey": {},
        "progressive": {"progressive": True},
        "colour": {"subsampling": 2},
        "restarts": {"restart_marker_rows": 1},
    }
    stream = BytesIO()
    (grey.convert("RGB") if kind == "colour" else grey).save(stream, "JPEG", quality=92, **options[kind])
    return stream.getvalue()


@pytest.mark.parametrize("share", OFFSETS)
@pytest.mark.parametrize("kind", ["grey", "restarts"])
def test_a_jpeg_that_lost_bytes_in_the_middle_never_gives_pixels(kind: str, share: float) -> None:
    whole = jpeg(kind)
    assert decode(whole).shape == (160, 200)
    with pytest.raises(UnreadableError, match="damaged"):
        decode(without(whole, share))


def refused(streams: list[bytes]) -> int:
    """How many are called damaged."""
    count = 0
    for stream in streams:
        try:
            decode(stream)
        except UnreadableError:
            count += 1
    return count


def test_a_colour_jpeg_that_lost_bytes_is_nearly_always_refused() -> None:
    """Of 350 places 312 were heard: code may find its step again with the right number of blocks."""
    whole = jpeg("colour")
    assert refused([whole]) == 0
    assert refused([without(whole, share) for share in OFFSETS]) >= 17


def test_a_progressive_jpeg_that_lost_bytes_is_refused_or_has_lost_next_to_nothing() -> None:
    """Its last scan, three fifths of the file, only refines lowest bits; libjpeg is not always heard there."""
    whole, heard = jpeg("progressive"), 0
    pixels = decode(whole).pixels
    for share in OFFSETS:
        try:
            opened = decode(without(whole, share))
        except UnreadableError:
            heard += 1
            continue
        assert np.abs(opened.pixels - pixels).mean() < 1
    assert heard >= 8


@pytest.mark.parametrize("kind", ["grey", "progressive", "colour", "restarts"])
def test_most_scratches_in_a_jpeg_are_heard(kind: str) -> None:
    """48 bytes of noise. JPEG has no checksum: code may find its step again, and that is not always seen."""
    whole, rng, streams = jpeg(kind), np.random.default_rng(1), []
    for _ in range(60):
        scratched = bytearray(whole)
        place = int(rng.integers(len(whole) // 5, len(whole) - 60))
        scratched[place : place + 48] = (
            rng.integers(0, 255, 48, dtype=np.uint8).tobytes().replace(b"\xff", b"\x7f")
        )
        streams.append(bytes(scratched))
    assert refused(streams) >= 36


@pytest.mark.parametrize("kind", ["grey", "progressive", "colour", "restarts"])
def test_a_whole_jpeg_gives_the_values_of_pillow(kind: str) -> None:
    data = jpeg(kind)
    with Image.open(BytesIO(data)) as image:
        expected = np.asarray(image)
    np.testing.assert_array_equal(decode_jpeg_8bit(data, colour=kind == "colour"), expected)


def test_zeros_before_the_end_marker_are_no_damage_and_others_are() -> None:
    whole = jpeg("grey")
    padded = whole[:-2] + bytes(7) + whole[-2:]
    np.testing.assert_array_equal(decode(padded).pixels, decode(whole).pixels)
    with pytest.raises(UnreadableError, match="damaged"):
        decode(whole[:-2] + b"\x00\x00\x51\x00" + whole[-2:])


@pytest.mark.parametrize("syntax", [*files.BY_PYDICOM, *files.BY_GDCM], ids=lambda s: s.name)
def test_a_compressed_frame_that_lost_bytes_never_gives_pixels(syntax: uid.UID) -> None:
    pixels = (scene().astype(np.uint16) << 3) + 5
    data = files.encode(files.dataset(pixels, BitsStored=12), syntax)
    np.testing.assert_array_equal(decode(data).pixels, pixels)
    (stream,) = generate_frames(dcmread(BytesIO(data)).PixelData, number_of_frames=1)
    for share in OFFSETS:
        with pytest.raises(UnreadableError):
            decode(files.encapsulated(files.dataset(pixels, BitsStored=12), syntax, [without(stream, share)]))


@pytest.mark.parametrize("colour", [False, True])
def test_a_baseline_frame_that_lost_bytes_is_heard_like_a_jpeg(colour: bool) -> None:
    pixels, stream = scene(), jpeg("colour" if colour else "grey")
    kind = {"PhotometricInterpretation": "YBR_FULL_422"} if colour else {}
    shown = np.repeat(pixels[..., None], 3, 2) if colour else pixels

    def written(frame: bytes) -> bytes:
        return files.encapsulated(files.dataset(shown, **kind), uid.JPEGBaseline8Bit, [frame])

    assert np.abs(decode(written(stream)).pixels - pixels).mean() < 3
    assert refused([written(without(stream, share)) for share in OFFSETS]) >= (17 if colour else 20)


def test_an_extended_frame_of_12_bits_that_lost_bytes_never_gives_pixels() -> None:
    path = get_testdata_file("JPGExtended.dcm", download=False)
    assert path
    made = dcmread(path)
    (stream,) = generate_frames(made.PixelData, number_of_frames=1)
    plain = np.zeros((1024, 256), np.uint16)
    stream = stream[: stream.rindex(b"\xff\xd9") + 2]

    def written(frame: bytes) -> bytes:
        return files.encapsulated(files.dataset(plain, BitsStored=12), uid.JPEGExtended12Bit, [frame])

    assert decode(written(stream)).pixels[420, 140] == 244
    for share in OFFSETS:
        with pytest.raises(UnreadableError, match="damaged"):
            decode(written(without(stream, share)))


def test_rle_that_decodes_to_too_much_is_damaged() -> None:
    """One segment of 4 x 4 pixels: a run of 17 is the padding of one byte, a run of 20 is not."""

    def written(run: int) -> bytes:
        header = struct.pack("<16L", 1, 64, *[0] * 14)
        frame = header + bytes([257 - run, 7])
        return files.encapsulated(files.dataset(np.zeros((4, 4), np.uint8)), uid.RLELossless, [frame])

    for run in (16, 17):
        np.testing.assert_array_equal(decode(written(run)).pixels, np.full((4, 4), 7))
    with pytest.raises(UnreadableError, match="damaged"):
        decode(written(20))


def test_the_child_hears_it_too() -> None:
    """There standard error leads nowhere, and the kernel lets no file grow."""
    path = get_testdata_file("JPGExtended.dcm", download=False)
    assert path
    data = Path(path).read_bytes()
    place = data.rindex(b"\xff\xd9") - 1000
    damaged = data[:place] + bytes(range(100, 148)) + data[place + 48 :]
    for opened in (decode, open_study):
        assert opened(data).pixels[420, 140] == 244
        with pytest.raises(UnreadableError, match="part of its code makes no sense"):
            opened(damaged)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX descriptors")
def test_listening_leaves_standard_error_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    with pytest.raises(UnreadableError), heeding_complaints():
        os.write(2, b"Corrupt JPEG data: premature end of data segment\n")
    with pytest.raises(KeyError), heeding_complaints():
        raise KeyError
    with heeding_complaints():
        os.write(2, b"Unsupported JPEG data precision 12\n" * 5000)  # more than a pipe holds
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"
    if before:
        assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_scratched_deflated_file_is_heard_or_gives_the_damaged_bytes() -> None:
    """Deflate without a checksum (PS3.5 A.5): what loses its step is heard, and nothing else is raised."""
    pixels = files.ramp(64, 64)
    data = files.encode(files.dataset(pixels), uid.DeflatedExplicitVRLittleEndian)
    for share in OFFSETS:
        with pytest.raises(UnreadableError), warnings.catch_warnings():
            decode(without(data, share, 40))


def deep_png(channels: np.ndarray, colour: int) -> bytes:
    """(H, W, C) uint16 as a PNG by hand: no filter, no interlace."""
    height, width, _ = channels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in channels)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in parts
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_colour_and_alpha_of_16_bits_keep_all_their_bits(colour: int, channels: int) -> None:
    grey = files.ramp(31, 17, 65535)
    opened = decode(deep_png(np.repeat(grey[..., None], channels, 2), colour))
    np.testing.assert_array_equal(opened.pixels, grey)
    assert (opened.metadata.bits_stored, opened.voi, opened.warnings) == (16, None, ())


def test_the_luminance_of_16_bits_by_hand() -> None:
    """0.299, 0.587 and 0.114 of 65,535, in parts of 65,536 and rounded."""
    red, green, blue = np.eye(3, dtype=np.uint16) * 65535
    opened = decode(deep_png(np.stack([red, green, blue])[None], 2))
    assert opened.pixels.tolist() == [[19595, 38469, 7471]]


def test_an_interlaced_picture_of_16_bit_colour() -> None:
    """Adam7 of 3 x 2, as in test_raster: passes 1, 4, 6 and 7 hold (0,0), (2,0), (1,0) and the second row."""
    values = [1000, 3000, 2000, 4000, 5000, 60000]
    pixel = [struct.pack(">3H", value, value, value) for value in values]
    rows = b"\0" + pixel[0] + b"\0" + pixel[1] + b"\0" + pixel[2] + b"\0" + b"".join(pixel[3:])
    header = struct.pack(">IIBBBBB", 3, 2, 16, 2, 0, 0, 1)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in parts
    )
    assert decode(b"\x89PNG\r\n\x1a\n" + body).pixels.tolist() == [[1000, 2000, 3000], [4000, 5000, 60000]]
