"""Fills the picture cache for a run: every file is read and decoded once, for all sizes that the run will ask for.

Each size is reduced from the file again, not from a larger cached square: only that equals what serving does
(docs/decisions/0031-preparation-and-cache.md).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrviewer.classifiers.preparer import Preparer
from cxrviewer.classifiers.preparing import reduce
from cxrviewer.datasets import Member
from cxrviewer.errors import CxrError, StorageError
from cxrviewer.training.picture_cache import PACK_BYTES, Key, PictureCache, Place, Shelf, Stack
from cxrviewer.training.picture_stamps import Stamp, Stamps, stamp_of
from cxrviewer.training.pictures import decode_grey, inside_lungs, read_picture

VERSION = 1
"""Of reading and reducing: a change in either makes old squares unfit."""
THREADS = 2
_WAITING = 8
"""Pictures decoded ahead of what is stored: they are large."""
_TELL_EVERY = 200

Progress = Callable[[int, int], None]
Square = NDArray[np.uint8]


@dataclass(frozen=True)
class Wanted:
    """A picture and its lung mask, where there is one and it is asked for."""

    picture: Path | Member
    mask: Path | None = None


@dataclass(frozen=True)
class Damaged:
    """A picture that cannot be used: its index in what was asked for, and why."""

    index: int
    reason: str


@dataclass(frozen=True, eq=False)
class Filled:
    """By size: pixels and masks in the order asked for. notes: how many pictures fell back, by what was said."""

    pixels: Mapping[int, Stack]
    masks: Mapping[int, Stack]
    damaged: tuple[Damaged, ...]
    decoded: int
    notes: Mapping[str, int]


def rule_of(preparer: Preparer, kind: str) -> str:
    """What decides the squares besides the files, as JSON."""
    spec = dataclasses.asdict(preparer.spec)
    if kind == "mask":
        spec |= {"harmonise": "none", "reference": ()}
    unused = ("normalisation", "channels")
    return json.dumps(
        {"version": VERSION, "kind": kind} | {k: v for k, v in spec.items() if k not in unused},
        sort_keys=True,
    )


@dataclass(frozen=True, eq=False)
class _Made:
    """What a worker hands back. squares: by shelf; digest: of the picture and mask together."""

    keys: tuple[Key, Key | None]
    squares: Mapping[Shelf, tuple[Key, Square]]
    notes: tuple[str, ...] = ()
    decoded: bool = False


class Filling:
    """One filling of the cache for one run. preparers: by size; masks: whether lung masks are kept as well."""

    def __init__(
        self, cache: PictureCache, preparers: Mapping[int, Preparer], wanted: Sequence[Wanted]
    ) -> None:
        self._cache, self._preparers, self._wanted = cache, preparers, wanted
        self._stamps = Stamps(cache.folder / "stamps.sqlite3")
        self._pixels = {size: cache.shelf(rule_of(p, "picture"), size) for size, p in preparers.items()}
        self._masks: dict[int, Shelf] = {}
        if any(want.mask for want in wanted):
            self._masks = {size: cache.shelf(rule_of(p, "mask"), size) for size, p in preparers.items()}

    def fill(self, progress: Progress, look: Callable[[], None]) -> Filled:
        """Read what is not there yet, and map everything. Raises what `look` raises, or StorageError."""
        shelves = [*self._pixels.values(), *self._masks.values()]
        self._cache.make_room(self._needed(), [shelf.folder for shelf in shelves])
        with ExitStack() as locks:
            for shelf in sorted(shelves, key=lambda shelf: shelf.folder):
                locks.enter_context(shelf.filling(look))
            try:
                keys, damaged, notes, decoded = self._run(progress, look)
            except OSError as exc:
                raise StorageError(
                    "The picture cache cannot be written.", "Make room in the data folder, and start again."
                ) from exc
            # Inside the locks: what is mapped stays readable, whoever clears the cache afterwards.
            pixels = {size: _stack(shelf, [k and k[0] for k in keys]) for size, shelf in self._pixels.items()}
            masks = {size: _stack(shelf, [k and k[1] for k in keys]) for size, shelf in self._masks.items()}
        return Filled(pixels, masks, tuple(damaged), decoded, notes)

    def _needed(self) -> int:
        return sum(
            max(len(self._wanted) - len(shelf), 0) * shelf.side**2
            for shelf in [*self._pixels.values(), *self._masks.values()]
        )

    def _run(
        self, progress: Progress, look: Callable[[], None]
    ) -> tuple[list[tuple[Key, Key | None] | None], list[Damaged], dict[str, int], int]:
        stamps = [
            (stamp_of(want.picture), stamp_of(want.mask) if want.mask else None) for want in self._wanted
        ]
        known = self._stamps.known(stamp for pair in stamps for stamp in pair)
        keys: list[tuple[Key, Key | None] | None] = []
        damaged, notes, fresh, decoded = list[Damaged](), dict[str, int](), dict[Stamp, bytes](), 0
        packing = _Packing()
        for index, made in enumerate(self._each(known, stamps, fresh)):
            if index % _TELL_EVERY == 0:
                look()
                progress(index, len(self._wanted))
            if isinstance(made, CxrError):
                damaged.append(Damaged(index, made.message))
                keys.append(None)
                continue
            keys.append(made.keys)
            decoded += made.decoded
            for note in made.notes:
                notes[note] = notes.get(note, 0) + 1
            packing.add(made.squares)
        packing.flush()
        self._stamps.remember(fresh)
        progress(len(self._wanted), len(self._wanted))
        return keys, damaged, notes, decoded

    def _each(
        self,
        known: Mapping[Stamp, bytes],
        stamps: Sequence[tuple[Stamp | None, Stamp | None]],
        fresh: dict[Stamp, bytes],
    ) -> Iterator[_Made | CxrError]:
        """In order, a few ahead: what came out of each picture."""
        waiting: deque[Future[_Made | CxrError]] = deque()
        with ThreadPoolExecutor(THREADS) as pool:
            try:
                for want, pair in zip(self._wanted, stamps, strict=True):
                    waiting.append(pool.submit(self._make, want, pair, known, fresh))
                    if len(waiting) > _WAITING:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _make(
        self,
        want: Wanted,
        pair: tuple[Stamp | None, Stamp | None],
        known: Mapping[Stamp, bytes],
        fresh: dict[Stamp, bytes],
    ) -> _Made | CxrError:
        try:
            picture, mask = known.get(pair[0]) if pair[0] else None, known.get(pair[1]) if pair[1] else None
            if picture and (mask or not want.mask) and not self._missing(_keys(picture, mask)):
                return _Made(_keys(picture, mask), {})
            data = read_picture(want.picture)
            outline = read_picture(want.mask) if want.mask else None
            picture = hashlib.sha256(data).digest()
            mask = hashlib.sha256(outline).digest() if outline is not None else None
            keys = _keys(picture, mask)
            made = self._squares(want, data, outline, keys) if self._missing(keys) else _Made(keys, {})
            for stamp, digest in zip(pair, (picture, mask), strict=True):
                if stamp is not None and digest is not None:
                    fresh[stamp] = digest
            return made
        except CxrError as exc:
            return exc

    def _missing(self, keys: tuple[Key, Key | None]) -> bool:
        return any(shelf.find(keys[0]) is None for shelf in self._pixels.values()) or any(
            keys[1] is not None and shelf.find(keys[1]) is None for shelf in self._masks.values()
        )

    def _squares(
        self, want: Wanted, data: bytes, outline: bytes | None, keys: tuple[Key, Key | None]
    ) -> _Made:
        grey = decode_grey(data, want.picture.name)
        lungs = None
        if outline is not None and want.mask is not None:
            lungs = inside_lungs(decode_grey(outline, want.mask.name))
        squares: dict[Shelf, tuple[Key, Square]] = {}
        notes: tuple[str, ...] = ()
        for size, preparer in self._preparers.items():
            prepared = preparer.picture(grey)
            notes = prepared.notes
            squares[self._pixels[size]] = (keys[0], to_bytes(prepared.square))
            if lungs is not None and keys[1] is not None:
                # The mask may have another number of pixels than its picture; it shows the same.
                shape = (lungs.shape[0], lungs.shape[1])
                frame = prepared.frame.scaled((grey.shape[0], grey.shape[1]), shape)
                squares[self._masks[size]] = (keys[1], to_bytes(reduce(frame.cut(lungs), size)))
        return _Made(keys, squares, notes, decoded=True)


def _keys(picture: bytes, mask: bytes | None) -> tuple[Key, Key | None]:
    """A mask goes where its picture goes, so its key names both."""
    return picture, None if mask is None else hashlib.sha256(picture + mask).digest()


def to_bytes(square: NDArray[np.float32]) -> Square:
    """[0, 1] in 255ths."""
    return np.rint(square * 255).astype(np.uint8)


def _stack(shelf: Shelf, keys: Sequence[Key | None]) -> Stack:
    places: list[Place | None] = [None if key is None else shelf.find(key) for key in keys]
    return Stack(places, shelf.side)


class _Packing:
    """Gathers squares until a pack is full. The same picture twice in a data set is stored once."""

    def __init__(self) -> None:
        self._waiting: dict[Shelf, dict[Key, Square]] = {}

    def add(self, squares: Mapping[Shelf, tuple[Key, Square]]) -> None:
        for shelf, (key, square) in squares.items():
            pack = self._waiting.setdefault(shelf, {})
            if shelf.find(key) is None:
                pack[key] = square
            if len(pack) * shelf.side**2 >= PACK_BYTES:
                self._write(shelf)

    def flush(self) -> None:
        for shelf in list(self._waiting):
            self._write(shelf)

    def _write(self, shelf: Shelf) -> None:
        pack = self._waiting.pop(shelf)
        if pack:
            shelf.write(list(pack), np.stack(list(pack.values())))
