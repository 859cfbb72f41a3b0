"""Pictures that are the same, or nearly: by their bytes, by a fingerprint of 256 bits, then by their pixels.

Every file is read once. The fingerprint says for 16 x 16 places whether the picture gets brighter to the right
(a difference hash), which a change of size, of compression or of window hardly moves. Chest radiographs resemble each
other, so a pair also has to agree pixel by pixel at 32 x 32. 100,000 pictures are 5 billion pairs: compared in blocks
that fit a processor's cache, they take well under a minute (docs/decisions/0035-training-room-pages.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxrviewer.datasets.dataset import Dataset, Row
from cxrviewer.datasets.thumbnails import Grey, small_grey
from cxrviewer.errors import CancelledError, CxrError

BITS = 256
NEAR = 20
"""Bits that may differ. The owner's own list of near-duplicates of Kermany et al. goes as far."""
ALIKE = 0.985
"""Least correlation of the two pictures at 32 x 32, after taking away their means."""
MOST_PAIRS = 20_000
"""More are not listed: a folder that holds everything twice is told from fewer."""
THREADS = 2
_SIDE = 32
_ROWS, _COLUMNS = 64, 4096
"""A block of comparisons: its numbers stay in the processor's cache."""
_TALLY = 64
"""Pictures between two words about progress."""

Progress = Callable[[float], None]
Cancelled = Callable[[], bool]


@dataclass(frozen=True)
class Pair:
    """Two pictures, by their place among the rows. bits: that differ, of 256; likeness: correlation at 32 x 32."""

    first: int
    second: int
    identical: bool
    bits: int
    likeness: float


@dataclass(frozen=True)
class Duplicates:
    """pairs: the likest first. unreadable: pictures that could not be compared. whole: False where pairs were cut."""

    pairs: tuple[Pair, ...]
    unreadable: tuple[str, ...]
    compared: int
    whole: bool


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """Of N pictures. bits: uint64 (N, 4); small: uint8 (N, 32, 32); digests: (N,) of sha256; readable: bool (N,)."""

    bits: NDArray[np.uint64]
    small: Grey
    digests: tuple[bytes, ...]
    readable: NDArray[np.bool_]


def find_duplicates(
    dataset: Dataset, progress: Progress = lambda _: None, cancelled: Cancelled = lambda: False
) -> Duplicates:
    """Compare every picture with every other. Raises CancelledError soon after `cancelled` turns true."""
    prints = fingerprints(dataset, lambda share: progress(0.8 * share), cancelled)
    pairs, whole = near_pairs(prints, lambda share: progress(0.8 + 0.2 * share), cancelled)
    unreadable = tuple(row.image for row, fine in zip(dataset.rows, prints.readable, strict=True) if not fine)
    return Duplicates(pairs, unreadable, int(prints.readable.sum()), whole)


def fingerprints(dataset: Dataset, progress: Progress, cancelled: Cancelled) -> Fingerprints:
    """Read every picture once."""
    count = len(dataset.rows)
    small, digests = np.zeros((count, _SIDE, _SIDE), np.uint8), [b""] * count
    readable = np.zeros(count, np.bool_)

    def take(index: int) -> None:
        if not cancelled():
            found = _taken(dataset, dataset.rows[index])
            if found is not None:
                digests[index], small[index] = found
                readable[index] = True

    with ThreadPoolExecutor(THREADS) as pool:
        for done, _ in enumerate(pool.map(take, range(count)), 1):
            _stop_if(cancelled)
            if done % _TALLY == 0:
                progress(done / count)
    return Fingerprints(hash_bits(small), small, tuple(digests), readable)


def _taken(dataset: Dataset, row: Row) -> tuple[bytes, Grey] | None:
    try:
        data = dataset.picture(row).read_bytes()
        grey = small_grey(data, 4 * _SIDE)
    except (OSError, CxrError):
        return None
    square = Image.fromarray(grey).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return hashlib.sha256(data).digest(), np.asarray(square)


def hash_bits(small: Grey) -> NDArray[np.uint64]:
    """uint8 (N, 32, 32) -> uint64 (N, 4): 16 rows of 16 steps to the right, one bit a step."""
    rows = small.reshape(len(small), 16, 2, _SIDE).mean(2, dtype=np.float32)
    # 17 columns over 32: places between them are mixed of two, so that every step is equally long.
    at = np.linspace(0, _SIDE - 1, 17)
    left = np.minimum(at.astype(np.int64), _SIDE - 2)
    mixed = rows[:, :, left] * (1 - (at - left)) + rows[:, :, left + 1] * (at - left)
    steps = (mixed[:, :, 1:] > mixed[:, :, :-1]).reshape(len(small), BITS)
    return np.packbits(steps, axis=1).view(np.uint64).reshape(len(small), 4)


def near_pairs(
    prints: Fingerprints, progress: Progress = lambda _: None, cancelled: Cancelled = lambda: False
) -> tuple[tuple[Pair, ...], bool]:
    """The pairs, the likest first, and whether they are all. Flat pictures are compared by their bytes alone."""
    flat = prints.small.reshape(len(prints.small), -1).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    length = np.linalg.norm(flat, axis=1)
    usable = np.flatnonzero(prints.readable & (length > _SIDE))
    found = dict.fromkeys(_identical(prints), True)
    for first, second in _close(prints.bits, usable, progress, cancelled):
        if len(found) >= MOST_PAIRS:
            break
        likeness = float(flat[first] @ flat[second] / (length[first] * length[second]))
        if likeness >= ALIKE:
            found.setdefault((first, second), False)
    pairs = []
    for (first, second), identical in found.items():
        bits = _bits(prints.bits.T, first, second)
        scale = length[first] * length[second]
        likeness = 1.0 if identical or not scale else float(flat[first] @ flat[second] / scale)
        pairs.append(Pair(first, second, identical, bits, likeness))
    pairs.sort(key=lambda pair: (not pair.identical, -pair.likeness, pair.first, pair.second))
    return tuple(pairs[:MOST_PAIRS]), len(found) < MOST_PAIRS


def _identical(prints: Fingerprints) -> Iterator[tuple[int, int]]:
    """Each picture with the first of the same bytes."""
    first: dict[bytes, int] = {}
    for index in np.flatnonzero(prints.readable).tolist():
        earlier = first.setdefault(prints.digests[index], index)
        if earlier != index:
            yield earlier, index


def _close(
    bits: NDArray[np.uint64], chosen: NDArray[np.int64], progress: Progress, cancelled: Cancelled
) -> Iterator[tuple[int, int]]:
    """Pairs of `chosen`, smaller place first, whose fingerprints differ in at most `NEAR` bits."""
    words = np.ascontiguousarray(bits[chosen].T)
    different = np.empty((_ROWS, _COLUMNS), np.uint64)
    half, apart = np.empty(different.shape, np.uint8), np.empty(different.shape, np.uint8)
    for top in range(0, len(chosen), _ROWS):
        _stop_if(cancelled)
        progress(1 - (1 - top / len(chosen)) ** 2)
        for left in range(top, len(chosen), _COLUMNS):
            rows, columns = words[:, top : top + _ROWS, None], words[:, None, left : left + _COLUMNS]
            block = np.s_[: rows.shape[1], : columns.shape[2]]
            xor, apart_here = different[block], apart[block]
            np.bitwise_count(np.bitwise_xor(rows[0], columns[0], out=xor), out=apart_here)
            apart_here += np.bitwise_count(np.bitwise_xor(rows[1], columns[1], out=xor), out=half[block])
            # Half of the bits rule nearly all out.
            for one, other in np.argwhere(apart_here <= NEAR).tolist():
                if top + one < left + other and _bits(words, top + one, left + other) <= NEAR:
                    yield int(chosen[top + one]), int(chosen[left + other])


def _bits(words: NDArray[np.uint64], first: int, second: int) -> int:
    return int(np.bitwise_count(words[:, first] ^ words[:, second]).sum())


def _stop_if(cancelled: Cancelled) -> None:
    if cancelled():
        raise CancelledError("The comparison was stopped.", "Start it again when you like.")
