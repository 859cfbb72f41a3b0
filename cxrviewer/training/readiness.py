"""Before the first step: every picture of the run is decoded into the cache, and what is damaged is listed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxrviewer.classifiers.preparer import Preparer
from cxrviewer.datasets.splits import Part
from cxrviewer.errors import UnreadableError
from cxrviewer.files import write_whole
from cxrviewer.training.config import TrainingConfig
from cxrviewer.training.material import DAMAGED, Material, leave_out
from cxrviewer.training.picture_cache import PictureCache
from cxrviewer.training.picture_filling import Damaged, Filled, Filling, Wanted
from cxrviewer.training.pictures import Pictures
from cxrviewer.training.preparation import spec_of

MAX_DAMAGED = 0.01
"""Share of damaged pictures above which a run does not start: then something else is wrong than a picture."""
FEW = 10
"""So many may always be damaged."""

PARTS = (Part.TRAIN, Part.TUNE, Part.REPORT)

Say = Callable[[str], None]
Look = Callable[[], None]
Tell = Callable[[float, str], None]


@dataclass(frozen=True, eq=False)
class Ready:
    """material: without the rows whose pictures are damaged. parts: the pictures by part and size."""

    material: Material
    parts: Mapping[tuple[Part, int], Pictures]


def make_ready(
    config: TrainingConfig,
    material: Material,
    folder: Path,
    say: Say,
    look: Look,
    tell: Tell | None = None,
    cache: PictureCache | None = None,
) -> Ready:
    """Fill the cache for all parts and all sizes of a run, and write `folder/damaged.json` where pictures are damaged.

    The report part too, though the run scores it from the files at its end: better to know now what cannot be read.
    Raises UnreadableError where too many are damaged, StorageError, or what `look` raises.
    """
    cache = cache or PictureCache.of()
    rows = np.concatenate([material.chosen(part) for part in PARTS])
    masks = config.mask_weight > 0
    wanted = [Wanted(material.picture(int(i)), material.mask(int(i)) if masks else None) for i in rows]
    sizes = sorted({stage.size for stage in config.stages})
    preparers = {size: Preparer(spec_of(config.preparation, size)) for size in sizes}

    def progress(done: int, of: int) -> None:
        if tell is not None and 0 < done < of:
            tell(0.0, f"reading pictures: {done} of {of}")

    filled = Filling(cache, preparers, wanted).fill(progress, look)
    _say_what_was_done(say, filled, cache, len(wanted))
    if filled.damaged:
        _list(material, rows, filled.damaged, folder, say)
        material = leave_out(material, folder)
    return Ready(material, _parts(material, filled, {int(row): k for k, row in enumerate(rows)}, wanted))


def _say_what_was_done(say: Say, filled: Filled, cache: PictureCache, count: int) -> None:
    say(
        f"{count} pictures: {filled.decoded} decoded, the others were in the cache; "
        f"it takes {cache.room().bytes / 1e9:.2f} GB now"
    )
    for note, times in filled.notes.items():
        say(f"{times} of {filled.decoded} pictures decoded now: {note}")


def _list(material: Material, rows: np.ndarray, damaged: tuple[Damaged, ...], folder: Path, say: Say) -> None:
    """Add to `damaged.json`, and stop where there are too many."""
    file = folder / DAMAGED
    entries = json.loads(file.read_text("utf-8")) if file.is_file() else []
    for one in damaged:
        row = int(rows[one.index])
        name = material.datasets[int(material.source[row])].name
        entries.append({"dataset": name, "image": material.rows[row].image, "reason": one.reason})
    write_whole(file, json.dumps(entries, indent=1) + "\n")
    say(f"{len(damaged)} of {len(rows)} pictures cannot be read and are left out: {DAMAGED} lists them")
    if len(damaged) > max(FEW, MAX_DAMAGED * len(rows)):
        raise UnreadableError(
            f"{len(damaged)} of {len(rows)} pictures cannot be read; {DAMAGED} in the run's folder lists them.",
            "Fetch them again, then start a new run.",
        )


def _parts(
    material: Material, filled: Filled, place: Mapping[int, int], wanted: list[Wanted]
) -> dict[tuple[Part, int], Pictures]:
    found: dict[tuple[Part, int], Pictures] = {}
    for part in (Part.TRAIN, Part.TUNE):
        chosen = material.chosen(part)
        there = np.array([place[int(row)] for row in chosen], np.int64)
        has_mask = np.array([wanted[k].mask is not None for k in there], np.bool_)
        for size, pixels in filled.pixels.items():
            masks = filled.masks.get(size)
            found[part, size] = Pictures(
                pixels.take(there),
                None if masks is None else masks.take(there),
                has_mask,
                material.targets[chosen],
            )
    return found
