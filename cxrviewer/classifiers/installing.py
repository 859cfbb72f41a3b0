"""A bundle from elsewhere into the data folder's models: copied, checked whole, put in place by one rename."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from cxrviewer.classifiers.bundle import WEIGHTS, open_bundle
from cxrviewer.classifiers.card import CARD, read_card
from cxrviewer.classifiers.registry import find
from cxrviewer.errors import ConfigurationError, ModelBundleError
from cxrviewer.settings import Settings, get_settings

SPLIT = "split.csv"
"""Goes with a bundle where it has one: without it nobody can tell what the model has learnt."""


def install(bundle: Path, settings: Settings | None = None) -> str:
    """Copy a bundle folder, and return its id. The same weights a second time change nothing.

    Raises ModelBundleError (it fails a check) or ConfigurationError (another model has that id); then nothing has
    changed.
    """
    settings = settings or get_settings()
    card = open_bundle(bundle).card
    if _there(card.id, settings) == card.weights_sha256:
        return card.id
    if _there(card.id, settings) is not None:
        raise ConfigurationError(
            f"There is another model called {card.id} already.", "Train the new one under an id of its own."
        )
    parent = settings.data_dir / "models"
    parent.mkdir(parents=True, exist_ok=True)
    copy = Path(tempfile.mkdtemp(prefix=".new-", dir=parent))
    try:
        inner = copy / card.id
        inner.mkdir()
        for name in (WEIGHTS, CARD, SPLIT):
            if (bundle / name).is_file():
                shutil.copyfile(bundle / name, inner / name)
        open_bundle(inner)  # what was written, not what was read
        inner.rename(parent / card.id)
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    return card.id


def _there(model_id: str, settings: Settings) -> str | None:
    """The hash of the weights that serve under an id; None where there is no such model, `damaged` for a bad card."""
    try:
        folder = find(model_id, settings)
    except ModelBundleError:
        return None
    try:
        return read_card(folder).weights_sha256
    except ModelBundleError:
        return "damaged"
