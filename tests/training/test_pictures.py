"""Pictures in memory, and the batches that are dealt from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cxrviewer.classifiers.preparing import InputSpec, prepare
from cxrviewer.errors import UnreadableError
from cxrviewer.training.config import Augmentation
from cxrviewer.training.pictures import (
    Batch,
    EpochBatches,
    Pictures,
    inside_lungs,
    load_all,
    load_picture,
    order_of,
    read_grey,
)  # fmt: skip


def made(count: int = 10, side: int = 32) -> Pictures:
    pixels = np.random.default_rng(1).integers(0, 255, (count, side, side), np.uint8)
    targets = np.arange(count, dtype=np.float32)[:, None]
    return Pictures(pixels, np.zeros_like(pixels), np.zeros(count, np.bool_), targets)


def batches(
    pictures: Pictures, order: list[int], augmentation: Augmentation | None, size: int = 4
) -> list[Batch]:
    return list(EpochBatches(
        pictures, np.array(order), batch_size=size, spec=InputSpec(32), seed=1, epoch=0, augmentation=augmentation,
    ))  # fmt: skip


def test_eight_and_sixteen_bit_mean_the_same(tmp_path: Path) -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(grey).save(tmp_path / "8.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "16.png")
    Image.fromarray(np.dstack([grey] * 3 + [np.full_like(grey, 255)])).save(tmp_path / "rgba.png")
    for name in ("16.png", "rgba.png"):
        np.testing.assert_allclose(read_grey(tmp_path / name), read_grey(tmp_path / "8.png"), atol=1e-6)
    assert read_grey(tmp_path / "8.png").max() == pytest.approx(63 / 255)


def test_content_decides_and_damage_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.bmp")
    (tmp_path / "a.bmp").rename(tmp_path / "a.png")
    with pytest.raises(UnreadableError, match=r"a\.png cannot be read"):
        read_grey(tmp_path / "a.png")


def test_a_training_picture_is_what_serving_sees(tmp_path: Path) -> None:
    """Up to the rounding to 8 bit: half of 1/255, divided by the deviation of about 0.29."""
    grey = np.random.default_rng(2).integers(0, 255, (50, 70), np.uint8)
    Image.fromarray(grey).save(tmp_path / "a.png")
    pictures = Pictures(
        load_picture(tmp_path / "a.png", 32)[None], np.zeros((1, 32, 32), np.uint8), np.zeros(1, np.bool_),
        np.zeros((1, 1), np.float32),
    )  # fmt: skip
    (batch,) = batches(pictures, [0], None)
    served = prepare(grey.astype(np.float32) / 255, InputSpec(32))
    deviation = float(read_grey(tmp_path / "a.png").std())
    assert float((batch.pictures - served).abs().max()) < 0.6 / 255 / deviation * 4
    assert batch.pictures.shape == served.shape


def test_a_mask_is_the_share_of_lung_and_devices_count_as_outside(tmp_path: Path) -> None:
    mask = np.zeros((4, 4), np.uint8)
    mask[:, :2] = 255
    mask[:2, 2:] = 127
    Image.fromarray(mask).save(tmp_path / "m.png")
    np.testing.assert_array_equal(inside_lungs(read_grey(tmp_path / "m.png")), mask == 255)


def test_absent_files_are_zeros(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 200, np.uint8)).save(tmp_path / "a.png")
    loaded = load_all([None, tmp_path / "a.png"], 32)
    assert (loaded[0].max(), loaded[1].min()) == (0, 200)


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 30)), min_size=1, max_size=3),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_every_picture_comes_before_any_comes_twice(
    pools: list[tuple[int, int]], epoch: int, seed: int
) -> None:
    sizes = [size for size, _ in pools]
    starts = np.cumsum([0, *sizes])
    arrays = [
        (np.arange(start, start + size), draws) for start, (size, draws) in zip(starts, pools, strict=False)
    ]
    order = order_of(epoch, seed, arrays)
    for pool, draws in arrays:
        counts = np.bincount(order, minlength=starts[-1])[pool]
        assert counts.sum() == draws
        assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(order, order_of(epoch, seed, arrays))


def test_the_short_batch_is_dropped_in_training_only() -> None:
    assert [len(b.targets) for b in batches(made(), list(range(10)), Augmentation())] == [4, 4]
    assert [len(b.targets) for b in batches(made(), list(range(10)), None)] == [4, 4, 2]


def test_targets_follow_their_pictures() -> None:
    order = [7, 1, 3, 9]
    (batch,) = batches(made(), order, None)
    assert batch.targets[:, 0].tolist() == order
    grey = made().pixels[order].astype(np.float32)
    wanted = (grey - grey.mean((1, 2), keepdims=True)) / grey.std((1, 2), keepdims=True)
    torch.testing.assert_close(batch.pictures[:, 0], torch.from_numpy(wanted), atol=1e-4, rtol=0)


def test_one_picture_drawn_twice_is_changed_in_two_ways() -> None:
    (batch,) = batches(made(), [5, 5, 5, 5], Augmentation())
    assert not torch.equal(batch.pictures[0], batch.pictures[1])
    (again,) = batches(made(), [5, 5, 5, 5], Augmentation())
    assert torch.equal(batch.pictures, again.pictures)
