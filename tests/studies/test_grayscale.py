"""Modality LUT -> VOI -> polarity, each by arrays that were worked out by hand (PS3.3 C.11.1, C.11.2, C.11.6)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from support import dicom_files as files

from cxrviewer.errors import UnreadableError
from cxrviewer.studies.opening import decode
from cxrviewer.studies.radiograph import Radiograph, VoiLut, Window, WindowFunction

BOTH_VRS = pytest.mark.parametrize(
    "syntax",
    [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian],
    ids=lambda s: s.name,
)


def opened(
    values: list[int], dtype: str = "u2", syntax: uid.UID = uid.ExplicitVRLittleEndian, **attributes: Any
) -> Radiograph:
    """A radiograph of one row."""
    return decode(files.encode(files.dataset(np.array([values], np.dtype(dtype)), **attributes), syntax))


def table(
    first: int, entries: list[int], bits: int = 16, explanation: str = "", signed: bool = False
) -> Sequence:
    """A LUT sequence of one item with 16-bit entries."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if signed else "US", [len(entries), first, bits])
    item.add_new("LUTData", "OW", np.array(entries, "<u2").tobytes())
    if explanation:
        item.LUTExplanation = explanation
    return Sequence([item])


def test_rescale_is_a_line() -> None:
    """C.11.1.1.2: output = m * SV + b."""
    radiograph = opened([0, 1, 10], RescaleSlope="2.5", RescaleIntercept="-4")
    assert radiograph.pixels.tolist() == [[-4, -1.5, 21]]
    assert radiograph.full_range == (-4, 21)


def test_a_slope_of_zero_is_refused() -> None:
    with pytest.raises(UnreadableError, match="0028,1053"):
        opened([0, 1, 2, 3], RescaleSlope="0", RescaleIntercept="5")


@BOTH_VRS
def test_a_modality_table_clamps_at_both_ends(syntax: uid.UID) -> None:
    """C.11.1.1: stored 10 takes the first entry, 12 the last; below and above them the same two."""
    lut = table(10, [100, 300, 200])
    if syntax == uid.ExplicitVRBigEndian:
        lut[0].LUTData = np.array([100, 300, 200], ">u2").tobytes()
    radiograph = opened([0, 10, 11, 12, 13, 60000], syntax=syntax, ModalityLUTSequence=lut)
    assert radiograph.pixels.tolist() == [[100, 100, 300, 200, 200, 200]]


@BOTH_VRS
def test_a_signed_table_starts_below_zero(syntax: uid.UID) -> None:
    lut = table(-2, [7, 8, 9], signed=True)
    if syntax == uid.ExplicitVRBigEndian:
        lut[0].LUTData = np.array([7, 8, 9], ">u2").tobytes()
    radiograph = opened([-100, -2, -1, 0, 5], "i2", syntax, ModalityLUTSequence=lut)
    assert radiograph.pixels.tolist() == [[7, 7, 8, 9, 9]]


def test_a_modality_table_stands_before_a_rescale() -> None:
    radiograph = opened(
        [0, 1], ModalityLUTSequence=table(0, [50, 60]), RescaleSlope="2", RescaleIntercept="0"
    )
    assert radiograph.pixels.tolist() == [[50, 60]]


def test_entries_of_8_bits_may_be_packed() -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4, 0, 8])
    item.add_new("LUTData", "OW", bytes([0, 51, 102, 255]))
    radiograph = opened([0, 1, 2, 3], VOILUTSequence=Sequence([item]))
    np.testing.assert_allclose(radiograph.presentation(), [[0, 0.2, 0.4, 1]], atol=1e-6)


def test_a_table_shorter_than_it_says_is_refused() -> None:
    lut = table(0, [1, 2])
    lut[0].LUTDescriptor = [5, 0, 16]
    with pytest.raises(UnreadableError, match="0028,3006"):
        opened([0, 1], ModalityLUTSequence=lut)


def test_the_order_is_modality_then_voi_then_polarity() -> None:
    """Stored 0, 1, 2 -> modality 10, 20, 30 -> VOI table from 20: 0, 0, 1 -> MONOCHROME1: 1, 1, 0."""
    radiograph = opened(
        [0, 1, 2],
        RescaleSlope="10",
        RescaleIntercept="10",
        VOILUTSequence=table(20, [0] * 10 + [65535], explanation="CHEST"),
        WindowCenter="500",
        WindowWidth="10",
        PhotometricInterpretation="MONOCHROME1",
    )
    assert isinstance(radiograph.voi, VoiLut) and radiograph.voi.name == "CHEST"
    assert radiograph.presentation().tolist() == [[1, 1, 0]]
    assert [preset.center for preset in radiograph.presets] == [500]


def test_a_voi_table_is_divided_by_what_its_bits_allow() -> None:
    radiograph = opened([0, 1, 2], VOILUTSequence=table(0, [0, 512, 1023], bits=10))
    np.testing.assert_allclose(radiograph.presentation(), [[0, 512 / 1023, 1]], atol=1e-6)


def test_presets_keep_their_order_names_and_function() -> None:
    radiograph = opened(
        [0, 1],
        WindowCenter=["100", "50"],
        WindowWidth=["200", "60"],
        WindowCenterWidthExplanation=["NORMAL", "HARDER"],
        VOILUTFunction="SIGMOID",
    )
    assert radiograph.presets == (
        Window(100, 200, WindowFunction.SIGMOID, "NORMAL"),
        Window(50, 60, WindowFunction.SIGMOID, "HARDER"),
    )
    assert radiograph.voi == radiograph.presets[0]


@pytest.mark.parametrize(
    ("function", "width", "kept"),
    [
        ("LINEAR", "1", 1),
        ("LINEAR", "0.5", 0),
        ("LINEAR_EXACT", "0.5", 1),
        ("SIGMOID", "0", 0),
        ("LINEAR", "-4", 0),
    ],
)
def test_windows_that_are_not_allowed_are_left_out(function: str, width: str, kept: int) -> None:
    """C.11.2.1.2 and C.11.2.1.3: LINEAR needs a width of at least 1, the others one above 0."""
    radiograph = opened([0, 1], WindowCenter="5", WindowWidth=width, VOILUTFunction=function)
    assert len(radiograph.presets) == kept
    assert (radiograph.voi is None) == (kept == 0)


def test_linear_by_hand() -> None:
    """C.11.2.1.2, note 3: center 2048, width 4096 takes 0 to black and 4095 to white; here c=128, w=256 on 0..255."""
    shaded = Window(128, 256).apply(np.array([-1, 0, 127.5, 255, 300], np.float32))
    np.testing.assert_allclose(shaded, [0, 0, 0.5, 1, 1], atol=1e-6)


def test_linear_exact_by_hand() -> None:
    """C.11.2.1.3.2: (x - c) / w + 0.5."""
    shaded = Window(10, 4, WindowFunction.LINEAR_EXACT).apply(np.array([8, 9, 10, 12, 13], np.float32))
    np.testing.assert_allclose(shaded, [0, 0.25, 0.5, 1, 1])


def test_sigmoid_by_hand() -> None:
    """C.11.2.1.3.1: 1 / (1 + exp(-4 (x - c) / w))."""
    shaded = Window(10, 4, WindowFunction.SIGMOID).apply(np.array([10, 11, 6], np.float32))
    np.testing.assert_allclose(shaded, [0.5, 1 / (1 + np.exp(-1)), 1 / (1 + np.exp(4))], rtol=1e-5)


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME2", None, False),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME1", None, True),
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME2", "INVERSE", True),
    ],
)
def test_polarity_is_never_applied_twice(photometric: str, shape: str | None, inverted: bool) -> None:
    attributes = {"PresentationLUTShape": shape} if shape else {}
    radiograph = opened(
        [0, 100], PhotometricInterpretation=photometric, WindowCenter="50.5", WindowWidth="101", **attributes
    )
    assert radiograph.inverted == inverted
    assert radiograph.presentation().tolist() == [[1, 0] if inverted else [0, 1]]


def test_the_two_polarities_of_one_picture_look_the_same() -> None:
    """G5: MONOCHROME1 is MONOCHROME2 turned over, its window mirrored (c' = top + 1 - c for LINEAR)."""
    pixels = files.ramp(top=1023)
    one = decode(
        files.encode(
            files.dataset(pixels, PhotometricInterpretation="MONOCHROME1", WindowCenter=400, WindowWidth=600)
        )
    )
    two = decode(files.encode(files.dataset(1023 - pixels, WindowCenter=1024 - 400, WindowWidth=600)))
    np.testing.assert_allclose(one.presentation(), two.presentation(), atol=1e-6)


def test_padding_is_black_and_no_part_of_the_statistics() -> None:
    """C.7.5.1.1.2: the value is a stored one, compared before the rescale."""
    radiograph = opened(
        [0, 5, 10, 65535],
        PixelPaddingValue=65535,
        RescaleSlope="2",
        RescaleIntercept="0",
        PhotometricInterpretation="MONOCHROME1",
    )
    assert radiograph.padding is not None and radiograph.padding.tolist() == [[False, False, False, True]]
    assert radiograph.full_range == (0, 20)
    assert radiograph.presentation()[0, 3] == 0
    assert radiograph.display(invert=True)[0, 3] in (0, 255)


@pytest.mark.parametrize(("value", "limit"), [(10, 12), (12, 10)])
def test_padding_may_be_a_range_in_either_order(value: int, limit: int) -> None:
    radiograph = opened([9, 10, 11, 12, 13], PixelPaddingValue=value, PixelPaddingRangeLimit=limit)
    assert radiograph.padding is not None and radiograph.padding.tolist() == [
        [False, True, True, True, False]
    ]


@BOTH_VRS
def test_signed_padding(syntax: uid.UID) -> None:
    radiograph = opened([-2000, 0, 7], "i2", syntax, PixelPaddingValue=-2000)
    assert radiograph.padding is not None and radiograph.padding.tolist() == [[True, False, False]]


def test_a_padding_value_that_does_not_occur_leaves_no_mask() -> None:
    assert opened([0, 1], PixelPaddingValue=9).padding is None


def test_functional_groups_speak_for_their_frame() -> None:
    """C.7.6.16: rescale and window of a frame, before those of the top level."""

    def group(center: float, slope: float) -> Dataset:
        voi, pixel, outer = Dataset(), Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth = center, 10
        pixel.RescaleSlope, pixel.RescaleIntercept, pixel.RescaleType = slope, 0, "US"
        outer.FrameVOILUTSequence, outer.PixelValueTransformationSequence = Sequence([voi]), Sequence([pixel])
        return outer

    pixels = np.arange(8, dtype=np.uint16).reshape(2, 2, 2)
    made = files.dataset(
        pixels,
        PerFrameFunctionalGroupsSequence=Sequence([group(1, 1), group(2, 3)]),
        WindowCenter=99,
        WindowWidth=9,
    )
    second = decode(files.encode(made), 2)
    assert second.presets == (Window(2, 10),)
    np.testing.assert_array_equal(second.pixels, pixels[1] * 3)


@given(st.floats(-5000, 5000), st.floats(1, 5000), st.sampled_from(list(WindowFunction)))
def test_every_window_rises_and_stays_in_range(center: float, width: float, function: WindowFunction) -> None:
    shaded = Window(center, width, function).apply(np.linspace(-12000, 12000, 513, dtype=np.float32))
    assert shaded.min() >= 0 and shaded.max() <= 1
    assert bool((np.diff(shaded) >= 0).all())
