"""What a recipe does to a picture: each change alone, at its strongest, beside the original."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from cxrviewer.errors import CxrError
from cxrviewer.ui import resources, shell
from cxrviewer.ui.datasets import waiting
from cxrviewer.ui.grid import Tile, show_tiles
from cxrviewer.ui.recipe import GROUPS
from cxrviewer.ui.room import RoomState
from cxrviewer.ui.room_jobs import Known

if TYPE_CHECKING:
    from cxrviewer.datasets import Row
    from cxrviewer.training.config import Augmentation, Preparation

_SIDE = 320
_WAIT = 2.0


@dataclass(frozen=True)
class Example:
    """A preview as a JPEG. changed: False where the recipe leaves this out."""

    name: str
    picture: bytes
    note: str
    changed: bool


def show_examples(
    known: Known,
    augmentation: Augmentation,
    preparation: Preparation | None,
    room: RoomState,
    *,
    everything: bool,
) -> None:
    """One picture of the data set, as the recipe changes it. everything: also what is left out is listed."""
    key = (
        "examples",
        known.dataset.root,
        known.dataset.name,
        room.seed,
        repr(augmentation),
        repr(preparation),
    )
    seed = room.seed
    job = resources.room_jobs().other(
        key, lambda *_: examples(known, augmentation, preparation, seed), room.owner
    )
    if not job.wait(_WAIT):
        waiting(job, "Changing a picture.", job.cancel)
        return
    if job.result is None:
        shell.note("No example can be drawn.", job.failure.message if job.failure else "", kind="caution")
        return
    found: Sequence[Example] = job.result
    shown = [one for one in found if one.changed]
    show_tiles(
        [Tile(one.picture, (one.name, one.note) if one.note else (one.name,), one.name) for one in shown],
        place="examples", width=130 if everything else 105,
    )  # fmt: skip
    left_out = [one.name for one in found if not one.changed]
    if everything and left_out:
        shell.quiet(f"Left out: {', '.join(left_out)}.")
    if st.button("Another picture", type="tertiary"):
        room.seed += 1
        st.rerun()


def examples(
    known: Known, augmentation: Augmentation, preparation: Preparation | None, seed: int
) -> tuple[Example, ...]:
    """The original, how it is prepared where that is asked for, and each change. Raises CxrError."""
    from cxrviewer.training.previews import TOGETHER, preparation_preview, previews

    titles = {ask.path: ask.label.split(",")[0] for group in GROUPS for ask in group.advanced + group.main}
    rows = known.dataset.rows
    picked = np.random.default_rng(seed).integers(0, len(rows), 2)
    first, second = (_read(known, rows[int(index)]) for index in picked)
    masks = [_mask(rows[int(index)], grey.shape) for index, grey in zip(picked, (first, second), strict=True)]
    changed = previews(first, augmentation, seed, other=second, mask=masks[0], other_mask=masks[1])
    out = [Example("The picture", _jpeg(changed[0].before), "", True)]
    if preparation is not None:
        prepared = [one for one in preparation_preview(first, preparation) if one.on and one.name == TOGETHER]
        out += [Example("As the network gets it", _jpeg(one.after), one.note, True) for one in prepared]
    for one in changed:
        title = "All together" if one.name == TOGETHER else titles.get(f"augmentation.{one.name}", one.name)
        out.append(Example(title, _jpeg(one.after), one.note, one.on))
    return tuple(out)


def _read(known: Known, row: Row) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    from cxrviewer.datasets.thumbnails import sample

    return sample(known.dataset, row, _SIDE).astype(np.float32) / np.float32(255)


def _mask(row: Row, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None:
    """The lungs; a lesion's mask is none."""
    from cxrviewer.datasets.thumbnails import marked

    if row.mask is None or row.lesions:
        return None
    try:
        found = marked(row, (shape[0], shape[1]))
    except (CxrError, OSError):
        return None
    return None if found is None else found.astype(np.float32)


def _jpeg(square: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(square).save(stream, "JPEG", quality=88)
    return stream.getvalue()
