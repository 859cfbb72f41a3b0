"""Real DICOM files and photographs, where they are at hand (marker `data`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cxrviewer.errors import CxrError
from cxrviewer.studies.opening import open_path, open_study
from cxrviewer.studies.radiograph import SpacingReference, View, VoiLut
from cxrviewer.studies.sources import Source, iter_sources

pytestmark = pytest.mark.data

REFUSED = {
    "badVR.dcm": "unsupported",  # a dose distribution as well
    "dwv-test_no-number-rows.dcm": "unreadable",
    "emri_small_jpeg_2k_lossless_too_short.dcm": "unreadable",
    "rtplan_truncated.dcm": "unreadable",
    "empty.dcm": "unreadable",
    "jpeg_truncated.jpg": "unreadable",
    "text.dcm": "unreadable",
    "truncated_header.dcm": "unreadable",
}
"""`explicit_VR-UN.dcm` is odd but whole (every VR is UN): it is read."""

CHEST = "dicom/gdcm-CR-MONO1-10-chest.dcm"


@pytest.mark.parametrize("name", ["implicit_le", "deflated", "rle", "j2k_lossless", "2frames"])
def test_lossless_variants_of_one_chest_are_bit_identical(real_data: Path, name: str) -> None:
    original, variant = open_path(real_data / CHEST), open_path(real_data / f"dicom_derived/chest_{name}.dcm")
    np.testing.assert_array_equal(original.pixels, variant.pixels)
    np.testing.assert_array_equal(original.presentation(), variant.presentation())
    assert (original.inverted, original.voi) == (variant.inverted, variant.voi)


def test_the_other_polarity_with_its_mirrored_window_is_the_same_picture(real_data: Path) -> None:
    """Stored 1023 - v; its window was mirrored to 473, one off the exact 474, hence half a grey level of 1023."""
    original, variant = (
        open_path(real_data / CHEST),
        open_path(real_data / "dicom_derived/chest_mono2_window.dcm"),
    )
    assert original.inverted and not variant.inverted
    np.testing.assert_array_equal(original.pixels, 1023 - variant.pixels)
    np.testing.assert_allclose(original.presentation(), variant.presentation(), atol=1.01 / 1023)


@pytest.mark.parametrize("name", ["mono2_16bit_rescale_nowindow", "voilut"])
def test_variants_with_another_window_show_the_same_chest(real_data: Path, name: str) -> None:
    original = open_path(real_data / CHEST).presentation()
    opened = open_path(real_data / f"dicom_derived/chest_{name}.dcm")
    assert np.corrcoef(original.ravel(), opened.presentation().ravel())[0, 1] > 0.97
    assert isinstance(opened.voi, VoiLut) == (name == "voilut")
    assert (opened.voi is None) == (name != "voilut")


def test_the_second_frame_is_chosen(real_data: Path) -> None:
    """Both frames of this file hold the same picture."""
    data = (real_data / "dicom_derived/chest_2frames.dcm").read_bytes()
    first, second = open_study(data, 1), open_study(data, 2)
    assert (first.frame, second.frame, second.frames) == (1, 2, 2)
    assert first.digest == second.digest
    np.testing.assert_array_equal(first.pixels, second.pixels)


def test_a_chest_stands_upright_and_dark_where_there_is_air(real_data: Path) -> None:
    """Both chests are MONOCHROME1: lungs darker than the mediastinum between them."""
    for name in (CHEST, "dicom/RG1_J2KI.dcm"):
        opened = open_path(real_data / name)
        height, width = opened.shape
        rows = slice(int(0.35 * height), int(0.55 * height))
        picture = opened.presentation()[rows]
        middle = picture[:, int(0.46 * width) : int(0.54 * width)].mean()
        lungs = [picture[:, int(a * width) : int((a + 0.1) * width)].mean() for a in (0.22, 0.68)]
        assert max(lungs) < middle
        assert (opened.metadata.view, opened.metadata.body_part) == (View.PA, "CHEST")


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_malformed_files_are_refused_for_the_right_reason(real_data: Path, name: str) -> None:
    (path,) = (real_data / "dicom_bad").rglob(name)
    with pytest.raises(CxrError) as caught:
        open_path(path)
    assert caught.value.kind == REFUSED[name]
    assert caught.value.message.endswith(".") and caught.value.remedy


def test_what_is_not_a_chest_opens_all_the_same(real_data: Path) -> None:
    """Opening is not judging: only the segmentation and the dose distribution are no pictures."""
    fates = {}
    for source in iter_sources([real_data / "ood"]):
        assert isinstance(source, Source)
        try:
            opened = open_study(source.read())
        except CxrError as error:
            fates[Path(source.name).name] = error.kind
            continue
        assert np.isfinite(opened.pixels).all() and opened.pixels.std() > 0
        shaded = opened.presentation()
        assert shaded.min() >= 0 and shaded.max() <= 1
    assert fates == {"liver_nonbyte_aligned_rle.dcm": "unsupported", "rtdose.dcm": "unsupported"}


def test_three_ways_to_write_one_ct_slice(real_data: Path) -> None:
    first, *others = [open_path(path).pixels for path in sorted((real_data / "ood/dicom").glob("CTImage*"))]
    assert len(others) == 2
    for other in others:
        np.testing.assert_array_equal(first, other)


def test_spacing_of_real_files(real_data: Path) -> None:
    dental = open_path(real_data / "ood/dicom/CR-ModalitySequenceLUT.dcm").spacing
    assert dental is not None and dental.reference is SpacingReference.DETECTOR and dental.row_mm == 0.15
    assert open_path(real_data / CHEST).spacing is None


def test_many_real_jpegs_open_as_themselves(real_data: Path) -> None:
    paths = sorted((real_data / "kermany/train/NORMAL").iterdir())[:20]
    for path in paths:
        opened = open_path(path)
        assert opened.metadata.format == "JPEG" and opened.full_range[1] <= 255
