"""Maps come back under exactly the key that they were kept under."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxrviewer.archive.explanations import ExplanationCache
from cxrviewer.archive.rows import ExplanationKey
from cxrviewer.classifiers.targets import Target
from cxrviewer.explainers.explainer import Explanation
from cxrviewer.labels import Head

KEY = ExplanationKey(
    "ab" * 32,
    1,
    "cd" * 32,
    "lime",
    Target(Head.FINDINGS, "Pneumonia"),
    (("samples", 100), ("seed", 0)),
    "0.1.0",
)


def explanation_of(key: ExplanationKey, side: int = 3) -> Explanation:
    grid = np.random.default_rng(0).standard_normal((side, side)).astype(np.float32)
    segments = np.arange(16, dtype=np.int32).reshape(4, 4)
    return Explanation(
        key.method, key.target, grid, (12, 8), {"samples": 100}, {"r2": 0.5}, 0.25, key.digest,
        key.weights_sha256, segments,
    )  # fmt: skip


def test_a_map_comes_back_bit_for_bit(tmp_path: Path) -> None:
    cache, saved = ExplanationCache(tmp_path), explanation_of(KEY)
    assert cache.get(KEY) is None
    cache.put(KEY, saved)
    found = ExplanationCache(tmp_path).get(KEY)
    assert found is not None
    np.testing.assert_array_equal(found.grid, saved.grid)
    assert found.segments is not None
    np.testing.assert_array_equal(found.segments, saved.segments)
    assert found.grid.dtype == np.float32
    assert (found.method, found.target, found.shape) == (saved.method, saved.target, saved.shape)
    assert (found.parameters, found.admits, found.seconds) == (saved.parameters, saved.admits, saved.seconds)


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, digest="ef" * 32),
        replace(KEY, frame=2),
        replace(KEY, weights_sha256="ef" * 32),
        replace(KEY, method="gradcam"),
        replace(KEY, target=Target(Head.PNEUMONIA, "pneumonia")),
        replace(KEY, options=(("samples", 100), ("seed", 1))),
        replace(KEY, app_version="0.2.0"),
    ],
)
def test_every_part_of_the_key_counts(tmp_path: Path, other: ExplanationKey) -> None:
    cache = ExplanationCache(tmp_path)
    cache.put(KEY, explanation_of(KEY))
    assert cache.get(other) is None


def test_the_order_of_options_does_not_count() -> None:
    assert replace(KEY, options=tuple(reversed(KEY.options))).name == KEY.name


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"not a zip at all"])
def test_a_damaged_map_is_dropped(tmp_path: Path, damage: bytes) -> None:
    cache = ExplanationCache(tmp_path)
    cache.put(KEY, explanation_of(KEY))
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(damage)
    assert cache.get(KEY) is None
    assert not path.exists()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_map_is_dropped(tmp_path: Path, share: float) -> None:
    cache = ExplanationCache(tmp_path)
    cache.put(KEY, explanation_of(KEY, side=40))
    (path,) = tmp_path.rglob("*.npz")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert cache.get(KEY) is None


def test_the_longest_unused_go_when_the_cap_is_passed(tmp_path: Path) -> None:
    keys = [replace(KEY, frame=number) for number in range(1, 7)]
    size_of_one = 0
    cache = ExplanationCache(tmp_path, max_bytes=10**9)
    for age, key in enumerate(keys):
        cache.put(key, explanation_of(key, side=40))
        path = tmp_path / key.digest / f"{key.name}.npz"
        size_of_one = path.stat().st_size
        os.utime(path, (1000 + age, 1000 + age))
    assert cache.get(keys[0]) is not None, "used now, so the youngest"
    small = ExplanationCache(tmp_path, max_bytes=5 * size_of_one)
    newest = replace(KEY, frame=99)
    small.put(newest, explanation_of(newest, side=40))
    kept = [key.frame for key in [*keys, newest] if small.get(key) is not None]
    assert kept[0] == 1 and kept[-1] == 99
    assert len(kept) == 4, "down to 80 % of five"
    assert 2 not in kept and 3 not in kept
