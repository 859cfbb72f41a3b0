"""JPEG and PNG: known pixels, orientation, damage, and what is refused."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from support import dicom_files as files

from cxrviewer.errors import CxrError, NotFoundError, TooLargeError, UnreadableError, UnsupportedError
from cxrviewer.studies import limits
from cxrviewer.studies.opening import decode
from cxrviewer.studies.raster import IDENTITY_8BIT


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def saved(image: Image.Image, format_: str, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()


def test_grey_png_of_8_bits_is_the_identity() -> None:
    pixels = files.ramp(31, 17, 255).astype(np.uint8)
    opened = decode(files.png(pixels))
    np.testing.assert_array_equal(opened.pixels, pixels)
    assert opened.voi == IDENTITY_8BIT
    np.testing.assert_array_equal(opened.display(), pixels)
    np.testing.assert_allclose(opened.presentation(), pixels / 255, atol=1e-6)
    assert (opened.metadata.format, opened.metadata.bits_stored, opened.metadata.lossy) == ("PNG", 8, False)


def test_grey_png_of_16_bits_keeps_every_value_and_states_no_window() -> None:
    pixels = files.ramp(31, 17, 65535)
    opened = decode(files.png(pixels))
    np.testing.assert_array_equal(opened.pixels, pixels)
    assert opened.voi is None and opened.metadata.bits_stored == 16


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_png_mode_gives_its_luminance(mode: str) -> None:
    grey = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8))
    np.testing.assert_array_equal(decode(saved(grey.convert(mode), "PNG")).pixels, [[0, 255], [255, 0]])


def test_jpeg_grey_and_colour() -> None:
    pixels = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (32, 1))
    for picture in (pixels, np.repeat(pixels[..., None], 3, 2)):
        opened = decode(files.jpeg(picture, 98))
        assert np.abs(opened.pixels - pixels).max() <= 3
        assert opened.metadata.format == "JPEG" and opened.metadata.lossy


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_brings_the_picture_upright(kind: str, orientation: int) -> None:
    """Bright where the file's first row and column meet; CIPA DC-008: where that corner belongs."""
    stored = np.zeros((32, 48), np.uint8)
    stored[:16, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = decode(saved(Image.fromarray(stored), kind, exif=exif))
    turned = orientation >= 5
    assert opened.shape == ((48, 32) if turned else (32, 48))
    row, column = {
        1: (0, 0),
        2: (0, -1),
        3: (-1, -1),
        4: (-1, 0),
        5: (0, 0),
        6: (0, -1),
        7: (-1, -1),
        8: (-1, 0),
    }[orientation]
    corners = {place: opened.pixels[place] for place in ((0, 0), (0, -1), (-1, 0), (-1, -1))}
    assert max(corners, key=lambda place: corners[place]) == (row, column)


def test_nonsense_in_exif_is_passed_over() -> None:
    data = files.jpeg(np.zeros((16, 16), np.uint8))
    broken = (
        data[:2]
        + b"\xff\xe1"
        + struct.pack(">H", 30)
        + b"Exif\0\0"
        + b"II*\0\xff\xff\xff\xff"
        + b"\0" * 14
        + data[2:]
    )
    assert decode(broken).shape == (16, 16)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "progressive"])
def test_a_cut_picture_never_gives_pixels(kind: str) -> None:
    pixels = Image.fromarray(files.ramp(64, 64, 255).astype(np.uint8))
    options = {"progressive": True} if kind == "progressive" else {}
    data = saved(pixels, "PNG" if kind == "PNG" else "JPEG", **options)
    decode(data)
    for size in [*range(0, len(data) - 1, max(1, len(data) // 80)), len(data) - 1]:
        with pytest.raises(UnreadableError):
            decode(data[:size])


def test_a_flipped_bit_in_a_png_is_seen() -> None:
    data = bytearray(files.png(files.ramp(64, 64, 255).astype(np.uint8)))
    data[len(data) // 2] ^= 4
    with pytest.raises(UnreadableError, match="checksum"):
        decode(bytes(data))


def test_a_png_whose_pixels_end_early_is_refused() -> None:
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0))
    data += chunk(b"IDAT", zlib.compress(bytes(65 * 20))) + chunk(b"IEND", b"")
    with pytest.raises(UnreadableError, match="rows are missing"):
        decode(data)


def test_an_interlaced_png() -> None:
    """Adam7 of a 3 x 2 picture has the passes 1 (1 pixel), 4 (1 in 2), 6 (1) and 7 (3): written here by hand."""
    # Row 0: 10 20 30, row 1: 40 50 60. Pass 1: (0,0); pass 4: (2,0); pass 6: (1,0); pass 7: row 1.
    rows = bytes([0, 10, 0, 30, 0, 20, 0, 40, 50, 60])
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 1))
    data = start + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert decode(data).pixels.tolist() == [[10, 20, 30], [40, 50, 60]]
    with pytest.raises(UnreadableError, match="rows are missing"):
        decode(start + chunk(b"IDAT", zlib.compress(rows[:-1])) + chunk(b"IEND", b""))


def test_an_animated_png_is_unsupported() -> None:
    frames = [Image.fromarray(np.full((8, 8), value, np.uint8)) for value in (0, 255)]
    with pytest.raises(UnsupportedError, match="Animated"):
        decode(saved(frames[0], "PNG", save_all=True, append_images=frames[1:]))


def test_a_cmyk_jpeg_is_unsupported() -> None:
    with pytest.raises(UnsupportedError, match="4 channels"):
        decode(saved(Image.new("CMYK", (16, 16)), "JPEG"))


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0), TooLargeError),
        (struct.pack(">IIBBBBB", 0, 5, 8, 0, 0, 0, 0), UnreadableError),
        (struct.pack(">IIBBBBB", 5, 5, 7, 0, 0, 0, 0), UnreadableError),
        (b"short", UnreadableError),
    ],
)
def test_png_headers_that_make_no_sense(header: bytes, error: type[CxrError]) -> None:
    with pytest.raises(error):
        decode(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def test_pixel_cap_one_below_and_one_above(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [files.png(np.zeros((20, 30), np.uint8)), files.jpeg(np.zeros((20, 30), np.uint8))]
    monkeypatch.setattr(limits, "MAX_PIXELS", 600)
    assert [decode(data).shape for data in pictures] == [(20, 30)] * 2
    monkeypatch.setattr(limits, "MAX_PIXELS", 599)
    for data in pictures:
        with pytest.raises(TooLargeError, match="30 x 20"):
            decode(data)


def test_a_text_bomb_in_a_png_is_never_inflated() -> None:
    bomb = zlib.compress(bytes(200 << 20), 9)
    data = files.png(np.zeros((8, 8), np.uint8))
    place = data.index(b"IDAT") - 4
    data = data[:place] + chunk(b"zTXt", b"k\0\0" + bomb) + chunk(b"iCCP", b"k\0\0" + bomb) + data[place:]
    assert decode(data).shape == (8, 8)


def test_there_is_one_frame() -> None:
    with pytest.raises(NotFoundError, match="holds 1"):
        decode(files.png(np.zeros((8, 8), np.uint8)), 2)
