"""A run's bundle becomes the serving model. Comparing comes before, and asking; this is what follows a yes."""

from __future__ import annotations

from pathlib import Path

from cxrviewer.classifiers.installing import install
from cxrviewer.classifiers.registry import bundle_below, use
from cxrviewer.settings import Settings, get_settings


def promote(run: Path, settings: Settings | None = None) -> str:
    """Copy the run's bundle into the data folder's models, check it whole, let it serve; returns its id.

    Raises ModelBundleError (none, or it fails a check) or ConfigurationError (another model has that id); then the old
    model goes on serving.
    """
    settings = settings or get_settings()
    model_id = install(bundle_below(run), settings)
    use(model_id, settings)
    return model_id
