"""Folder -> rows. One reader a data set; `DATASETS` is the table of them, docs/datasets.md says what each is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from cxrviewer.datasets import (
    any_csv,
    chexpert,
    covid,
    folders,
    kermany,
    nih,
    nih_tfrecord,
    nlm,
    rsna,
    siim,
    vindr,
    xrayvision,
)
from cxrviewer.datasets.dataset import Box, Dataset, Member, Part, Row, Terms, digest_of, digest_of_masks
from cxrviewer.datasets.options import Options, chosen
from cxrviewer.errors import ConfigurationError


@dataclass(frozen=True)
class Reader:
    """How a folder is read. options: what may be chosen; None where there is nothing to choose."""

    read: Callable[..., Dataset]
    options: type[Options] | None = None


DATASETS: dict[str, Reader] = {
    "kermany": Reader(kermany.read),
    "nih": Reader(nih.read),
    "nih-tfrecord": Reader(nih_tfrecord.read),
    "chexpert": Reader(chexpert.read, chexpert.ChexpertOptions),
    "siim": Reader(siim.read),
    "rsna": Reader(rsna.read),
    "vindr": Reader(vindr.read, vindr.VindrOptions),
    "nlm": Reader(nlm.read),
    "covid": Reader(covid.read),
    "folder": Reader(folders.read, folders.FolderOptions),
    "csv": Reader(any_csv.read, any_csv.CsvOptions),
    "torchxrayvision": Reader(xrayvision.read, xrayvision.XrayVisionOptions),
}


def read_dataset(name: str, root: Path, options: Mapping[str, JsonValue] | None = None) -> Dataset:
    """Read a folder as the named data set. Raises ConfigurationError, NotFoundError, UnreadableError or LabelFileError.

    options: what the reader lets one choose, by name (`{"uncertain": "ones"}`).
    """
    if name not in DATASETS:
        raise ConfigurationError(
            f"There is no data set called {name}.", f"Choose one of {', '.join(DATASETS)}."
        )
    reader = DATASETS[name]
    choice = chosen(reader.options or Options, options or {})
    return reader.read(root) if reader.options is None else reader.read(root, choice)


__all__ = [
    "DATASETS",
    "Box",
    "Dataset",
    "Member",
    "Part",
    "Reader",
    "Row",
    "Terms",
    "digest_of",
    "digest_of_masks",
    "read_dataset",
]
