"""Prepared pictures on disk, decoded once: `<data folder>/cache/pictures/<rule>/`, read through memory maps.

A picture is known by the digest of its bytes, so a copied or moved data set is found again and a changed file is not
mistaken for the old one; `stamps.sqlite3` remembers which file (path, size, time of change) had which digest, so that
a second start reads names only. A rule is all that decides the pixels but their normalisation. Pixels lie in packs:
whole files, written aside, synced and renamed, never changed after that. So a crash loses at most the pack that was
being written, and whoever has mapped one may go on reading while another run clears the cache. Only one run at a time
fills a rule (a lock on the folder, which the system lifts when a process dies); others wait and then find it filled.
"""

from __future__ import annotations

import contextlib
import copy
import fcntl
import hashlib
import json
import os
import shutil
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from cxrviewer.settings import Settings, get_settings

MAGIC = b"CXRPACK1"
_HEADER = struct.Struct("<8sIIQ")
"""Magic, side of the pictures, how many, and the digest size."""
DIGEST_BYTES = 32
PACK_BYTES = 64 << 20
"""Pixels in a pack, about: 1,300 pictures at 224. What a crash may cost."""
PART = ".part-"
RULE = "rule.json"
USED = "used"
_WAIT = 0.5

Key = bytes
"""sha256 of what decides a picture's pixels besides the rule."""


@dataclass(frozen=True)
class Room:
    """What the cache holds. bytes: of all rules together."""

    bytes: int
    rules: int


@dataclass(frozen=True)
class Place:
    """Where a picture lies."""

    pack: Path
    slot: int


class Shelf:
    """All pictures of one rule. `rule`: JSON with everything that decides the pixels; side: of the squares."""

    def __init__(self, folder: Path, side: int) -> None:
        self.folder, self.side = folder, side
        self._known: dict[Key, Place] = {}
        self._packs: set[Path] = set()

    def refresh(self) -> None:
        """See what packs there are now. A pack that is no whole pack of this rule is passed over."""
        packs = set(self.folder.glob("*.pack"))
        if not self._packs <= packs:  # cleared meanwhile
            self._known.clear()
            self._packs.clear()
        for pack in sorted(packs - self._packs):
            for slot, key in enumerate(_keys(pack, self.side)):
                self._known[key] = Place(pack, slot)
        self._packs = packs

    def __len__(self) -> int:
        return len(self._known)

    def find(self, key: Key) -> Place | None:
        """Where a picture lies, as of the last `refresh`."""
        return self._known.get(key)

    @contextmanager
    def filling(self, look: Callable[[], None]) -> Iterator[None]:
        """Alone among all processes; `look` is called while another one fills, and may raise to stop."""
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / "lock").open("a") as file:
                if _locks(file) and _same(file, self.folder / "lock"):
                    for left in self.folder.glob(
                        f"{PART}*"
                    ):  # of a process that died: nobody else writes here
                        left.unlink(missing_ok=True)
                    self.refresh()
                    yield
                    return
            look()
            time.sleep(_WAIT)

    def touch(self) -> None:
        """Remember that the rule was used, for whoever must make room. A full disk does not matter here."""
        with contextlib.suppress(OSError):
            (self.folder / USED).touch()

    def write(self, keys: Sequence[Key], squares: NDArray[np.uint8]) -> None:
        """Add pictures (N, S, S) as one pack: whole or not at all. Raises OSError (disk full)."""
        content = hashlib.sha256(b"".join(keys)).hexdigest()[:32]
        temporary, pack = self.folder / f"{PART}{content}", self.folder / f"{content}.pack"
        try:
            with temporary.open("wb") as file:
                file.write(_HEADER.pack(MAGIC, self.side, len(keys), DIGEST_BYTES))
                file.write(b"".join(keys))
                file.write(squares.tobytes())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(pack)
        finally:
            temporary.unlink(missing_ok=True)
        self.refresh()


def _locks(file: IO[str]) -> bool:
    """True where nobody else holds the lock; it is then held until the file is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _same(file: IO[str], path: Path) -> bool:
    """False where the lock was taken on a file that a clearing has removed since."""
    with contextlib.suppress(FileNotFoundError):
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    return False


def _keys(pack: Path, side: int) -> Iterator[Key]:
    """The pictures of a pack in order; none where it is cut short or of another size."""
    try:
        with pack.open("rb") as file:
            magic, own, count, size = _HEADER.unpack(file.read(_HEADER.size))
            table = file.read(count * DIGEST_BYTES) if magic == MAGIC else b""
            whole = os.fstat(file.fileno()).st_size == _start(count) + count * side * side
    except (OSError, struct.error):
        return
    if (own, size) == (side, DIGEST_BYTES) and whole:
        yield from (table[k : k + DIGEST_BYTES] for k in range(0, len(table), DIGEST_BYTES))


def _start(count: int) -> int:
    return _HEADER.size + count * DIGEST_BYTES


class Stack:
    """Cached pictures in an order of one's own: `stack[indices]` -> (B, S, S) uint8, copied out of the memory maps.

    places: None gives a black square (a picture without a mask). Nothing is held in memory but the addresses: 16
    bytes a picture.
    """

    def __init__(self, places: Sequence[Place | None], side: int) -> None:
        self._side = side
        packs = {place.pack: None for place in places if place is not None}
        self._maps = [_mapped(pack, side) for pack in packs]
        number = {pack: index for index, pack in enumerate(packs)}
        self._pack = np.array([-1 if place is None else number[place.pack] for place in places], np.int64)
        self._slot = np.array([0 if place is None else place.slot for place in places], np.int64)

    def __len__(self) -> int:
        return len(self._pack)

    def take(self, rows: NDArray[np.int64]) -> Stack:
        """Some of them, in another order, through the same maps."""
        other = copy.copy(self)
        other._pack, other._slot = self._pack[rows], self._slot[rows]
        return other

    def __getitem__(self, chosen: NDArray[np.int64]) -> NDArray[np.uint8]:
        out = np.zeros((len(chosen), self._side, self._side), np.uint8)
        for row, index in enumerate(chosen):
            pack = self._pack[index]
            if pack >= 0:
                out[row] = self._maps[pack][self._slot[index]]
        return out


def _mapped(pack: Path, side: int) -> NDArray[np.uint8]:
    with pack.open("rb") as file:
        count = _HEADER.unpack(file.read(_HEADER.size))[2]
    return np.memmap(pack, np.uint8, "r", _start(count), (count, side, side))


class PictureCache:
    """The folder of all rules. max_bytes: what it may take on disk; rules that were used longest ago go first."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder, self.max_bytes = folder, max_bytes

    @classmethod
    def of(cls, settings: Settings | None = None) -> PictureCache:
        """The cache in the data folder."""
        settings = settings or get_settings()
        return cls(settings.data_dir / "cache" / "pictures", round(settings.picture_cache_gb * 1e9))

    def shelf(self, rule: str, side: int) -> Shelf:
        """The pictures of a rule; its folder is named after the rule's digest and holds the rule in words."""
        folder = self.folder / hashlib.sha256(rule.encode()).hexdigest()[:32]
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (folder / RULE).exists():
            temporary = folder / f"{PART}{os.getpid()}-{RULE}"
            temporary.write_text(json.dumps(json.loads(rule), indent=1) + "\n", encoding="utf-8")
            temporary.replace(folder / RULE)
        shelf = Shelf(folder, side)
        shelf.refresh()
        shelf.touch()
        return shelf

    def room(self) -> Room:
        """How much is there, for a page or the log."""
        return Room(sum(_size(folder) for folder in self._rules()), len(self._rules()))

    def make_room(self, needed: int, keep: Sequence[Path] = ()) -> int:
        """Remove the rules used longest ago until `needed` bytes more fit under the cap; the bytes that were freed.

        keep: rules of the run that asks. A run that needs more than the cap alone may have it: half a cache is none.
        """
        freed, total = 0, self.room().bytes
        for folder in sorted(self._rules(), key=_last_used):
            if total - freed + needed <= self.max_bytes:
                break
            if folder not in keep:
                freed += _remove(folder)
        return freed

    def clear(self) -> int:
        """Remove everything that no run is filling now; the bytes that were freed. Runs that read go on reading."""
        freed = sum(_remove(folder) for folder in self._rules())
        (self.folder / "stamps.sqlite3").unlink(missing_ok=True)
        return freed

    def _rules(self) -> list[Path]:
        return [folder for folder in self.folder.glob("*") if folder.is_dir()]


def _remove(folder: Path) -> int:
    """Remove a rule, unless a run is filling it; the bytes that were freed."""
    with contextlib.suppress(FileNotFoundError), (folder / "lock").open("a") as file:
        if not _locks(file):
            return 0
        size = _size(folder)
        shutil.rmtree(folder, ignore_errors=True)
        return size
    return 0


def _size(folder: Path) -> int:
    total = 0
    for path in folder.glob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def _last_used(folder: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return (folder / USED).stat().st_mtime
    return 0.0
