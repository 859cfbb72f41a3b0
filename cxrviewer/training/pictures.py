"""Reading training pictures, and dealing them in batches that depend on seed and epoch alone."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cxrviewer.classifiers.preparing import InputSpec, normalise, reduce
from cxrviewer.datasets import Member
from cxrviewer.errors import CxrError, NotFoundError, UnreadableError
from cxrviewer.studies.limits import check_pixels
from cxrviewer.studies.opening import Format, open_study, read_capped, sniff
from cxrviewer.training.augmentation import draw, mix, move, shade
from cxrviewer.training.config import Augmentation

MASK_LUNG = 255
"""Lung masks hold 255 inside; 127 marks a device to ignore and counts as outside."""


def read_grey(path: Path | Member) -> NDArray[np.float32]:
    """A JPEG or PNG with 8 or 16 bit a channel, or DICOM -> (H, W) float32 in [0, 1]. Raises CxrError."""
    return decode_grey(read_picture(path), path.name)


def read_picture(source: Path | Member) -> bytes:
    """A picture file's bytes, never more than the cap. Raises UnreadableError or TooLargeError."""
    try:
        return read_capped(source) if isinstance(source, Path) else source.read_bytes()
    except (OSError, NotFoundError, UnreadableError) as exc:
        raise _unreadable(source.name) from exc


def decode_grey(data: bytes, name: str) -> NDArray[np.float32]:
    """The same from a file's bytes; `name` is for the message.

    DICOM goes the viewer's own way, through its child process, so that training sees what serving will. Others go
    through Pillow, with the viewer's cap on pixels and the two decoders alone.
    """
    if _is_dicom(data):
        return open_study(data).presentation()
    try:
        with Image.open(BytesIO(data), formats=("JPEG", "PNG")) as image:
            check_pixels(*image.size)
            deep = image.mode.startswith("I")
            upright = ImageOps.exif_transpose(image)
            pixels = np.asarray(upright if deep else upright.convert("L"), np.float32)
    except _FAULTS as exc:
        raise _unreadable(name) from exc
    return np.asarray(pixels / np.float32(65535 if deep else 255), np.float32)


_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    TypeError,
    KeyError,
    IndexError,
    struct.error,
    zlib.error,
)
"""What Pillow raises on a damaged picture."""


def _is_dicom(data: bytes) -> bool:
    try:
        return sniff(data) is Format.DICOM
    except CxrError:  # Pillow then says that it cannot be read
        return False


def _unreadable(name: str) -> UnreadableError:
    return UnreadableError(f"The picture {name} cannot be read.", "Fetch it again, or leave it out.")


def load_picture(path: Path | Member, size: int) -> NDArray[np.uint8]:
    """A picture file -> (size, size) uint8, reduced as in serving."""
    return np.rint(reduce(read_grey(path), size) * 255).astype(np.uint8)


def inside_lungs(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """A lung mask's grey values in [0, 1] -> 1 inside the lungs, 0 elsewhere."""
    return np.asarray(grey == MASK_LUNG / 255, np.float32)


def load_all(
    paths: Sequence[Path | Member | None],
    size: int,
    load: Callable[[Path | Member, int], NDArray[np.uint8]] = load_picture,
) -> NDArray[np.uint8]:
    """(N, size, size) uint8; a path that is None gives zeros."""
    out = np.zeros((len(paths), size, size), np.uint8)

    def fill(index: int) -> None:
        path = paths[index]
        if path is not None:
            out[index] = load(path, size)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(fill, range(len(paths))))
    return out


class Squares(Protocol):
    """(N, S, S) uint8 that is read by rows: an array, or `picture_cache.Stack`."""

    def __len__(self) -> int: ...

    def __getitem__(self, chosen: NDArray[np.int64], /) -> NDArray[np.uint8]: ...


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures of one size with what is known of them.

    pixels, masks: uint8 (N, S, S), arrays or the cache's memory maps; masks: None where there are none at all.
    has_mask: bool (N,); targets: float32 (N, K) of 1, 0, NaN.
    """

    pixels: Squares
    masks: Squares | None
    has_mask: NDArray[np.bool_]
    targets: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Batch:
    """pictures: (N, C, S, S); masks: (N, 1, S, S) in [0, 1]; has_mask: (N,); targets: (N, K), NaN: not stated."""

    pictures: torch.Tensor
    masks: torch.Tensor
    has_mask: torch.Tensor
    targets: torch.Tensor


@dataclass(frozen=True, eq=False)
class RawBatch:
    """What is read, before it is changed: uint8 pixels and masks (N, S, S) on the CPU. numbers: None: as it is.

    Small to carry: a GPU gets this and makes the batch itself.
    """

    pixels: torch.Tensor
    masks: torch.Tensor | None
    has_mask: NDArray[np.bool_]
    targets: torch.Tensor
    numbers: NDArray[np.float32] | None
    augmentation: Augmentation | None
    spec: InputSpec

    def finished(self, device: torch.device | str = "cpu") -> Batch:
        """Augmented and normalised, on a device. On a CPU the same numbers give the same bits."""
        pictures = self._planes(self.pixels, device)
        masks = None if self.masks is None else self._planes(self.masks, device)
        targets = self.targets
        if self.numbers is not None and self.augmentation is not None:
            planes = pictures if masks is None else torch.cat([pictures, masks], 1)
            both = move(planes, self.numbers, self.augmentation)
            pictures = shade(both[:, :1], self.numbers, self.augmentation)
            masks = torch.zeros_like(pictures) if masks is None else both[:, 1:]
            pictures, masks, targets = mix(
                pictures, masks, self.has_mask, targets, self.numbers, self.augmentation
            )
        return Batch(
            normalise(pictures, self.spec).contiguous(memory_format=torch.channels_last),
            torch.zeros_like(pictures) if masks is None else masks,
            torch.from_numpy(self.has_mask).to(device),
            targets.to(device),
        )

    def pinned(self) -> RawBatch:
        """The same in memory that a GPU fetches by itself, where there is a GPU."""
        if not torch.cuda.is_available():
            return self
        masks = None if self.masks is None else self.masks.pin_memory()
        return replace(self, pixels=self.pixels.pin_memory(), masks=masks)

    @staticmethod
    def _planes(squares: torch.Tensor, device: torch.device | str) -> torch.Tensor:
        return squares.to(device, non_blocking=True).float().div_(255)[:, None]


def order_of(epoch: int, seed: int, pools: Sequence[tuple[NDArray[np.int64], int]]) -> NDArray[np.int64]:
    """The epoch's indices, shuffled: so many draws from each pool, no repeats before the pool is through."""
    rng = np.random.default_rng((seed, epoch, 7))
    chosen = []
    for pool, draws in pools:
        rounds = -(-draws // max(len(pool), 1))
        chosen.append(np.concatenate([rng.permutation(pool) for _ in range(rounds)])[:draws])
    return rng.permutation(np.concatenate(chosen))


class EpochBatches:
    """The batches of one epoch. An augmented one drops its last, smaller batch: it would disturb batch norm.

    Each batch is a pure function of seed, epoch and its place: a resumed run that skips to a batch gets that batch.
    """

    def __init__(
        self,
        pictures: Pictures,
        order: NDArray[np.int64],
        *,
        batch_size: int,
        spec: InputSpec,
        seed: int,
        epoch: int,
        augmentation: Augmentation | None,
    ) -> None:
        self._pictures, self._order, self._batch_size = pictures, order, batch_size
        self._spec, self._seed, self._epoch, self._augmentation = spec, seed, epoch, augmentation

    def __len__(self) -> int:
        full, rest = divmod(len(self._order), self._batch_size)
        return full + (1 if rest and self._augmentation is None else 0)

    def __iter__(self) -> Iterator[Batch]:
        for number in range(len(self)):
            yield self.raw(number).finished()

    def raw(self, number: int) -> RawBatch:
        """The batch of that number, from 0, before it is changed."""
        span = slice(number * self._batch_size, (number + 1) * self._batch_size)
        chosen, source = self._order[span], self._pictures
        numbers = None
        if self._augmentation is not None:
            # Keyed by position and picture: one picture drawn twice in an epoch is changed in two ways.
            position = np.arange(len(self._order))[span]
            numbers = draw(self._seed, self._epoch, chosen * 1_000_003 + position)
        return RawBatch(
            torch.from_numpy(source.pixels[chosen]),
            None if source.masks is None else torch.from_numpy(source.masks[chosen]),
            source.has_mask[chosen],
            torch.from_numpy(source.targets[chosen]),
            numbers,
            self._augmentation,
            self._spec,
        )
