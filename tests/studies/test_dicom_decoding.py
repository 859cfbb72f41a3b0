"""The same known pixels, in every transfer syntax and pixel layout (promises G4 and G5)."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import uid
from pydicom.data import get_testdata_file
from support import dicom_files as files

from cxrviewer.errors import CxrError, NotFoundError, TooLargeError, UnreadableError, UnsupportedError
from cxrviewer.studies import limits
from cxrviewer.studies.opening import decode

HTJ2K = base64.b64decode(
    "/0//UQApQAAAAAAYAAAAEAAAAAAAAAAAAAAAGAAAABAAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCI"
    "kJCQkJCQkJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAJMAAf+TwAAm9f0FB3QAwAASgHgBh3QAwAAS"
    "wAATgPsAR3QAoor6AII0AMAAE0AAFUBi8YCLdABQoaD+AAhAd1YAwAAVEAAFcBBC+NpwAnUApCQSiUT64BD2IQHsuADAACsgABbI"
    "RERERPPwp6enwngASARBEARBEARB/v8QAQge/YQge/YQgey/AP/Z"
)
"""16 x 24 pixels of 16 bits, (37 y + 11 x) mod 1024, written once by OpenJPH 0.26.3."""


@pytest.mark.parametrize("syntax", [*files.NATIVE, *files.BY_PYDICOM, *files.BY_GDCM], ids=lambda s: s.name)
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_lossless_syntaxes_give_the_very_pixels(syntax: uid.UID, bits: int) -> None:
    pixels = files.ramp(top=(1 << bits) - 1).astype(np.uint8 if bits == 8 else np.uint16)
    opened = decode(files.encode(files.dataset(pixels, BitsStored=bits), syntax))
    np.testing.assert_array_equal(opened.pixels, pixels)
    assert opened.pixels.dtype == np.float32
    assert opened.metadata.transfer_syntax == syntax
    assert opened.metadata.bits_stored == bits


@pytest.mark.parametrize("syntax", [*files.NATIVE, *files.BY_PYDICOM, *files.BY_GDCM], ids=lambda s: s.name)
def test_signed_pixels_keep_their_sign(syntax: uid.UID) -> None:
    pixels = files.ramp(top=4095).astype(np.int16) - 2048
    opened = decode(files.encode(files.dataset(pixels, BitsStored=12), syntax))
    np.testing.assert_array_equal(opened.pixels, pixels)


def test_unused_high_bits_are_no_part_of_the_value() -> None:
    pixels = files.ramp(top=1023)
    opened = decode(files.encode(files.dataset(pixels | 0xF000, BitsStored=10)))
    np.testing.assert_array_equal(opened.pixels, pixels)


def test_jpeg_baseline_stays_within_its_loss() -> None:
    pixels = np.clip(files.ramp(64, 80, 255).cumsum(1) / 40, 0, 255).astype(np.uint8)
    made = files.dataset(pixels)
    opened = decode(files.encapsulated(made, uid.JPEGBaseline8Bit, [files.jpeg(pixels, 98)]))
    assert np.abs(opened.pixels - pixels).max() <= 4
    assert opened.metadata.lossy


def test_jpeg_2000_lossy_stays_within_its_loss() -> None:
    smooth = (files.ramp(64, 80, 4095).cumsum(1) / 40).clip(0, 4095).astype(np.uint16)
    made = files.dataset(smooth, BitsStored=12)
    made.compress(uid.JPEG2000, j2k_cr=[4], generate_instance_uid=False)
    opened = decode(files.encode(made, uid.JPEG2000))
    assert np.abs(opened.pixels - smooth).mean() < 8
    assert opened.metadata.lossy


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "JPEG-lossy.dcm"])
def test_jpeg_extended_of_12_bits_against_published_values(name: str) -> None:
    """pydicom ships both files; its own reference values, from another decoder, are 244 and 95 at these places."""
    path = get_testdata_file(name, download=False)
    assert path
    with open(path, "rb") as stream:  # noqa: PTH123 - pydicom gives text
        opened = decode(stream.read())
    assert opened.shape == (1024, 256)
    assert (opened.pixels[420, 140], opened.pixels[230, 120]) == (244, 95)


@pytest.mark.parametrize(
    "syntax", [uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K], ids=lambda s: s.name
)
def test_htj2k(syntax: uid.UID) -> None:
    y, x = np.mgrid[:16, :24]
    pixels = ((y * 37 + x * 11) % 1024).astype(np.uint16)
    opened = decode(files.encapsulated(files.dataset(pixels), syntax, [HTJ2K]))
    np.testing.assert_array_equal(opened.pixels, pixels)


@pytest.mark.parametrize("planar", [0, 1])
def test_rgb_becomes_luminance(planar: int) -> None:
    rgb = np.zeros((4, 6, 3), np.uint8)
    rgb[0, 0], rgb[0, 1], rgb[0, 2], rgb[3, 5] = (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90)
    made = files.dataset(rgb, PlanarConfiguration=planar)
    if planar:
        made.PixelData = rgb.transpose(2, 0, 1).tobytes()
    opened = decode(files.encode(made))
    # 0.299, 0.587 and 0.114 of 255, rounded; grey stays exactly what it was.
    assert opened.pixels[0, :3].tolist() == [76, 150, 29]
    assert opened.pixels[3, 5] == 90
    np.testing.assert_allclose(opened.presentation(), opened.pixels / 255, atol=1e-6)


def test_ybr_luminance_is_its_first_channel() -> None:
    ybr = np.full((4, 6, 3), 128, np.uint8)
    ybr[..., 0] = np.arange(24).reshape(4, 6)
    opened = decode(files.encode(files.dataset(ybr, PhotometricInterpretation="YBR_FULL")))
    np.testing.assert_array_equal(opened.pixels, ybr[..., 0])


def test_a_grey_picture_stored_as_colour_jpeg_keeps_its_grey() -> None:
    grey = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None], 32, 0)
    rgb = np.repeat(grey[..., None], 3, 2)
    for photometric in ("YBR_FULL_422", "RGB"):  # a JFIF picture is YBR, whatever the header calls it
        made = files.dataset(rgb, PhotometricInterpretation=photometric)
        opened = decode(files.encapsulated(made, uid.JPEGBaseline8Bit, [files.jpeg(rgb, 98)]))
        assert np.abs(opened.pixels - grey).max() <= 3


def test_one_picture_is_the_same_in_every_photometric_interpretation() -> None:
    """G5: the network's picture of grey values is one, whatever they are written as; never inverted, never mirrored."""
    grey = files.ramp(24, 30, 255).astype(np.uint8)
    window = {"WindowCenter": 127.5, "WindowWidth": 255, "VOILUTFunction": "LINEAR_EXACT"}
    rgb = np.repeat(grey[..., None], 3, 2)
    ybr = np.stack([grey, np.full_like(grey, 128), np.full_like(grey, 128)], -1)
    palette = files.dataset(255 - grey, PhotometricInterpretation="PALETTE COLOR")
    table = np.arange(255, -1, -1).astype("<u2") * 257
    for name in ("Red", "Green", "Blue"):
        setattr(palette, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(palette, f"{name}PaletteColorLookupTableData", table.tobytes())
    written = {
        "MONOCHROME2": files.dataset(grey, **window),
        "MONOCHROME1": files.dataset(255 - grey, PhotometricInterpretation="MONOCHROME1", **window),
        "INVERSE": files.dataset(255 - grey, PresentationLUTShape="INVERSE", **window),
        "RGB": files.dataset(rgb),
        "YBR_FULL": files.dataset(ybr, PhotometricInterpretation="YBR_FULL"),
        "PALETTE COLOR": palette,
    }
    expected = grey / np.float32(255)
    for name, made in written.items():
        shown = decode(files.encode(made)).presentation()
        np.testing.assert_allclose(shown, expected, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(decode(files.png(grey)).presentation(), expected, atol=1e-6)


def test_a_palette_is_looked_up() -> None:
    index = np.arange(4, dtype=np.uint8).reshape(2, 2)
    made = files.dataset(index, PhotometricInterpretation="PALETTE COLOR")
    for name, table in (("Red", [0, 65535, 0, 0]), ("Green", [0, 0, 65535, 0]), ("Blue", [0, 0, 0, 65535])):
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [4, 0, 16])
        setattr(made, f"{name}PaletteColorLookupTableData", np.array(table, "<u2").tobytes())
    opened = decode(files.encode(made))
    assert opened.pixels.ravel().tolist() == [0, 19595, 38469, 7471]


@pytest.mark.parametrize(
    "syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEG2000Lossless, uid.ExplicitVRBigEndian]
)
def test_each_frame_is_its_own(syntax: uid.UID) -> None:
    pixels = np.stack([files.ramp(33, 35, 255) + 1000 * i for i in range(3)]).astype(np.uint16)
    data = files.encode(files.dataset(pixels), syntax)
    for i in range(3):
        opened = decode(data, i + 1)
        assert (opened.frame, opened.frames) == (i + 1, 3)
        np.testing.assert_array_equal(opened.pixels, pixels[i])
    for wrong in (0, 4, -1):
        with pytest.raises(NotFoundError, match="holds 3"):
            decode(data, wrong)


def test_odd_sizes_of_8_bits_in_many_frames() -> None:
    pixels = np.stack([files.ramp(5, 7, 200), files.ramp(5, 7, 100)]).astype(np.uint8)
    np.testing.assert_array_equal(decode(files.encode(files.dataset(pixels)), 2).pixels, pixels[1])


@pytest.mark.parametrize("frame", [1, 2])
def test_big_endian_words_hold_bytes_in_swapped_pairs(frame: int) -> None:
    """PS3.5 8.1.1: 8-bit pixels as OW. The frames are odd, so the second one starts inside a word."""
    pixels = np.stack([files.ramp(5, 5, 200), files.ramp(5, 5, 90)]).astype(np.uint8)
    made = files.dataset(pixels)
    made.PixelData = np.frombuffer(pixels.tobytes(), "<u2").byteswap().tobytes()
    made["PixelData"].VR = "OW"
    made.file_meta.TransferSyntaxUID = uid.ExplicitVRBigEndian
    opened = decode(files.encode(made, uid.ExplicitVRBigEndian), frame)
    np.testing.assert_array_equal(opened.pixels, pixels[frame - 1])


def test_a_published_colour_picture_of_odd_size_in_big_endian() -> None:
    path = get_testdata_file("SC_rgb_small_odd_big_endian.dcm", download=False)
    other = get_testdata_file("SC_rgb_small_odd.dcm", download=False)
    assert path and other
    big, little = (decode(Path(name).read_bytes()) for name in (path, other))
    np.testing.assert_array_equal(big.pixels, little.pixels)


def test_a_dicomdir_where_a_picture_was_expected_is_named() -> None:
    path = get_testdata_file("DICOMDIR", download=False)
    assert path
    with pytest.raises(UnsupportedError, match=r"DICOMDIR.*Open the folder"):
        decode(Path(path).read_bytes())


@pytest.mark.parametrize(
    ("keyword", "tag"),
    [
        ("Rows", "0028,0010"),
        ("Columns", "0028,0011"),
        ("BitsAllocated", "0028,0100"),
        ("PhotometricInterpretation", "0028,0004"),
        ("PixelData", "7FE0,0010"),
    ],
)
def test_what_is_missing_is_named_by_its_tag(keyword: str, tag: str) -> None:
    made = files.dataset(files.ramp())
    delattr(made, keyword)
    with pytest.raises(UnreadableError, match=tag):
        decode(files.encode(made))


@pytest.mark.parametrize(
    ("attributes", "error", "words"),
    [
        ({"Rows": 33}, UnreadableError, "Pixel Data"),
        ({"NumberOfFrames": 2}, UnreadableError, "Pixel Data"),
        ({"Rows": 0}, UnreadableError, "zero"),
        ({"BitsStored": 17}, UnreadableError, "Bits Stored"),
        ({"HighBit": 15, "BitsStored": 12}, UnsupportedError, "High Bit"),
        ({"BitsAllocated": 32}, UnsupportedError, "32 bits"),
        ({"BitsAllocated": 1}, UnsupportedError, "1 bits"),
        ({"SamplesPerPixel": 3}, UnreadableError, "Samples per Pixel"),
        ({"PhotometricInterpretation": "HSV"}, UnsupportedError, "HSV"),
        ({"Modality": "RTDOSE"}, UnsupportedError, "RTDOSE"),
        ({"SOPClassUID": uid.SegmentationStorage}, UnsupportedError, "segmentation"),
        (
            {"SOPClassUID": uid.XRayRadiationDoseSRStorage, "PixelData": None},
            UnsupportedError,
            "X-Ray Radiation Dose SR",
        ),
        ({"SOPClassUID": "1.2.3.4", "PixelData": None}, UnreadableError, "7FE0,0010"),
    ],
)
def test_headers_that_do_not_fit(attributes: dict[str, Any], error: type[CxrError], words: str) -> None:
    with pytest.raises(error, match=words):
        decode(files.encode(files.dataset(files.ramp(), **attributes)))


def test_a_private_or_video_syntax_is_unsupported() -> None:
    video = files.encapsulated(files.dataset(files.ramp()), uid.MPEG4HP41, [b"\0" * 64])
    with pytest.raises(UnsupportedError, match="MPEG-4"):
        decode(video)
    private = video.replace(str(uid.MPEG4HP41).encode(), b"1.2.826.0.1.3680043.8.49999"[: len(uid.MPEG4HP41)])
    with pytest.raises(UnsupportedError, match="0002,0010"):
        decode(private)


def test_a_codestream_of_another_size_is_refused_before_it_is_decoded() -> None:
    pixels = files.ramp(16, 16, 255).astype(np.uint8)
    huge = bytearray(files.jpeg(pixels))
    place = huge.index(b"\xff\xc0") + 5
    huge[place : place + 4] = b"\xff\xff\xff\xff"  # 65,535 x 65,535
    with pytest.raises(TooLargeError, match="65535 x 65535"):
        decode(files.encapsulated(files.dataset(pixels), uid.JPEGBaseline8Bit, [bytes(huge)]))
    other = files.jpeg(files.ramp(8, 16, 255).astype(np.uint8))
    with pytest.raises(UnreadableError, match="16 x 8"):
        decode(files.encapsulated(files.dataset(pixels), uid.JPEGBaseline8Bit, [other]))


def test_a_jpeg_2000_bomb_is_refused_by_its_header() -> None:
    pixels = files.ramp()
    data = bytearray(files.encode(files.dataset(pixels), uid.JPEG2000Lossless))
    place = data.index(b"\xff\x4f\xff\x51") + 8
    data[place : place + 8] = (60_000).to_bytes(4, "big") * 2
    with pytest.raises(TooLargeError, match="60000 x 60000"):
        decode(bytes(data))


def test_the_pixel_cap_one_below_and_one_above(monkeypatch: pytest.MonkeyPatch) -> None:
    data = files.encode(files.dataset(files.ramp(32, 40)))
    monkeypatch.setattr(limits, "MAX_PIXELS", 32 * 40)
    decode(data)
    monkeypatch.setattr(limits, "MAX_PIXELS", 32 * 40 - 1)
    with pytest.raises(TooLargeError, match="40 x 32"):
        decode(data)


@pytest.mark.parametrize("syntax", [*files.NATIVE, *files.BY_PYDICOM, *files.BY_GDCM], ids=lambda s: s.name)
def test_a_cut_file_never_gives_pixels(syntax: uid.UID) -> None:
    data = files.encode(files.dataset(files.ramp(32, 32), WindowCenter=2000, WindowWidth=4000), syntax)
    decode(data)
    for size in [*range(0, len(data) - 1, max(1, len(data) // 60)), len(data) - 1]:
        with pytest.raises((UnreadableError, UnsupportedError)):
            decode(data[:size])


def test_a_cut_inside_the_compressed_frame_is_seen_although_the_items_close() -> None:
    pixels = files.ramp(64, 64, 255).astype(np.uint8)
    whole = files.jpeg(pixels)
    for size in (20, 200, len(whole) // 2, len(whole) - 2):
        with pytest.raises(UnreadableError):
            decode(files.encapsulated(files.dataset(pixels), uid.JPEGBaseline8Bit, [whole[:size]]))
