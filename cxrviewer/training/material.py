"""The data of a run: every row of every source, with its targets and its part."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrviewer.classifiers.architecture import Architecture
from cxrviewer.datasets import Dataset, Member, Row, read_dataset
from cxrviewer.datasets.grouping import join_identical, join_listed
from cxrviewer.datasets.splits import Fractions, Part, SplitRow, read_split
from cxrviewer.datasets.splitting import SPLITS, split_into_folds
from cxrviewer.errors import ConfigurationError, SplitError
from cxrviewer.labels import VOCABULARIES
from cxrviewer.training.config import HeadChoice, Source, TrainingConfig
from cxrviewer.training.preparation import spec_of

DAMAGED = "damaged.json"
"""In a run's folder: the pictures that could not be read (see readiness.py)."""


@dataclass(frozen=True, eq=False)
class Material:
    """Arrays run over the rows of all data sets, one after the other; `source` is an index into `datasets`.

    labels: what the K columns of `targets` mean: the heads' labels in output order, then the auxiliary ones.
    targets: float32 (N, K) of 1, 0 and NaN (not stated). parts: (N,) of `Part` values.
    """

    datasets: tuple[Dataset, ...]
    labels: tuple[str, ...]
    targets: NDArray[np.float32]
    parts: NDArray[np.str_]
    source: NDArray[np.int64]
    split: tuple[SplitRow, ...]

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Every row, in the order of the arrays."""
        return tuple(row for dataset in self.datasets for row in dataset.rows)

    def chosen(self, part: Part, source: int | None = None) -> NDArray[np.int64]:
        """Indices of a part's rows, of one source or of all."""
        keep = self.parts == part.value
        return np.flatnonzero(keep if source is None else keep & (self.source == source))

    def picture(self, index: int) -> Path | Member:
        """Where a row's picture is read from."""
        return self.datasets[int(self.source[index])].picture(self.rows[index])

    def mask(self, index: int) -> Path | None:
        """The lung mask of a row, where there is one."""
        mask = self.rows[index].mask
        return None if mask is None else Path(mask)


def architecture_of(config: TrainingConfig) -> Architecture:
    """The network that a configuration asks for, as it is trained; a bundle holds it `folded`."""
    return Architecture(
        config.backbone,
        tuple((head.name, _labels_of(head)) for head in config.heads),
        spec_of(config.preparation, config.size),
        config.dropout,
        stacks={head.name: head.stack for head in config.heads},
        options=config.backbone_options,
        two_way=frozenset(head.name for head in config.heads if head.output == "softmax"),
    )


def _labels_of(head: HeadChoice) -> tuple[str, ...]:
    if not isinstance(head.labels, str):
        return head.labels
    if head.labels not in VOCABULARIES:
        raise ConfigurationError(
            f"There is no vocabulary called {head.labels}.",
            f"Choose one of {', '.join(VOCABULARIES)}, or list the labels.",
        )
    return VOCABULARIES[head.labels]


def gather(config: TrainingConfig, split: Path | None = None) -> Material:
    """Read every source, and split it by group or as an earlier `split.csv` says.

    Raises LabelFileError, NotFoundError, ConfigurationError, or SplitError where `split` is of other data.
    """
    labels = (*(target.label for target in architecture_of(config).targets), *config.auxiliary)
    datasets = [read_dataset(source.name, Path(source.root), source.options) for source in config.sources]
    if split is None:
        datasets = [
            _kept_together(dataset, source) for dataset, source in zip(datasets, config.sources, strict=True)
        ]
        rows = [
            row
            for dataset, source in zip(datasets, config.sources, strict=True)
            for row in _parted(dataset, source, config.split_seed)
        ]
    else:
        rows = _earlier(split, datasets)
    material = Material(
        datasets=tuple(datasets),
        labels=labels,
        targets=np.concatenate([dataset.targets(labels) for dataset in datasets]),
        parts=np.array([row.part.value for row in rows]),
        source=np.repeat(np.arange(len(datasets)), [len(dataset.rows) for dataset in datasets]),
        split=tuple(rows),
    )
    return material if split is None else leave_out(material, split.parent)


def leave_out(material: Material, folder: Path) -> Material:
    """The same without the rows that a run's `damaged.json` lists: they are in no part, but stay in the split."""
    file = folder / DAMAGED
    if not file.is_file():
        return material
    lost = {(entry["dataset"], entry["image"]) for entry in json.loads(file.read_text("utf-8"))}
    names = [dataset.name for dataset in material.datasets]
    keep = [
        (names[int(k)], row.image) not in lost for k, row in zip(material.source, material.rows, strict=True)
    ]
    return replace(material, parts=np.where(keep, material.parts, ""))


def _kept_together(dataset: Dataset, source: Source) -> Dataset:
    """With groups that no split parts: patients, identical files, and the near-duplicates that are listed."""
    joined = join_identical(dataset)
    return join_listed(joined, Path(source.together)) if source.together else joined


def _parted(dataset: Dataset, source: Source, seed: int) -> tuple[SplitRow, ...]:
    """A source's rows with their parts, in the way that the recipe asks for."""
    if source.folds:
        return split_into_folds(dataset, source.folds, source.fold, seed)
    return SPLITS[source.split](dataset, Fractions(source.tune, source.report), seed)


def _earlier(split: Path, datasets: list[Dataset]) -> list[SplitRow]:
    """The parts that a `split.csv` gives; its rows of other data sets are of no concern here."""
    names = {dataset.name for dataset in datasets}
    known = {(row.dataset, row.image): row for row in read_split(split) if row.dataset in names}
    wanted = [(dataset.name, row.image) for dataset in datasets for row in dataset.rows]
    strange = sum(key not in known for key in wanted)
    if strange or len(known) != len(wanted):
        raise SplitError(
            f"The data have changed since {split.name} was written: {strange} of {len(wanted)} pictures are "
            f"new, {len(known) - len(wanted) + strange} are gone.",
            "Restore the pictures, or start a new run.",
        )
    return [known[key] for key in wanted]


def steps_of(config: TrainingConfig, material: Material) -> int:
    """Optimiser steps of the whole run. Raises ConfigurationError where an epoch has less than one batch."""
    sizes = [len(material.chosen(Part.TRAIN, index)) for index in range(len(config.sources))]
    drawn = sum(source.draws or size for source, size in zip(config.sources, sizes, strict=True) if size)
    if drawn < config.batch_size:
        raise ConfigurationError(
            f"The train part gives {drawn} pictures an epoch, less than one batch of {config.batch_size}.",
            "Choose a smaller batch or add pictures.",
        )
    return config.epochs * -(-(drawn // config.batch_size) // config.optimisation.accumulate)
