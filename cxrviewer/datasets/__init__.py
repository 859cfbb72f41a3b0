"""Folder -> rows. One reader a data set; `DATASETS` is the table of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cxrviewer.datasets import covid, kermany, nih, nlm
from cxrviewer.datasets.dataset import Box, Dataset, Row, Terms, digest_of, digest_of_masks
from cxrviewer.errors import ConfigurationError

DATASETS: dict[str, Callable[[Path], Dataset]] = {
    "kermany": kermany.read,
    "nih": nih.read,
    "nlm": nlm.read,
    "covid": covid.read,
}


def read_dataset(name: str, root: Path) -> Dataset:
    """Read a folder as the named data set. Raises ConfigurationError, NotFoundError or LabelFileError."""
    if name not in DATASETS:
        raise ConfigurationError(
            f"There is no data set called {name}.", f"Choose one of {', '.join(DATASETS)}."
        )
    return DATASETS[name](root)


__all__ = ["DATASETS", "Box", "Dataset", "Row", "Terms", "digest_of", "digest_of_masks", "read_dataset"]
