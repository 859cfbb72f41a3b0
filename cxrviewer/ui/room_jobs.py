"""What the training room computes outside the script's way: reading label files, comparing and drawing pictures."""

from __future__ import annotations

import io
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrviewer.datasets.remembering import Remembered
from cxrviewer.errors import CancelledError, CxrError
from cxrviewer.reading import Job, Jobs
from cxrviewer.reading.jobs import Cancelled, Progress

if TYPE_CHECKING:
    from cxrviewer.datasets import Dataset, Row
    from cxrviewer.datasets.describing import Description, Parts
    from cxrviewer.datasets.near_duplicates import Duplicates

LANES = 2
"""Label files that are read at a time: one that nobody wants any longer must not hold up the next."""
KEPT = 3
"""Data sets that are remembered whole; one of a million pictures takes about a gigabyte."""
SAMPLE_SIDE = 300
"""Pixels along the longer side of a sample picture."""


@dataclass(frozen=True, eq=False)
class Known:
    """A data set as read, and its numbers."""

    dataset: Dataset
    description: Description


class RoomJobs:
    """Every job of the training room, for all sessions."""

    def __init__(self) -> None:
        self._known: Jobs[Known] = Jobs(kept=KEPT)
        self._duplicates: Jobs[Duplicates] = Jobs(kept=8)
        self._samples: Jobs[tuple[bytes | None, ...]] = Jobs(kept=24)
        self._parts: Jobs[Parts] = Jobs(kept=16)
        self._others: Jobs[Any] = Jobs(kept=16)
        self.said: dict[Hashable, str] = {}
        """What one of the others is at, in its own words."""

    def known(self, one: Remembered, owner: str) -> Job[Known]:
        """Its rows and numbers."""
        lane = f"label-files-{hash(one.same_data) % LANES}"
        return self._known.submit(one.same_data, lambda *watch: _read(one, *watch), lane=lane, owner=owner)

    def again(self, one: Remembered) -> None:
        """Forget a reading that failed."""
        self._known.retry(one.same_data)

    def stop_reading(self, one: Remembered, owner: str) -> None:
        """Say that this session no longer waits."""
        self._known.cancel(one.same_data, owner)

    def duplicates(self, one: Remembered, known: Known, owner: str) -> Job[Duplicates]:
        """Its pictures compared."""
        from cxrviewer.datasets.near_duplicates import find_duplicates

        work = lambda progress, cancelled: find_duplicates(known.dataset, progress, cancelled)  # noqa: E731
        return self._duplicates.submit(one.same_data, work, lane="pictures", owner=owner)

    def compared(self, one: Remembered) -> Job[Duplicates] | None:
        """The comparison, if there is one."""
        return self._duplicates.get(one.same_data)

    def stop_comparing(self, one: Remembered, owner: str) -> None:
        """Say that this session no longer waits."""
        self._duplicates.cancel(one.same_data, owner)

    def samples(
        self, one: Remembered, known: Known, rows: tuple[int, ...], marked: bool
    ) -> Job[tuple[bytes | None, ...]]:
        """JPEGs of some rows, with what is marked in them; None where one cannot be read."""
        key = (one.same_data, rows, marked)
        return self._samples.submit(key, lambda *_: _drawn(known.dataset, rows, marked), lane="samples")

    def parts(self, one: Remembered, known: Known, seed: int) -> Job[Parts]:
        """What each part of the chosen split would hold."""
        return self._parts.submit(
            (repr(one), seed), lambda *_: _parted(one, known.dataset, seed), lane="splits"
        )

    def other(self, key: Hashable, work: Callable[[Progress, Cancelled], Any], owner: str = "") -> Job[Any]:
        """Anything else, one at a time: it may use a network."""
        return self._others.submit(key, work, lane="network", owner=owner)

    def get(self, key: Hashable) -> Job[Any] | None:
        """One of these, if it was asked for."""
        return self._others.get(key)

    def drop(self, key: Hashable, owner: str = "") -> None:
        """Stop one of these, or forget that it failed."""
        self.said.pop(key, None)
        self._others.cancel(key, owner)
        self._others.retry(key)


def _read(one: Remembered, progress: Progress, cancelled: Cancelled) -> Known:
    from cxrviewer.datasets import read_dataset
    from cxrviewer.datasets.describing import describe

    dataset = read_dataset(one.reader, Path(one.root), one.options)
    progress(0.8)
    if cancelled():
        raise CancelledError("The reading was stopped.")
    return Known(dataset, describe(dataset))


def _parted(one: Remembered, dataset: Dataset, seed: int) -> Parts:
    from cxrviewer.datasets.describing import describe_parts
    from cxrviewer.datasets.grouping import join_listed
    from cxrviewer.datasets.splits import Fractions
    from cxrviewer.datasets.splitting import SPLITS, split_into_folds

    if one.together:
        dataset = join_listed(dataset, Path(one.together))
    if one.folds:
        return describe_parts(dataset, split_into_folds(dataset, one.folds, one.fold, seed))
    return describe_parts(dataset, SPLITS[one.split](dataset, Fractions(one.tune, one.report), seed))


def _drawn(dataset: Dataset, rows: tuple[int, ...], marked: bool) -> tuple[bytes | None, ...]:
    return tuple(_picture(dataset, dataset.rows[index], marked) for index in rows)


def _picture(dataset: Dataset, row: Row, with_marks: bool) -> bytes | None:
    from PIL import Image

    from cxrviewer.datasets.thumbnails import marked, sample
    from cxrviewer.reporting.dataset_figures import marked_picture

    try:
        grey = sample(dataset, row, SAMPLE_SIDE)
        boxes = [(box.left, box.top, box.width, box.height) for box in row.boxes] if with_marks else []
        mask = marked(row, (grey.shape[0], grey.shape[1])) if with_marks else None
    except (CxrError, OSError, ValueError):
        return None
    stream = io.BytesIO()
    Image.fromarray(marked_picture(grey, boxes, mask)).save(stream, "JPEG", quality=85)
    return stream.getvalue()
