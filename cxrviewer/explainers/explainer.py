"""The one contract of every explanation: `explain()` checks, `_explain()` computes.

A map is never evidence of disease: it shows what moved this network's answer.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cxrviewer.classifiers.framing import Frame, Resize
from cxrviewer.classifiers.preparer import Prepared
from cxrviewer.classifiers.preparing import enlarge
from cxrviewer.classifiers.serving import ServingClassifier
from cxrviewer.classifiers.targets import Target, index_of
from cxrviewer.errors import CancelledError
from cxrviewer.studies.radiograph import Radiograph

Progress = Callable[[float], None]
"""Told the share done, in [0, 1]."""
Cancelled = Callable[[], bool]
"""True once the reader no longer wants the answer."""


def _ignore(_share: float) -> None:
    """Progress that nobody watches."""


def _never() -> bool:
    return False


@dataclass(frozen=True, eq=False)
class Request:
    """What `_explain` is given: all checked, all on the network's grid.

    picture: (S, S) float32 in [0, 1], prepared but for its normalisation; index: which logit; progress and cancelled
    are always callable.
    """

    classifier: ServingClassifier
    picture: NDArray[np.float32]
    target: Target
    index: int
    progress: Progress = _ignore
    cancelled: Cancelled = _never

    def step(self, share: float) -> None:
        """Report progress. Raises CancelledError where the reader has asked to stop."""
        if self.cancelled():
            raise CancelledError("The explanation was stopped.")
        self.progress(min(max(share, 0.0), 1.0))


@dataclass(frozen=True, eq=False)
class Attribution:
    """What `_explain` gives back, on the network's grid or a coarser one.

    grid: (h, w) float32, signed: positive raised the logit. admits: what the method says against itself.
    segments: (S, S) int32 region numbers where the method works on regions (LIME); `grid` then holds their weights.
    """

    grid: NDArray[np.float32]
    parameters: Mapping[str, float | int | str]
    admits: Mapping[str, float | int | str] = field(default_factory=dict)
    segments: NDArray[np.int32] | None = None


@dataclass(frozen=True, eq=False)
class Explanation:
    """A map of one target by one method, which answers on the radiograph's own grid.

    grid: (h, w) float32, small, signed; positive raised the target's logit. shape: (H, W) of the radiograph.
    signed: False where the method keeps no negative values, so that a legend starts at zero.
    frame: the box of the radiograph that `grid` covers, outside which the map is 0; None for the whole of it.
    """

    method: str
    target: Target
    grid: NDArray[np.float32]
    shape: tuple[int, int]
    parameters: Mapping[str, float | int | str]
    admits: Mapping[str, float | int | str]
    seconds: float
    digest: str
    weights_sha256: str
    segments: NDArray[np.int32] | None = None
    signed: bool = True
    frame: Frame | None = None

    def heatmap(self) -> NDArray[np.float32]:
        """(H, W) float32, signed, on the radiograph's grid."""
        return self.heatmap_at(self.shape)

    def heatmap_at(self, shape: tuple[int, int], resize: Resize = enlarge) -> NDArray[np.float32]:
        """The same at another size, for a screen; `shape` in the radiograph's proportions."""
        if self.frame is None:
            return resize(self.grid, shape)
        return self.frame.scaled(self.shape, shape).put_back(self.grid, shape, resize)


def _admitted(prepared: Prepared) -> dict[str, float | int | str]:
    """What went otherwise than the model's preparation asks for."""
    return {"preparation": " ".join(prepared.notes)} if prepared.notes else {}


class Explainer(ABC):
    """One method with its settings; settings are constructor arguments, checked there."""

    method: ClassVar[str]
    """The name on the command line and in file names."""
    title: ClassVar[str]
    """The name on the screen."""
    signed: bool = True
    """True where negative values mean something. A setting may change it, so it is not a class variable."""
    meaning: ClassVar[str]
    """One sentence for the legend: what the sign and the size mean."""

    def explain(
        self,
        classifier: ServingClassifier,
        radiograph: Radiograph,
        target: Target,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> Explanation:
        """Why `target` got its logit. Raises UnknownTargetError, CancelledError.

        The classifier is left as it was found: no hooks, no gradients, in evaluation mode.
        """
        start = time.perf_counter()
        index = index_of(classifier.targets, target)
        prepared = classifier.preparer.film(radiograph)
        request = Request(
            classifier, prepared.square, target, index, progress or _ignore, cancelled or _never
        )
        request.step(0.0)
        attribution = self._explain(request)
        request.step(1.0)
        grid = np.asarray(attribution.grid, np.float32)
        if grid.ndim != 2 or not np.isfinite(grid).all():
            raise AssertionError(f"{self.method} gave a map of shape {grid.shape}, or one that is not finite")
        return Explanation(
            method=self.method,
            target=target,
            grid=grid,
            shape=radiograph.shape,
            parameters=dict(attribution.parameters),
            admits=dict(attribution.admits) | _admitted(prepared),
            seconds=time.perf_counter() - start,
            digest=radiograph.digest,
            weights_sha256=classifier.weights_sha256,
            segments=attribution.segments,
            signed=self.signed,
            frame=None if prepared.frame == Frame.whole(radiograph.shape) else prepared.frame,
        )

    @abstractmethod
    def _explain(self, request: Request) -> Attribution:
        """Compute. Called with checked arguments; calls `request.step()` at least every half second."""
