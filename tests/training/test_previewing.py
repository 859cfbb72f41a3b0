"""What a person is shown of each change before a run."""

from __future__ import annotations

import numpy as np
import pytest

from cxrviewer.training.config import Augmentation, Preparation
from cxrviewer.training.previews import STILL, TOGETHER, changes, preparation_preview, previews

ALL_ON = Augmentation(flip=True, surroundings=0.5, blend=0.5)


def chest(seed: int = 1, height: int = 90, width: int = 120) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(seed).random((height, width)) * 0.1
    return (0.2 + 0.5 * columns / width + 0.2 * rows / height + noise).astype(np.float32)


def lungs(height: int = 90, width: int = 120) -> np.ndarray:
    mask = np.zeros((height, width), np.float32)
    mask[20:70, 20:100] = 1
    return mask


def test_every_field_is_shown_once_and_then_all_together() -> None:
    found = previews(chest(), ALL_ON, 1, mask=lungs(), other=1 - chest(2), other_mask=lungs())
    assert [one.name for one in found] == [*Augmentation.model_fields, TOGETHER]
    assert all(one.before.shape == one.after.shape == (160, 160) for one in found)
    assert all(one.on and value > 0.3 for one, value in zip(found, changes(found).values(), strict=True))


def test_what_is_off_changes_nothing() -> None:
    found = previews(chest(), STILL, 1)
    assert [one.name for one in found if one.on] == [TOGETHER]
    assert max(changes(found).values()) <= 0.1  # the grey of 0 is lifted by 1/10,000


def test_flip_is_a_mirror_to_the_bit() -> None:
    flip = next(
        one for one in previews(chest(), STILL.model_copy(update={"flip": True}), 1) if one.name == "flip"
    )
    assert np.abs(flip.after.astype(int) - flip.before[:, ::-1]).max() <= 1


def test_the_same_seed_shows_the_same() -> None:
    one, again, other = (previews(chest(), Augmentation(), seed)[-1].after for seed in (1, 1, 2))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_without_a_second_picture_mixing_shows_nothing() -> None:
    found = changes(previews(chest(), ALL_ON, 1))
    assert found["surroundings"] == pytest.approx(0, abs=0.1) and found["blend"] == pytest.approx(0, abs=0.1)


def test_preparation_is_shown_step_by_step() -> None:
    asked = Preparation(shape="crop", harmonise="histogram", lungs="template")
    found = {one.name: one for one in preparation_preview(chest(), asked)}
    assert list(found) == ["shape", "lungs", "harmonise", TOGETHER]
    assert found["shape"].on and not np.array_equal(found["shape"].after, found["shape"].before)
    assert found["lungs"].on
    (lost,) = [
        one for one in preparation_preview(np.zeros((90, 120), np.float32), asked) if one.name == "lungs"
    ]
    assert "not found" in lost.note
    assert not any(one.on for one in preparation_preview(chest(), Preparation()))
