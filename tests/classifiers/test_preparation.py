"""Every way of preparing a picture: what the network sees, and that a map comes back to where it was seen."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrviewer.classifiers.architecture import InputSpec
from cxrviewer.classifiers.card import InputCard
from cxrviewer.classifiers.framing import Frame
from cxrviewer.classifiers.harmonising import HARMONISE, quantiles
from cxrviewer.classifiers.placing import bringing, find_chest, lungs_box, template_of, with_margin
from cxrviewer.classifiers.preparer import NOT_FOUND, Preparer
from cxrviewer.classifiers.preparing import enlarge, normalise, prepare, prepare_small, standardise
from cxrviewer.classifiers.references import HISTOGRAM, MEAN_CHEST, PLACE
from cxrviewer.classifiers.shrinking import shrink
from cxrviewer.explainers.baselines import endpoints
from cxrviewer.studies.radiograph import Metadata, Radiograph, Window, WindowFunction

SIZE = 64
sides = st.integers(100, 400)
places = st.floats(0.3, 0.7)
LUNGS = "any@" + "0" * 64


class FixedLungs:
    """A lung network that sees two lungs in the same place of every picture, or none at all."""

    size = 32

    def __init__(self, *parts: tuple[int, int, int, int]) -> None:
        self.mask = np.zeros((32, 32), np.float32)
        for top, left, bottom, right in parts:
            self.mask[top:bottom, left:right] = 1

    def segment(self, small: np.ndarray) -> np.ndarray:
        assert small.shape == (32, 32)
        return self.mask


PAIR = ((8, 6, 26, 14), (8, 18, 26, 28))
"""As a box: rows 8 to 26, columns 6 to 28 of 32."""
SPECS = {
    f"{lungs}-{shape}": InputSpec(
        SIZE,
        resize=shape,
        lungs=lungs,
        place=PLACE if lungs == "align" else (),
        template=MEAN_CHEST if lungs == "template" else "",
        lungs_model=LUNGS if lungs in ("align", "crop") else "",
    )
    for lungs in ("none", "template", "align", "crop")
    for shape in ("squash", "crop")
}


def preparer(spec: InputSpec, *parts: tuple[int, int, int, int]) -> Preparer:
    return Preparer(spec, FixedLungs(*(parts or PAIR)) if spec.lungs in ("align", "crop") else None)  # type: ignore[arg-type]


def film(height: int, width: int, seed: int = 1) -> Radiograph:
    pixels = np.random.default_rng(seed).integers(0, 4096, (height, width)).astype(np.float32)
    return Radiograph(pixels, "0" * 64, Metadata("DICOM"), Window(2000, 3000, WindowFunction.LINEAR_EXACT))


@pytest.mark.parametrize("name", SPECS)
@settings(max_examples=25, deadline=None)
@given(height=sides, width=sides, down=places, across=places)
def test_a_square_comes_back_where_it_was(
    name: str, height: int, width: int, down: float, across: float
) -> None:
    """Whatever the aspect and the option: to within half a cell of the network's grid; 0 outside what it saw."""
    side = max(min(height, width) // 12, 8)
    top, left = int(down * height) - side // 2, int(across * width) - side // 2
    picture = np.zeros((height, width), np.float32)
    picture[top : top + side, left : left + side] = 1
    prepared = preparer(SPECS[name]).picture(picture)
    frame = prepared.frame
    back = frame.put_back(prepared.square, picture.shape, enlarge)
    assert back.shape == picture.shape and back.dtype == np.float32
    rows, columns = frame.within(picture.shape)
    outside = np.ones(picture.shape, np.bool_)
    outside[rows, columns] = False
    assert not back[outside].any()
    inside = (
        rows.start <= top
        and top + side <= rows.stop
        and columns.start <= left
        and left + side <= columns.stop
    )
    if inside:  # a central square may have left it out
        grid = np.indices(picture.shape)
        found = (grid * back).sum((1, 2)) / back.sum()
        assert abs(found[0] - (top + (side - 1) / 2)) <= frame.height / SIZE / 2
        assert abs(found[1] - (left + (side - 1) / 2)) <= frame.width / SIZE / 2
        assert back[top + side // 2, left + side // 2] > 0.6 * back.max()


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("shape", [(300, 210), (150, 400)])
def test_a_film_is_prepared_as_a_training_picture(name: str, shape: tuple[int, int]) -> None:
    """House rule 8: the same for both, to float32's rounding."""
    radiograph, made = film(*shape), preparer(SPECS[name])
    served, trained = made.film(radiograph), made.picture(radiograph.presentation())
    assert served.frame == trained.frame and served.notes == trained.notes
    np.testing.assert_allclose(served.square, trained.square, atol=1e-5)


def test_the_default_is_what_it_was_to_the_bit() -> None:
    radiograph, spec = film(500, 431), InputSpec(160)
    (square,) = shrink(radiograph, 160).squares
    np.testing.assert_array_equal(Preparer(spec).film(radiograph).square, square)
    picture = radiograph.presentation()
    assert torch.equal(prepare_small(Preparer(spec).picture(picture).square, spec), prepare(picture, spec))
    assert spec.words() == (
        "160 px, squash, bilinear, antialiased; per image: minus mean, divided by standard deviation"
    )


def test_a_card_from_before_there_was_a_choice_means_the_default() -> None:
    card = InputCard(
        size=160,
        resize="squash, bilinear, antialiased",
        normalisation="per image: minus mean, divided by standard deviation",
    )
    assert card.spec() == InputSpec(160)


@pytest.mark.parametrize("name", SPECS)
def test_a_card_keeps_how_pictures_are_prepared(name: str) -> None:
    spec = dataclasses.replace(
        SPECS[name], harmonise="histogram", reference=HISTOGRAM, normalisation="imagenet"
    )
    card = InputCard.model_validate_json(InputCard(**dataclasses.asdict(spec)).model_dump_json())
    assert card.spec() == spec and spec.known


@pytest.mark.parametrize(
    "change",
    [
        {"resize": "letterbox"},
        {"normalisation": "0 to 255"},
        {"harmonise": "histogram"},
        {"harmonise": "histogram", "reference": (0.5, 0.2)},
        {"lungs": "align", "lungs_model": LUNGS},
        {"lungs": "align", "lungs_model": LUNGS, "place": (0.5, 0.1, 0.4, 0.9)},
        {"lungs": "crop"},
        {"lungs": "template", "template": "00ff"},
        {"lungs": "template", "template": "no numbers"},
    ],
)
def test_a_way_that_is_not_known_is_told(change: dict[str, object]) -> None:
    assert not InputSpec(SIZE, **change).known  # type: ignore[arg-type]


def test_a_central_square_by_hand() -> None:
    assert Frame.central_square((100, 161)) == Frame(0, 30, 100, 100)
    assert Frame.central_square((7, 4)) == Frame(1, 0, 4, 4)


def test_a_box_beyond_the_picture_is_black_there_by_hand() -> None:
    picture = np.float32([[1, 2], [3, 4]])
    frame = Frame(-1, 1, 3, 2)
    np.testing.assert_array_equal(frame.cut(picture), [[0, 0], [2, 0], [4, 0]])
    back = frame.put_back(np.float32([[9, 9], [5, 9], [6, 9]]), (2, 2), lambda grid, _shape: grid)
    np.testing.assert_array_equal(back, [[0, 5], [0, 6]])


def test_lungs_are_brought_to_their_place() -> None:
    """PAIR's box, rows 8 to 26 and columns 6 to 28 of 32, comes to lie at PLACE of the square."""
    picture = np.zeros((320, 640), np.float32)
    picture[80:260, 120:560] = 1
    square = preparer(SPECS["align-squash"]).picture(picture).square
    rows, columns = np.flatnonzero((square > 0.5).any(1)), np.flatnonzero((square > 0.5).any(0))
    found = (rows[0] / SIZE, columns[0] / SIZE, (rows[-1] + 1) / SIZE, (columns[-1] + 1) / SIZE)
    np.testing.assert_allclose(found, PLACE, atol=1.5 / SIZE)


def test_the_lungs_box_with_its_margin_by_hand() -> None:
    box = (8 / 32, 6 / 32, 26 / 32, 28 / 32)
    assert lungs_box(FixedLungs(*PAIR).mask) == box
    np.testing.assert_allclose(with_margin(box), (6.56 / 32, 4.24 / 32, 27.44 / 32, 29.76 / 32))
    frame = preparer(SPECS["crop-squash"]).picture(np.zeros((320, 320), np.float32)).frame
    assert frame == Frame(66, 42, 208, 256)


def test_a_stray_piece_is_no_lung() -> None:
    assert lungs_box(FixedLungs(*PAIR, (0, 30, 2, 32)).mask) == lungs_box(FixedLungs(*PAIR).mask)


@pytest.mark.parametrize("parts", [((0, 0, 0, 0),), ((0, 0, 4, 4),), ((0, 0, 32, 32),), ((0, 0, 32, 6),)])
@pytest.mark.parametrize("name", ["align-squash", "crop-crop"])
def test_lungs_that_are_not_found_are_admitted(
    name: str, parts: tuple[tuple[int, int, int, int], ...]
) -> None:
    """Nothing, a speck, everything, a stripe: the picture is used as it is, and the reader is told."""
    spec = SPECS[name]
    picture = np.random.default_rng(1).random((200, 300)).astype(np.float32)
    prepared = preparer(spec, *parts).picture(picture)
    plain = Preparer(InputSpec(SIZE, resize=spec.resize)).picture(picture)
    assert prepared.notes == (NOT_FOUND,)
    np.testing.assert_array_equal(prepared.square, plain.square)


def test_a_move_far_beyond_belief_is_none() -> None:
    assert bringing((0.4, 0.4, 0.5, 0.5), (0.1, 0.1, 0.9, 0.9)) is None
    np.testing.assert_allclose(
        bringing((0.2, 0.2, 0.8, 0.8), (0.25, 0.25, 0.75, 0.75)), (-0.1, -0.1, 1.1, 1.1)
    )


@pytest.mark.parametrize(
    ("scale", "down", "across"), [(1.0, 0.0, 0.0), (0.85, 0.05, -0.1), (1.15, -0.06, 0.04)]
)
def test_a_mean_chest_that_was_moved_is_found(scale: float, down: float, across: float) -> None:
    """The mean chest itself, set into a picture somewhere else: its box is found again, by a few hundredths."""
    chest = template_of(MEAN_CHEST).numpy()
    top, left = 0.5 + down - scale / 2, 0.5 + across - scale / 2
    places = (np.arange(64) + 0.5) / 64
    rows = np.clip(((places - top) / scale * 32).astype(int), 0, 31)
    columns = np.clip(((places - left) / scale * 32).astype(int), 0, 31)
    found = find_chest(chest[rows][:, columns].astype(np.float32), template_of(MEAN_CHEST))
    assert found is not None
    np.testing.assert_allclose(found, (top, left, top + scale, left + scale), atol=0.06)


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_a_flat_picture_has_no_chest_and_survives_everything(grey: float) -> None:
    picture = np.full((120, 90), grey, np.float32)
    for name, spec in SPECS.items():
        for harmonise in HARMONISE:
            asked = dataclasses.replace(spec, harmonise=harmonise, reference=HISTOGRAM)
            square = preparer(asked).picture(picture).square
            assert np.isfinite(square).all() and square.min() >= 0 and square.max() <= 1, (name, harmonise)
    assert Preparer(SPECS["template-squash"]).picture(picture).notes == (NOT_FOUND,)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.floats(0.5, 2), st.floats(0.3, 1))
def test_matching_takes_a_machines_own_curve_away(seed: int, gamma: float, contrast: float) -> None:
    """The same film through another gamma and contrast comes out the same, and with the stored histogram."""
    spec = InputSpec(SIZE, harmonise="histogram", reference=HISTOGRAM)
    square = np.random.default_rng(seed).random((SIZE, SIZE)).astype(np.float32)
    one, other = (Preparer(spec).picture(p).square for p in (square, contrast * square ** np.float32(gamma)))
    assert np.abs(one - other).max() < 0.03  # linear between 33 steps
    np.testing.assert_allclose(quantiles(one, 33), HISTOGRAM, atol=0.02)


def test_matching_keeps_the_order_of_greys() -> None:
    square = np.linspace(0.2, 0.6, SIZE * SIZE, dtype=np.float32).reshape(SIZE, SIZE)
    matched = Preparer(InputSpec(SIZE, harmonise="histogram", reference=HISTOGRAM)).picture(square).square
    assert (np.diff(matched.ravel()) >= 0).all()
    assert matched.ravel()[0] == pytest.approx(HISTOGRAM[0]) and matched.max() == pytest.approx(HISTOGRAM[-1])


def test_black_around_a_moved_picture_stays_black() -> None:
    """And takes no part in the matching: half of the square must not decide what the other half becomes."""
    spec = dataclasses.replace(SPECS["align-squash"], harmonise="histogram", reference=HISTOGRAM)
    lungs = ((0, 6, 20, 14), (0, 18, 20, 28))  # at the upper rim: brought down
    picture = np.random.default_rng(1).random((320, 320)).astype(np.float32)
    prepared = preparer(spec, *lungs).picture(picture)
    above = round(-prepared.frame.top * SIZE / prepared.frame.height)
    assert above >= 4 and not prepared.square[: above - 1].any()
    inside = prepared.square[above:]
    assert np.median(inside[inside > 0]) == pytest.approx(HISTOGRAM[16], abs=0.05)


def test_normalisations_by_hand() -> None:
    picture = torch.tensor([0.0, 0.5, 1.0, 0.5]).reshape(1, 1, 2, 2)

    def of(name: str, channels: int = 1) -> list[list[float]]:
        found = normalise(picture, InputSpec(SIZE, channels, normalisation=name))
        return [[round(float(v), 3) for v in plane.ravel()] for plane in found[0]]

    assert of("zero-one") == [[0, 0.5, 1, 0.5]]
    assert of("minus-one-one", 3) == [[-1, 0, 1, 0]] * 3
    assert of("xrv") == [[-1024, 0, 1024, 0]]
    assert of("imagenet")[0][0] == round(-0.449 / 0.226, 3)
    assert [plane[2] for plane in of("imagenet", 3)] == [
        round((1 - mean) / std, 3) for mean, std in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))
    ]
    assert torch.equal(normalise(picture, InputSpec(SIZE)), standardise(picture))


@pytest.mark.parametrize("name", ["zero-one", "minus-one-one", "imagenet", "xrv"])
def test_a_path_begins_and_ends_with_what_the_network_is_given(name: str) -> None:
    """A fixed normalisation needs no constants of the picture's own."""
    picture, spec = (
        np.random.default_rng(1).random((SIZE, SIZE)).astype(np.float32),
        InputSpec(SIZE, 3, normalisation=name),
    )
    start, end = endpoints(picture, "black", spec)
    assert torch.equal(end, prepare_small(picture, spec))
    assert torch.equal(start, prepare_small(np.zeros_like(picture), spec))
