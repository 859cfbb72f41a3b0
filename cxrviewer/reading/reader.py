"""The one path of screens and command line: open -> scope -> predict -> explain -> store.

Importing this module loads no network library; that comes with the first question to a model.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from cxrviewer import __version__
from cxrviewer.archive import Archive, ExplanationKey, InstanceRow
from cxrviewer.classifiers.framing import Frame
from cxrviewer.classifiers.prediction import Prediction
from cxrviewer.classifiers.targets import Target, parse_target
from cxrviewer.errors import ArchiveError, CxrError, NotFoundError, OutOfScopeError
from cxrviewer.logs import get_logger
from cxrviewer.reading.memory import give_back
from cxrviewer.reading.values import Failure, Reading
from cxrviewer.settings import Settings, get_settings
from cxrviewer.studies.opening import open_study
from cxrviewer.studies.radiograph import Radiograph
from cxrviewer.studies.sources import Refused, Source, iter_sources

if TYPE_CHECKING:
    from cxrviewer.classifiers.card import Card
    from cxrviewer.classifiers.serving import Output, ServingClassifier
    from cxrviewer.explainers.explainer import Explanation

Options = Mapping[str, float | int | str]
Progress = Callable[[float], None]
Cancelled = Callable[[], bool]
Maps = Mapping[Target, NDArray[np.float32]]

_MAP_SIDE = 128
"""Pixels of a small Grad-CAM along its longer side, where the network saw a part of the radiograph only."""
_KEPT_OUTPUTS = 16
"""Forward passes kept in memory for Grad-CAM: 200 KB each for a DenseNet-121 at 224."""


class Model(Protocol):
    """What a reader needs of `classifiers.model.ServingModel`."""

    @property
    def card(self) -> Card: ...

    @property
    def serving(self) -> ServingClassifier: ...

    def predict_with_output(self, radiograph: Radiograph) -> tuple[Prediction, Output | None]: ...


OpenModel = Callable[[str | None, Settings], Model]
OpenStudy = Callable[[bytes, int], Radiograph]


def _open_model(model_id: str | None, settings: Settings) -> Model:
    from cxrviewer.classifiers.registry import open_model

    return open_model(model_id, settings)


class Reader:
    """Opens, scores and explains with one model. Any thread may call; the model is opened once, when first needed.

    archive: where answers and maps are kept and found again; without one everything is computed anew.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        archive: Archive | None = None,
        model_id: str | None = None,
        *,
        open_model: OpenModel = _open_model,
        open_study: OpenStudy = open_study,
    ) -> None:
        self.settings = settings or get_settings()
        self.archive = archive
        self._model_id, self._open_model, self._open_study = model_id, open_model, open_study
        self._lock = threading.Lock()
        self._model: Model | None = None
        self._variant = ""
        self._outputs: OrderedDict[tuple[str, int], Output | None] = OrderedDict()

    @property
    def model(self) -> Model:
        """The model, opened at the first call. Raises ModelBundleError."""
        with self._lock:
            if self._model is None:
                model = self._open_model(self._model_id, self.settings)
                give_back()  # what reading and translating the weights took
                self._variant = variant_of(model.card, self.settings)
                self._model = model
            return self._model

    @property
    def model_is_open(self) -> bool:
        """False as long as a question would first have to open the model."""
        return self._model is not None

    # Open

    def open(self, source: bytes | Source, frame: int = 1) -> Radiograph:
        """Decode a file's bytes. Raises what `open_study` raises."""
        return self._open_study(source if isinstance(source, bytes) else source.read(), frame)

    def open_stored(self, digest: str, frame: int = 1) -> Radiograph:
        """A frame of a file in the store, under the digest that it was received with."""
        radiograph = self.open(self._store.bytes_of(digest), frame)
        # The kept copy's preamble is zero, so its own digest may be another one.
        return replace(radiograph, digest=digest)

    def take_in(self, data: bytes, source_name: str = "") -> tuple[Radiograph, InstanceRow]:
        """Decode a file and keep it. What cannot be decoded is not kept."""
        radiograph = self.open(data)
        return radiograph, self._store.import_study(data, radiograph, source_name)

    @property
    def _store(self) -> Archive:
        if self.archive is None:
            raise ArchiveError("There is no study store here.", "Give the reader one.")
        return self.archive

    # Predict

    def predict(self, radiograph: Radiograph) -> Prediction:
        """The answer on one frame, from the store where these weights have given it before.

        Out of scope is an answer too, without scores. Raises ModelBundleError, ArchiveError.
        """
        model = self.model
        stored = self._stored_prediction(radiograph, model)
        if stored is not None:
            return stored
        prediction, output = model.predict_with_output(radiograph)
        self._remember(radiograph, output)
        if self.archive is not None and self.archive.holds(radiograph.digest):
            try:
                self.archive.save_result(prediction, self._variant)
            except NotFoundError:
                get_logger().info("reading.deleted_meanwhile", digest=radiograph.digest)
        return prediction

    def _stored_prediction(self, radiograph: Radiograph, model: Model) -> Prediction | None:
        if self.archive is None:
            return None
        weights = model.serving.weights_sha256
        stored = self.archive.result(radiograph.digest, radiograph.frame, weights, self._variant)
        return stored.prediction if stored else None

    # Explain

    def target(self, name: str | Target) -> Target:
        """The target that a name stands for. Raises UnknownTargetError naming those there are."""
        return name if isinstance(name, Target) else parse_target(name, self.model.serving.targets)

    def key(
        self, radiograph: Radiograph, target: str | Target, method: str, options: Options | None = None
    ) -> ExplanationKey:
        """What decides a map. Two equal keys mean the same map."""
        return ExplanationKey(
            digest=radiograph.digest,
            frame=radiograph.frame,
            weights_sha256=self.model.serving.weights_sha256,
            method=method,
            target=self.target(target),
            options=tuple(sorted((options or {}).items())),
            app_version=__version__,
        )

    def explain(
        self,
        radiograph: Radiograph,
        target: str | Target,
        method: str,
        options: Options | None = None,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> Explanation:
        """Why a target got its score, from the store where it is known.

        options: the explainer's own settings. Raises UnknownTargetError, OutOfScopeError, ConfigurationError,
        CancelledError.
        """
        key = self.key(radiograph, target, method, options)
        scope = self.predict(radiograph).scope
        if not scope.in_scope:
            raise OutOfScopeError(
                " ".join(scope.reasons) or "The model was not made for this picture.",
                "No score is given, so there is none to explain.",
            )
        known = self.archive.explanation(key) if self.archive else None
        if known is not None:
            return known
        from cxrviewer.explainers import explainer

        try:
            explanation = explainer(method, **dict(options or {})).explain(
                self.model.serving, radiograph, key.target, progress, cancelled
            )
        finally:
            give_back()
        if self.archive is not None and self.archive.holds(radiograph.digest):
            self.archive.save_explanation(key, explanation)
        return explanation

    def grad_cams(self, radiograph: Radiograph) -> Maps:
        """Grad-CAM of every target, (h, w) float32 over the whole radiograph, not negative; empty out of scope.

        They cost nothing beyond the forward pass of a prediction, which is kept for the last pictures.
        """
        from cxrviewer.explainers.grad_cam import maps_of_all

        model, place = self.model, (radiograph.digest, radiograph.frame)
        with self._lock:
            known, output = place in self._outputs, self._outputs.get(place)
        if not known:
            output = model.predict_with_output(radiograph)[1]
            self._remember(radiograph, output)
        if output is None:
            return {}
        grids = [
            _over_all(grid, output.frame, radiograph.shape) for grid in maps_of_all(model.serving, output)
        ]
        return dict(zip(model.serving.targets, grids, strict=True))

    def _remember(self, radiograph: Radiograph, output: Output | None) -> None:
        with self._lock:
            self._outputs[(radiograph.digest, radiograph.frame)] = output
            while len(self._outputs) > _KEPT_OUTPUTS:
                self._outputs.popitem(last=False)

    # Many files

    def read_sources(self, paths: Sequence[Path], *, score: bool = True) -> Iterator[Reading]:
        """Read files, folders and ZIPs, one `Reading` for each file in order. One bad file stops no other."""
        yield from self.read_all(iter_sources(paths), score=score)

    def read_all(self, sources: Iterable[Source | Refused], *, score: bool = True) -> Iterator[Reading]:
        """As `read_sources`, for sources of any origin (an upload). `score` False only opens and keeps them."""
        iterator = iter(sources)
        while True:
            try:
                source = next(iterator, None)
            except Exception as error:  # noqa: BLE001 - the boundary of a batch: what was read before must stand
                yield Reading("", failure=_failure(error))
                return
            if source is None:
                return
            yield self._refused(source) if isinstance(source, Refused) else self.read(source, score=score)

    def read(self, source: Source, *, score: bool = True) -> Reading:
        """One file, whatever it holds. Nothing is raised but what stops the whole program."""
        reading = Reading(source.name)
        try:
            data = source.read()
            reading = replace(reading, digest=hashlib.sha256(data).hexdigest())
            start = time.perf_counter()
            radiograph = self.open(data)
            reading = replace(
                reading,
                decode_seconds=time.perf_counter() - start,
                frames=radiograph.frames,
                warnings=radiograph.warnings,
            )
            if self.archive is not None:
                row = self.archive.import_study(data, radiograph, source.name)
                reading = replace(reading, instance=row)
            return replace(reading, prediction=self.predict(radiograph)) if score else reading
        except Exception as error:  # noqa: BLE001 - the boundary of a batch: one file's fault is that file's
            return replace(reading, failure=_failure(error))

    def _refused(self, refused: Refused) -> Reading:
        return Reading(refused.name, failure=_failure(refused.error))


def _over_all(grid: NDArray[np.float32], frame: Frame | None, shape: tuple[int, int]) -> NDArray[np.float32]:
    """A map of a box of the radiograph -> one of all of it, small; as it is where the box is everything."""
    if frame is None:
        return grid
    from cxrviewer.classifiers.preparing import enlarge

    factor = min(1.0, _MAP_SIDE / max(shape))
    small = (max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor)))
    return frame.scaled(shape, small).put_back(grid, small, enlarge)


def _failure(error: Exception) -> Failure:
    if not isinstance(error, CxrError):
        get_logger().error("reading.failed", exc_info=error)
    return Failure.of(error)


def variant_of(card: Card, settings: Settings) -> str:
    """What besides pixels and weights decides an answer: calibration and thresholds, prevalence, program."""
    parts = [card.model_dump_json(), settings.site_prevalence, settings.operating_point, __version__]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
