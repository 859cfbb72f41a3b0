"""Get a model: fetch published weights, make a bundle of them, check it, and put it into place by one rename.

A starting point (ImageNet weights) is fetched into torch's own cache folder, where a run with `pretrained` finds it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

from cxrviewer.classifiers.fetching import Tell, download, silent
from cxrviewer.classifiers.published import PUBLISHED, Published, published
from cxrviewer.errors import ConfigurationError, ModelBundleError
from cxrviewer.settings import Settings, get_settings

if TYPE_CHECKING:
    from cxrviewer.classifiers.bundle import Bundle
    from cxrviewer.classifiers.card import Card

SCHEMES = ("https", "http", "file")
XRV_CACHE = Path(".torchxrayvision", "models_data")
"""Below the home folder: where the library keeps what it fetched."""


@dataclass(frozen=True)
class Offer:
    """published: what is offered. present: it has been fetched already."""

    published: Published
    present: bool


@dataclass(frozen=True)
class Got:
    """path: the bundle's folder, or the file of a starting point. model_id: None for a starting point."""

    path: Path
    model_id: str | None


def available(settings: Settings | None = None) -> tuple[Offer, ...]:
    """Everything that can be fetched, models first. Nothing is asked of any other machine."""
    from cxrviewer.classifiers.registry import list_models

    settings = settings or get_settings()
    models = {info.id for info in list_models(settings) if not info.problem}
    return tuple(
        Offer(entry, entry.name in models if entry.serves else _cached(entry).is_file())
        for entry in PUBLISHED.values()
    )


def fetch(
    name: str,
    models_dir: Path,
    tell: Tell = silent,
    *,
    source_url: str | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    settings: Settings | None = None,
) -> Got:
    """Fetch published weights. A model becomes the bundle `models_dir/<name>`, checked before it is in place.

    source_url: another place to fetch the same file from (http, https or file). Raises ConfigurationError (no such
    name), NetworkError within seconds where the source cannot be reached, ModelBundleError where the file is not what
    it should be, StorageError, CancelledError; then an older bundle of that id is as it was.
    """
    entry = published(name)
    if source_url is not None and urlparse(source_url).scheme not in SCHEMES:
        raise ConfigurationError(
            "Weights are fetched by https, http or from a file:// address.", "Give such an address."
        )
    if not entry.serves:
        from cxrviewer.classifiers.pretrained import weights_file

        return Got(weights_file(entry, tell, source_url), None)
    models_dir.mkdir(parents=True, exist_ok=True)
    # Beside its later place, so that a rename is enough; folders that begin with a dot are no models.
    staging = Path(tempfile.mkdtemp(prefix=".getting-", dir=models_dir))
    try:
        file = _file_of(entry, staging, tell, source_url, cancelled)
        tell(1.0, "converting and checking")
        from cxrviewer.classifiers.importing import as_bundle

        made = as_bundle(entry, file, _with_scope(settings or get_settings()))
        return Got(store(*made, models_dir), entry.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def store(weights: bytes, card: Card, models_dir: Path) -> Path:
    """A new bundle, checked whole and asked for one answer before it takes its place by one rename.

    Raises ModelBundleError; then an older bundle of that id is as it was.
    """
    from cxrviewer.classifiers.bundle import open_bundle, put_in_place, save_bundle
    from cxrviewer.classifiers.importing import check_answers

    models_dir.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".storing-", dir=models_dir))
    try:
        made = save_bundle(staging, weights, card)
        check_answers(open_bundle(made))
        put_in_place(made, models_dir / card.id)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return models_dir / card.id


def _cached(entry: Published) -> Path:
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / entry.file


def _file_of(
    entry: Published, staging: Path, tell: Tell, source_url: str | None, cancelled: Callable[[], bool]
) -> Path:
    """What the library fetched earlier, or a fresh file."""
    from cxrviewer.classifiers.pretrained import SPARE

    known = Path.home() / XRV_CACHE / entry.file
    if source_url is None and known.is_file():
        return known
    file = staging / "weights.pt"
    most = int(entry.megabytes * SPARE * 1e6)
    download(source_url or entry.url, file, most=most, sha256=entry.sha256, tell=tell, cancelled=cancelled)
    return file


def _with_scope(settings: Settings) -> Bundle | None:
    """A shipped bundle whose picture check can be taken over: it tells chests from what is not, whoever asks."""
    from cxrviewer.classifiers.registry import list_models, verify

    for info in list_models(settings):
        if info.shipped and info.card is not None and info.card.scope.thresholds:
            try:
                bundle = verify(info.id, settings)
            except ModelBundleError:
                continue  # a damaged one must not keep another from being fetched
            if bundle.scope_tensors():
                return bundle
    return None
