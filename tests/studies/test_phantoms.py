"""Phantoms: the same seed is the same body, the planted opacity is where the mask says, the files are valid."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cxrviewer.errors import ConfigurationError
from cxrviewer.studies.phantom_anatomy import draw_anatomy, heart
from cxrviewer.studies.phantom_geometry import Canvas, capsule, ellipsoid, project, tube
from cxrviewer.studies.phantoms import (
    DEMO_SEEDS,
    Kind,
    Lesion,
    Phantom,
    Side,
    Zone,
    make_phantom,
    phantom_dicom,
    phantom_png,
)
from cxrviewer.studies.radiograph import View, Window

SMALL = 192


@cache
def phantom(seed: int, lesion: str | None = "consolidation") -> Phantom:
    return make_phantom(seed, size=SMALL, lesion=lesion)


# -- the film ----------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes() -> None:
    again = make_phantom(7, size=SMALL)
    assert np.array_equal(phantom(7).pixels, again.pixels)
    assert np.array_equal(phantom(7).lesion, again.lesion)
    assert phantom_dicom(phantom(7)) == phantom_dicom(again)
    assert phantom_png(phantom(7)) == phantom_png(again)


def test_another_seed_gives_another_body() -> None:
    assert phantom(1).body != phantom(2).body
    assert np.mean(phantom(1).pixels != phantom(2).pixels) > 0.5


@pytest.mark.parametrize("size", [64, 201, 512])
def test_shapes_and_types(size: int) -> None:
    made = make_phantom(3, size=size)
    assert made.pixels.shape == made.lesion.shape == made.lungs.shape == (size, size)
    assert (made.pixels.dtype, made.lesion.dtype, made.lungs.dtype) == (np.uint16, np.bool_, np.bool_)
    assert made.seed == 3
    assert made.view in (View.PA, View.AP)


def test_the_size_of_the_film_does_not_change_the_body_or_the_lesion() -> None:
    small, large = make_phantom(5, size=128), make_phantom(5, size=512)
    assert small.body == large.body
    assert small.planted == large.planted
    for name in ("lungs", "lesion"):
        reduced = getattr(large, name).reshape(128, 4, 128, 4).mean(axis=(1, 3)) > 0.5
        mask = getattr(small, name)
        assert (mask & reduced).sum() / (mask | reduced).sum() > 0.85


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_every_seed_looks_like_a_chest(seed: int) -> None:
    made = make_phantom(seed, size=96, lesion=None)
    values = made.pixels / 4095
    assert made.pixels.max() <= 4095
    assert 0.08 < made.lungs.mean() < 0.45
    # Air beside the neck is black, lung dark grey, the middle of the belly light.
    assert values[2, 2] < 0.1
    assert 0.28 < np.median(values[made.lungs]) < 0.50
    assert np.median(values[-8:, 40:56]) > 0.75
    left, right = made.lungs[:, 48:].sum(), made.lungs[:, :48].sum()
    assert 0.45 < left / right < 1.1, "the heart takes its room from the left lung"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_the_heart_lies_on_the_right_of_the_image(seed: int) -> None:
    body = draw_anatomy(seed)
    shadow = heart(body, body.canvas(64))
    assert (shadow.sum(axis=0) * body.canvas(64).x[0]).sum() / shadow.sum() > 5


def test_the_film_itself_shows_the_heart_on_the_right_of_the_image() -> None:
    for seed in range(6):
        values = phantom(seed, None).pixels.astype(float)
        rows = np.flatnonzero(phantom(seed, None).lungs.any(axis=1))
        band = values[rows[0] + int(0.6 * len(rows)) : rows[0] + int(0.75 * len(rows))]
        aside = SMALL * 50 // 376
        middle = SMALL // 2
        assert (
            band[:, middle + aside // 2 : middle + aside].mean()
            > band[:, middle - aside : middle - aside // 2].mean()
        )


def test_the_right_dome_stands_higher() -> None:
    for seed in range(20):
        right, left = draw_anatomy(seed).domes
        assert right < left


# -- the lesion --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["consolidation", "nodule"])
@pytest.mark.parametrize("seed", range(6))
def test_the_lesion_is_in_the_lung_and_brighter_than_without_it(seed: int, kind: str) -> None:
    with_it, without = phantom(seed, kind), phantom(seed, None)
    assert with_it.lesion.any()
    assert not (with_it.lesion & ~with_it.lungs).any()
    gain = with_it.pixels.astype(int) - without.pixels.astype(int)
    assert gain[with_it.lesion].mean() > 100
    assert not gain[~with_it.lesion].any()


def test_without_a_lesion_the_mask_is_empty() -> None:
    assert not phantom(4, None).lesion.any()
    assert phantom(4, None).planted is None
    assert np.array_equal(make_phantom(4, size=SMALL, lesion="none").pixels, phantom(4, None).pixels)


@pytest.mark.parametrize("zone", list(Zone))
@pytest.mark.parametrize("side", list(Side))
def test_a_lesion_goes_where_it_was_wished(side: Side, zone: Zone) -> None:
    made = make_phantom(9, size=SMALL, lesion=Lesion(Kind.NODULE, side, zone, 0.5))
    row, column = np.argwhere(made.lesion).mean(axis=0)
    assert (column > SMALL / 2) == (side is Side.LEFT)
    half = made.lungs[:, SMALL // 2 :] if side is Side.LEFT else made.lungs[:, : SMALL // 2]
    rows = np.flatnonzero(half.any(axis=1))
    third = (row - rows[0]) / len(rows) * 3
    assert tuple(Zone).index(zone) - 0.25 < third < tuple(Zone).index(zone) + 1.25


def test_more_contrast_is_brighter() -> None:
    faint, strong = (
        make_phantom(2, size=SMALL, lesion=Lesion(Kind.CONSOLIDATION, contrast=c)) for c in (0.1, 0.6)
    )
    assert np.array_equal(faint.lesion, strong.lesion)
    assert strong.pixels[strong.lesion].mean() > faint.pixels[faint.lesion].mean() + 200


@pytest.mark.parametrize(
    "call",
    [
        lambda: make_phantom(1, lesion="mass"),
        lambda: make_phantom(1, size=32),
        lambda: make_phantom(-1),
        lambda: make_phantom(1, size=64, lesion=Lesion(contrast=1.5)),
        lambda: phantom_dicom(phantom(1), photometric="RGB"),
    ],
)
def test_a_wrong_wish_is_refused_with_a_remedy(call: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        call()
    assert caught.value.remedy


# -- the solids --------------------------------------------------------------------------------------


def test_path_lengths_have_the_volumes_of_the_textbook() -> None:
    canvas = Canvas(400, 100.0, -50.0)
    volume = ellipsoid(canvas, (3, -4), (20, 12, 9), 0.4).sum() * canvas.pixel**2
    assert volume == pytest.approx(4 / 3 * np.pi * 20 * 12 * 9, rel=0.01)
    # A round-ended cylinder of length 30 and radius 8 with its axis in the film: cylinder and one sphere.
    rounded = capsule(canvas, (-15, 0), (15, 0), 8).sum() * canvas.pixel**2
    assert rounded == pytest.approx(np.pi * 64 * 30 + 4 / 3 * np.pi * 512, rel=0.01)


def test_a_tube_casts_a_shadow_with_bright_rims_and_the_mass_of_its_wall() -> None:
    canvas = Canvas(400, 100.0, -50.0)
    path = np.stack([np.linspace(-30, 30, 50), np.zeros(50), np.zeros(50)], axis=1)
    shell = project(canvas, [tube(path, 5, 5, 1.0, step=0.2, marrow=0.0)], 0.3)
    assert shell.sum() * canvas.pixel**2 == pytest.approx(2 * np.pi * 5 * 60, rel=0.03)
    column = shell[:, 200]
    rows = (np.arange(400) + 0.5) * canvas.pixel - 50
    assert column[np.abs(rows) < 1].mean() == pytest.approx(2, rel=0.1), "two walls of 1 mm"
    assert column[np.abs(np.abs(rows) - 5) < 0.5].max() > 2 * column[np.abs(rows) < 1].mean()


def test_marrow_is_the_chord_of_the_tube() -> None:
    canvas = Canvas(400, 100.0, -50.0)
    path = np.stack([np.linspace(-30, 30, 50), np.zeros(50), np.linspace(-8, 8, 50)], axis=1)
    both, wall = (project(canvas, [tube(path, 5, 5, 1.0, step=0.2, marrow=m)], 0.3) for m in (1.0, 0.0))
    length = np.hypot(60, 16)
    assert (both - wall).sum() * canvas.pixel**2 == pytest.approx(np.pi * 25 * length, rel=0.03)


# -- the files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_dicom_gives_the_pixels_back(photometric: str) -> None:
    made = phantom(7)
    ds = pydicom.dcmread(io.BytesIO(phantom_dicom(made, photometric=photometric)))
    stored = ds.pixel_array
    assert ds.PhotometricInterpretation == photometric
    assert np.array_equal(4095 - stored if photometric == "MONOCHROME1" else stored, made.pixels)


def test_both_photometric_interpretations_show_the_same_picture() -> None:
    shown = []
    for photometric in ("MONOCHROME2", "MONOCHROME1"):
        ds = pydicom.dcmread(io.BytesIO(phantom_dicom(phantom(7), photometric=photometric)))
        values = ds.pixel_array.astype(np.float32)
        for centre, width in zip(ds.WindowCenter, ds.WindowWidth, strict=True):
            grey = Window(float(centre), float(width)).apply(values)
            shown.append(1 - grey if photometric == "MONOCHROME1" else grey)
    assert np.abs(shown[0] - shown[2]).max() < 1e-5
    assert np.abs(shown[1] - shown[3]).max() < 1e-5
    assert np.abs(shown[0] - phantom(7).pixels / 4095).max() < 1e-5


def test_the_header_says_that_it_is_a_phantom_of_a_chest() -> None:
    content = phantom_dicom(phantom(7))
    assert content[:128] == bytes(128)
    assert content[128:132] == b"DICM"
    ds = pydicom.dcmread(io.BytesIO(content))
    assert str(ds.PatientName) == "Phantom^Seed 7"
    assert "PHANTOM" in ds.StudyDescription
    assert (ds.Modality, ds.BodyPartExamined, ds.ViewPosition) == ("DX", "CHEST", phantom(7).view.value)
    assert len(ds.WindowCenter) == len(ds.WindowWidth) == len(ds.WindowCenterWidthExplanation) == 2
    field_mm = float(ds.ImagerPixelSpacing[0]) * ds.Rows
    assert 150 < field_mm < 450
    assert ds.BurnedInAnnotation == "NO"


def test_uids_follow_from_the_seed() -> None:
    first, again, other, bare = (
        pydicom.dcmread(io.BytesIO(phantom_dicom(p)))
        for p in (phantom(1), make_phantom(1, size=SMALL), phantom(2), phantom(1, None))
    )
    assert first.SOPInstanceUID == again.SOPInstanceUID
    assert first.StudyInstanceUID == bare.StudyInstanceUID
    assert len({d.SOPInstanceUID for d in (first, other, bare)}) == 3
    assert all(
        uid.is_valid for uid in (first.SOPInstanceUID, first.SeriesInstanceUID, first.StudyInstanceUID)
    )


def test_png_holds_the_upper_eight_bits() -> None:
    picture = Image.open(io.BytesIO(phantom_png(phantom(7))))
    assert picture.mode == "L"
    assert np.array_equal(np.asarray(picture), phantom(7).pixels // 16)


def test_the_demo_is_a_small_choice_of_seeds() -> None:
    assert 2 <= len(DEMO_SEEDS) == len(set(DEMO_SEEDS)) <= 6
