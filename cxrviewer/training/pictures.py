"""Training pictures in memory, reduced to one size, dealt in batches that depend on seed and epoch alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cxrviewer.classifiers.preparing import reduce, standardise
from cxrviewer.datasets import Member
from cxrviewer.errors import CxrError, UnreadableError
from cxrviewer.studies.opening import Format, open_study, sniff
from cxrviewer.training.augmentation import draw, mix, move, shade
from cxrviewer.training.config import Augmentation

MASK_LUNG = 255
"""Lung masks hold 255 inside; 127 marks a device to ignore and counts as outside."""

Progress = Callable[[int, int], None]


def read_grey(path: Path | Member) -> NDArray[np.float32]:
    """A JPEG or PNG with 8 or 16 bit a channel, or DICOM -> (H, W) float32 in [0, 1].

    DICOM goes the viewer's own way, so that training sees what serving will. Raises CxrError.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise _unreadable(path) from exc
    if _is_dicom(data):
        return open_study(data).presentation()
    try:
        with Image.open(BytesIO(data), formats=("JPEG", "PNG")) as image:
            deep = image.mode.startswith("I")
            upright = ImageOps.exif_transpose(image)
            pixels = np.asarray(upright if deep else upright.convert("L"), np.float32)
    except (OSError, SyntaxError, ValueError) as exc:
        raise _unreadable(path) from exc
    return pixels / np.float32(65535 if deep else 255)


def _is_dicom(data: bytes) -> bool:
    try:
        return sniff(data) is Format.DICOM
    except CxrError:  # Pillow then says that it cannot be read
        return False


def _unreadable(path: Path | Member) -> UnreadableError:
    return UnreadableError(f"The picture {path.name} cannot be read.", "Fetch it again, or leave it out.")


def load_picture(path: Path | Member, size: int) -> NDArray[np.uint8]:
    """A picture file -> (size, size) uint8, reduced as in serving."""
    return np.rint(reduce(read_grey(path), size) * 255).astype(np.uint8)


def load_mask(path: Path | Member, size: int) -> NDArray[np.uint8]:
    """A lung mask -> (size, size) uint8: the share of lung in each pixel, in 255ths."""
    inside = (read_grey(path) == MASK_LUNG / 255).astype(np.float32)
    return np.rint(reduce(inside, size) * 255).astype(np.uint8)


def load_all(
    paths: Sequence[Path | Member | None],
    size: int,
    load: Callable[[Path | Member, int], NDArray[np.uint8]] = load_picture,
    progress: Progress | None = None,
) -> NDArray[np.uint8]:
    """(N, size, size) uint8; a path that is None gives zeros."""
    out = np.zeros((len(paths), size, size), np.uint8)

    def fill(index: int) -> None:
        path = paths[index]
        if path is not None:
            out[index] = load(path, size)

    with ThreadPoolExecutor(2) as pool:
        for done, _ in enumerate(pool.map(fill, range(len(paths))), 1):
            if progress is not None and (done % 500 == 0 or done == len(paths)):
                progress(done, len(paths))
    return out


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures of one size with what is known of them.

    pixels, masks: uint8 (N, S, S); has_mask: bool (N,); targets: float32 (N, K) of 1, 0, NaN.
    """

    pixels: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    has_mask: NDArray[np.bool_]
    targets: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Batch:
    """pictures: (N, C, S, S); masks: (N, 1, S, S) in [0, 1]; has_mask: (N,); targets: (N, K), NaN: not stated."""

    pictures: torch.Tensor
    masks: torch.Tensor
    has_mask: torch.Tensor
    targets: torch.Tensor


def order_of(epoch: int, seed: int, pools: Sequence[tuple[NDArray[np.int64], int]]) -> NDArray[np.int64]:
    """The epoch's indices, shuffled: so many draws from each pool, no repeats before the pool is through."""
    rng = np.random.default_rng((seed, epoch, 7))
    chosen = []
    for pool, draws in pools:
        rounds = -(-draws // max(len(pool), 1))
        chosen.append(np.concatenate([rng.permutation(pool) for _ in range(rounds)])[:draws])
    return rng.permutation(np.concatenate(chosen))


class EpochBatches:
    """The batches of one epoch. An augmented one drops its last, smaller batch: it would disturb batch norm."""

    def __init__(
        self,
        pictures: Pictures,
        order: NDArray[np.int64],
        *,
        batch_size: int,
        channels: int,
        seed: int,
        epoch: int,
        augmentation: Augmentation | None,
    ) -> None:
        self._pictures, self._order, self._batch_size = pictures, order, batch_size
        self._channels, self._seed, self._epoch, self._augmentation = channels, seed, epoch, augmentation

    def __len__(self) -> int:
        full, rest = divmod(len(self._order), self._batch_size)
        return full + (1 if rest and self._augmentation is None else 0)

    def __iter__(self) -> Iterator[Batch]:
        for start in range(len(self)):
            span = slice(start * self._batch_size, (start + 1) * self._batch_size)
            yield self._batch(self._order[span], np.arange(len(self._order))[span])

    def _batch(self, chosen: NDArray[np.int64], position: NDArray[np.int64]) -> Batch:
        source = self._pictures
        pictures = torch.from_numpy(source.pixels[chosen]).float().div_(255)[:, None]
        masks = torch.from_numpy(source.masks[chosen]).float().div_(255)[:, None]
        targets = torch.from_numpy(source.targets[chosen])
        if self._augmentation is not None:
            # Keyed by position and picture: one picture drawn twice in an epoch is changed in two ways.
            numbers = draw(self._seed, self._epoch, chosen * 1_000_003 + position)
            both = move(torch.cat([pictures, masks], 1), numbers, self._augmentation)
            pictures, masks = shade(both[:, :1], numbers, self._augmentation), both[:, 1:]
            pictures, masks, targets = mix(
                pictures, masks, source.has_mask[chosen], targets, numbers, self._augmentation
            )
        pictures = standardise(pictures).repeat(1, self._channels, 1, 1)
        return Batch(
            pictures.contiguous(memory_format=torch.channels_last),
            masks,
            torch.from_numpy(source.has_mask[chosen]),
            targets,
        )
