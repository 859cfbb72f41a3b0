"""What the scope network learns from: outliers that are pictures, the same for the same seed, and told apart."""

from __future__ import annotations

import socket
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from cxrviewer.classifiers.preparing import reduce
from cxrviewer.classifiers.scope import SCOPE_SIZE
from cxrviewer.studies.phantoms import make_phantom
from cxrviewer.training import outliers
from cxrviewer.training.outliers import DRAWINGS, SPOILERS, make_outliers
from cxrviewer.training.scope_fit import (
    OUTLIERS,
    QUANTILE,
    ScopeRecipe,
    choose_threshold,
    scope_logits,
    train_scope,
)

Picture = NDArray[np.float32]
spoilers = pytest.mark.parametrize("spoil", sorted(set(SPOILERS), key=lambda f: f.__name__))
drawings = pytest.mark.parametrize("draw", [drawing for drawing, _ in DRAWINGS])


def rng(seed: int | tuple[int, int] = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def chest(seed: int) -> Picture:
    return reduce(make_phantom(seed, size=96).pixels.astype(np.float32) / 4095, SCOPE_SIZE)


@pytest.fixture(scope="module")
def chests() -> NDArray[np.float32]:
    return np.stack([chest(seed) for seed in range(14)])


def is_picture(found: Picture) -> None:
    assert found.shape == (SCOPE_SIZE, SCOPE_SIZE)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert found.min() >= 0 and found.max() <= 1


@spoilers
def test_a_spoilt_chest_is_a_picture_and_another_one(
    spoil: Callable[..., Picture], chests: NDArray[np.float32]
) -> None:
    one, before = chests[0], chests[0].copy()
    for seed in range(60):
        found = spoil(one, rng(seed))
        is_picture(np.asarray(found))
        assert np.abs(found - before).mean() > 0.02, f"seed {seed}"
    assert np.array_equal(one, before), "the chest itself is left alone"


@spoilers
def test_spoiling_repeats_by_seed(spoil: Callable[..., Picture], chests: NDArray[np.float32]) -> None:
    assert np.array_equal(spoil(chests[0], rng(5)), spoil(chests[0], rng(5)))


@drawings
def test_a_drawing_is_a_picture_once_it_is_clipped(draw: Callable[..., Picture]) -> None:
    for seed in range(8):
        found = np.clip(draw(SCOPE_SIZE, rng(seed)), 0, 1)
        is_picture(found)
        assert found.std() > 1e-3 or seed  # an empty corner of one is possible, not of the first
    assert np.array_equal(draw(SCOPE_SIZE, rng(5)), draw(SCOPE_SIZE, rng(5)))
    assert not np.array_equal(draw(SCOPE_SIZE, rng(5)), draw(SCOPE_SIZE, rng(6)))


def test_how_often_each_is_drawn_adds_up() -> None:
    assert sum(weight for _, weight in DRAWINGS) == pytest.approx(1)


def test_the_spoilers_do_what_they_are_called(chests: NDArray[np.float32]) -> None:
    one = chests[0]
    assert np.array_equal(outliers._upside_down(one, rng()), np.flipud(one))
    assert np.allclose(outliers._negative(one, rng()), 1 - one)
    turned = {outliers._turn(one, rng(seed)).tobytes() for seed in range(20)}
    assert turned == {np.rot90(one, k).tobytes() for k in (1, 2, 3)}
    pieces = outliers._jigsaw(one, rng(3))
    assert np.array_equal(np.sort(pieces, axis=None), np.sort(one, axis=None))


def test_many_outliers(chests: NDArray[np.float32]) -> None:
    found = make_outliers(chests, 40, rng())
    assert found.shape == (40, SCOPE_SIZE, SCOPE_SIZE) and found.dtype == np.float32
    for picture in found:
        is_picture(picture)
    assert np.array_equal(found, make_outliers(chests, 40, rng()))
    assert len({picture.tobytes() for picture in found}) > 30


def test_no_photograph_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    outliers._photographs.cache_clear()
    photographs = outliers._photographs()
    assert len(photographs) == 16
    for photograph in photographs:
        assert photograph.ndim == 2 and photograph.dtype == np.float32
        assert 0 <= photograph.min() < photograph.max() <= 1


RECIPE = ScopeRecipe(epochs=1, pictures=256, batch_size=32)


def test_a_recipe_gives_the_same_network_again(chests: NDArray[np.float32]) -> None:
    small, told = ScopeRecipe(epochs=2, pictures=8, batch_size=8), []
    pools = [chests[:8], chests[8:]]
    networks = [train_scope(pools, small, lambda *news: told.append(news)) for _ in range(2)]
    one, other = (network.state_dict() for network in networks)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert [epoch for epoch, _ in told] == [0, 1, 0, 1]
    assert told[:2] == told[2:] and all(0 < loss < 5 for _, loss in told)
    assert not networks[0].training


def test_an_epoch_shorter_than_a_batch_still_has_a_step(chests: NDArray[np.float32]) -> None:
    told: list[float] = []
    train_scope([chests], ScopeRecipe(1, pictures=3, batch_size=16), lambda _, loss: told.append(loss))
    assert len(told) == 1 and np.isfinite(told[0])


@pytest.mark.slow
def test_one_epoch_tells_phantoms_from_drawings(chests: NDArray[np.float32]) -> None:
    """Plumbing, not performance: with other seeds than those it learnt from."""
    network = train_scope([chests[:8]], RECIPE, lambda *_: None)
    others = make_outliers(chests[8:], 60, rng(99))
    scores = np.concatenate([scope_logits(network, chests[8:]), scope_logits(network, others)])
    truth = np.repeat([1, 0], [6, 60])
    assert roc_auc_score(truth, scores) > 0.8


def test_logits_come_picture_by_picture(chests: NDArray[np.float32]) -> None:
    network = train_scope([chests], ScopeRecipe(1, 8, 8), lambda *_: None)
    many = np.concatenate([chests] * 20)  # more than one batch of 256
    found = scope_logits(network, many)
    assert found.shape == (280,) and found.dtype == np.float32
    assert np.allclose(found[266:], found[:14], atol=1e-5)
    assert np.allclose(scope_logits(network, chests[3:4]), found[3], atol=1e-5)


def test_the_threshold_refuses_the_stated_share_of_new_outliers(chests: NDArray[np.float32]) -> None:
    """And is the same for the same seed; another seed makes other outliers."""
    network = train_scope([chests], ScopeRecipe(1, 8, 8), lambda *_: None)
    threshold = choose_threshold(network, chests, seed=5)
    logits = scope_logits(network, make_outliers(chests, OUTLIERS, rng((5, 2))))
    assert (logits < threshold).mean() == pytest.approx(QUANTILE, abs=1 / OUTLIERS)
    assert choose_threshold(network, chests, seed=5) == threshold != choose_threshold(network, chests, seed=6)
