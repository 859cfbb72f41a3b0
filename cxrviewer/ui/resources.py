"""Every cache of the app. Keys are digests, numbers and names: never pixel arrays, which Streamlit only samples."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from cxrviewer.archive import Archive
from cxrviewer.classifiers.prediction import Prediction
from cxrviewer.classifiers.targets import Target
from cxrviewer.errors import CxrError
from cxrviewer.logs import get_logger
from cxrviewer.reading import ExplanationJobs, Job, Jobs, Reader
from cxrviewer.settings import Settings, get_settings
from cxrviewer.studies.isolation import default_pool
from cxrviewer.studies.radiograph import Radiograph, Voi, Window
from cxrviewer.ui import pictures
from cxrviewer.ui.room_jobs import RoomJobs

if TYPE_CHECKING:
    from pathlib import Path

    from cxrviewer.classifiers.getting import Got
    from cxrviewer.classifiers.registry import ModelInfo
    from cxrviewer.training.comparing import Comparison

WAIT = 0.3
"""Seconds that a page waits for a quick answer before it draws a placeholder."""

_KEPT_MAPS = 16
"""Pictures whose small Grad-CAMs are kept: 10 KB each."""

Maps = Mapping[Target, NDArray[np.float32]]
Progress = Callable[[float], None]


@st.cache_resource(show_spinner=False)
def archive() -> Archive:
    """The study store of this server. Raises ArchiveError."""
    return Archive(get_settings().data_dir)


@st.cache_resource(show_spinner=False)
def reader() -> Reader:
    """The one reader of this server; its model is opened when first needed."""
    return Reader(archive=archive())


@st.cache_resource(show_spinner=False)
def explanations() -> ExplanationJobs:
    """Maps in the making, for all sessions."""
    return ExplanationJobs(reader())


@st.cache_resource(show_spinner=False)
def _predictions() -> Jobs[Prediction]:
    return Jobs()


def prediction(radiograph: Radiograph) -> Job[Prediction]:
    """The answer on a frame: asked for once, outside the script's way. Failed ones can be retried."""
    key = (radiograph.digest, radiograph.frame)
    job = _predictions().submit(key, lambda _progress, _cancelled: reader().predict(radiograph))
    job.wait(WAIT)
    return job


@st.cache_resource(show_spinner=False)
def _grad_cams() -> Jobs[Maps]:
    return Jobs(kept=_KEPT_MAPS)


def grad_cams(radiograph: Radiograph) -> Job[Maps]:
    """Grad-CAM of every target on the network's grid; quick, but never in the script's way."""
    key = (radiograph.digest, radiograph.frame)
    job = _grad_cams().submit(key, lambda _progress, _cancelled: reader().grad_cams(radiograph))
    job.wait(WAIT)
    return job


def retry_prediction(radiograph: Radiograph) -> None:
    """Forget a failed answer, so that the next run asks again."""
    _predictions().retry((radiograph.digest, radiograph.frame))


@st.cache_resource(max_entries=4, show_spinner=False)
def radiograph(digest: str, frame: int) -> Radiograph:
    """A decoded frame from the store. Few are kept: one may take 200 MB."""
    return reader().open_stored(digest, frame)


@st.cache_resource(max_entries=12, show_spinner=False)
def small(digest: str, frame: int) -> Radiograph:
    """The same at the size that is sent to the browser."""
    return pictures.reduced(radiograph(digest, frame))


@st.cache_resource(max_entries=12, show_spinner=False)
def presets(digest: str, frame: int) -> Mapping[str, Voi]:
    """The windows to choose from, by name."""
    return pictures.presets(radiograph(digest, frame))


@st.cache_resource(max_entries=2, show_spinner=False)
def codes(digest: str, frame: int) -> tuple[bytes, float, float]:
    """The values for the cursor: two bytes a pixel, so few are kept."""
    return pictures.codes(radiograph(digest, frame))


@st.cache_data(max_entries=64, show_spinner=False)
def film(digest: str, frame: int, preset: str, center: float, width: float, invert: bool) -> bytes:
    """A JPEG in the reader's window: a preset's, or centre and width (modality units)."""
    chosen = presets(digest, frame).get(preset)
    voi = chosen if chosen is not None else Window(center, width)
    return pictures.jpeg(small(digest, frame).display(voi, invert))


@st.cache_data(max_entries=2000, show_spinner=False)
def thumbnail(digest: str) -> bytes | None:
    """A grey PNG for a list."""
    return archive().thumbnail(digest)


@st.cache_resource(show_spinner=False)
def room_jobs() -> RoomJobs:
    """The slow parts of the training room, for all sessions."""
    return RoomJobs()


@st.cache_resource(show_spinner=False)
def _comparisons() -> Jobs[Comparison]:
    return Jobs(kept=16)


def comparison(run: Path, serving: str) -> Job[Comparison]:
    """A run's model beside the serving one, worked out once for these two. serving: hash of its weights."""

    def work(progress: Progress, _cancelled: object) -> Comparison:
        from cxrviewer.training.comparing import compare_with_serving

        return compare_with_serving(run, progress, get_settings())

    job = _comparisons().submit((run.name, serving), work)
    job.wait(WAIT)
    return job


@st.cache_resource(show_spinner=False)
def _fetches() -> Jobs[Got]:
    return Jobs(kept=16)


def fetched(name: str) -> Job[Got]:
    """Published weights on their way into the data folder's models, for all sessions."""

    def work(progress: Progress, cancelled: Callable[[], bool]) -> Got:
        from cxrviewer.classifiers.getting import fetch

        models = get_settings().data_dir / "models"
        return fetch(name, models, lambda share, _words: progress(share), cancelled=cancelled)

    return _fetches().submit(name, work)


def forget_fetch(name: str) -> None:
    """Forget a fetch that failed, so that it can be asked for again."""
    _fetches().retry(name)


def forget_model() -> None:
    """Another model serves from now on: whatever the old one answered is asked for anew."""
    for cached in (reader, explanations, _predictions, _grad_cams, warm):
        cached.clear()


@st.cache_resource(show_spinner=False)
def warm() -> threading.Thread:
    """Begin to load the model and the decoding child in the background; once a server."""
    thread = threading.Thread(target=_warm, name="warm", daemon=True)
    thread.start()
    return thread


def _warm() -> None:
    try:
        default_pool().warm()
        _ = reader().model.serving.engine
    except CxrError as error:
        # The page that needs them says so; here nobody is listening.
        get_logger().info("warm.refused", kind=error.kind)


@dataclass(frozen=True)
class ModelLine:
    """What must stand beside every score (G26)."""

    id: str
    weights: str
    intended_use: str
    limits: tuple[str, ...]


@st.cache_data(max_entries=32, show_spinner=False)
def model_line(model_id: str, weights_sha256: str) -> ModelLine:
    """From the card as plain JSON, so that a list with scores need not load a network library."""
    settings = get_settings()
    for parent in reversed(settings.models_dirs):
        for path in parent.glob("*/card.json"):
            if path.parent.name == model_id:
                card = json.loads(path.read_text(encoding="utf-8"))
                if card.get("weights_sha256") == weights_sha256:
                    return ModelLine(
                        model_id, weights_sha256, str(card["intended_use"]), tuple(map(str, card["limits"]))
                    )
    return ModelLine(model_id, weights_sha256, "", ("This model is no longer installed.",))


def site_settings() -> Settings:
    """What this site has set."""
    return get_settings()


def models() -> tuple[ModelInfo, ...]:
    """Every bundle. Not cached: a bundle may arrive at any time."""
    from cxrviewer.classifiers.registry import list_models

    return list_models(get_settings())
