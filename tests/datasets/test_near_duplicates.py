"""The same picture in other clothes is found, and other pictures are not taken for it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from cxrviewer.datasets import Dataset, Row, near_duplicates, read_dataset
from cxrviewer.datasets.near_duplicates import find_duplicates
from cxrviewer.datasets.thumbnails import small_grey
from cxrviewer.errors import CancelledError, UnreadableError
from cxrviewer.studies.phantoms import make_phantom, phantom_dicom

KERMANY = Path(__file__).resolve().parents[3] / "shared" / "data" / "kermany"


def shape(seed: int, size: int = 160) -> np.ndarray:
    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), 12)
    low, high = smooth.min(), smooth.max()
    return ((smooth - low) / (high - low) * 255).astype(np.uint8)


def dataset_of(root: Path, *names: str) -> Dataset:
    return Dataset("x", root, tuple(Row(name, name, name, {}) for name in names), ())


def test_a_copy_a_smaller_one_and_a_brighter_one_are_found(tmp_path: Path) -> None:
    picture = Image.fromarray(shape(1))
    picture.save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes())
    picture.resize((90, 90)).save(tmp_path / "c.jpg", quality=70)
    Image.fromarray((shape(1) * 0.7 + 40).astype(np.uint8)).save(tmp_path / "d.png")
    Image.fromarray(shape(2)).save(tmp_path / "e.png")
    found = find_duplicates(dataset_of(tmp_path, "a.png", "b.png", "c.jpg", "d.png", "e.png"))
    assert {(pair.first, pair.second) for pair in found.pairs} == {
        (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3),
    }  # fmt: skip
    assert [pair.identical for pair in found.pairs] == [True] + [False] * 5
    assert all(pair.likeness >= near_duplicates.ALIKE for pair in found.pairs)
    assert found.compared == 5 and found.whole


def test_blocks_find_what_comparing_each_with_each_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2**63, (40, 4), dtype=np.uint64)
    flips = np.array([1 << int(bit) for bit in rng.integers(0, 60, 160)], np.uint64).reshape(40, 4)
    bits = np.concatenate([base, base ^ flips])
    monkeypatch.setattr(near_duplicates, "_ROWS", 7)
    monkeypatch.setattr(near_duplicates, "_COLUMNS", 13)
    found = set(near_duplicates._close(bits, np.arange(80), lambda _: None, lambda: False))
    apart = np.bitwise_count(bits[:, None] ^ bits[None]).sum(2)
    expected = {(i, j) for i in range(80) for j in range(i + 1, 80) if apart[i, j] <= near_duplicates.NEAR}
    assert found == expected and len(found) >= 40


def test_a_file_that_cannot_be_read_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    Image.fromarray(shape(1)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    found = find_duplicates(dataset_of(tmp_path, "a.png", "b.png", "gone.png"))
    assert found.unreadable == ("b.png", "gone.png") and found.compared == 1 and not found.pairs


def test_blank_pictures_are_not_alike_for_being_blank(tmp_path: Path) -> None:
    Image.new("L", (50, 50), 10).save(tmp_path / "a.png")
    Image.new("L", (50, 50), 200).save(tmp_path / "b.png")
    assert not find_duplicates(dataset_of(tmp_path, "a.png", "b.png")).pairs


def test_it_stops_when_no_longer_wanted_and_tells_how_far_it_is(tmp_path: Path) -> None:
    Image.fromarray(shape(1)).save(tmp_path / "a.png")
    data = dataset_of(tmp_path, "a.png")
    with pytest.raises(CancelledError):
        find_duplicates(data, cancelled=lambda: True)
    shares: list[float] = []
    find_duplicates(data, shares.append)
    assert shares == sorted(shares) and all(0 <= share <= 1 for share in shares)


def test_thumbnails_of_jpeg_png_deep_png_and_dicom() -> None:
    grey = shape(3)
    for kind, pixels in (("JPEG", grey), ("PNG", grey), ("PNG", grey.astype(np.uint16) * 257)):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, kind)
        small = small_grey(stream.getvalue(), 40)
        assert small.shape == (40, 40) and small.dtype == np.uint8
        assert np.abs(small.astype(int) - grey.reshape(40, 4, 40, 4).mean((1, 3))).max() < 6
    assert small_grey(phantom_dicom(make_phantom(1, size=128)), 64).shape == (64, 64)
    with pytest.raises(UnreadableError):
        small_grey(b"\xff\xd8\xff" + b"no more", 40)


@pytest.mark.data
def test_the_owners_list_is_found_and_nothing_else() -> None:
    if not KERMANY.is_dir():
        pytest.skip("../shared/data/kermany is absent")
    data = read_dataset("kermany", KERMANY)
    with (KERMANY / "near_duplicates.csv").open(encoding="utf-8") as file:
        listed = {
            frozenset(line[side].removeprefix("kermany/") for side in "ab") for line in csv.DictReader(file)
        }
    found = find_duplicates(data)
    assert {frozenset((data.rows[p.first].image, data.rows[p.second].image)) for p in found.pairs} == listed
