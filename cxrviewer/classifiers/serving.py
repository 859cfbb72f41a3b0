"""The one place that runs a network for a screen or the command line: engine, device, precision, locking.

Forward-only work (scores, features, LIME) goes through the fast engine, which is thread-safe; work that needs
gradients borrows the torch network under a lock. Parameters are frozen, so nothing can leave a `.grad` behind.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cxrviewer.classifiers.classifier import Classifier, Target
from cxrviewer.classifiers.engines import Engine, choose_engine
from cxrviewer.classifiers.framing import Frame
from cxrviewer.classifiers.preparer import Preparer
from cxrviewer.classifiers.preparing import InputSpec
from cxrviewer.errors import ConfigurationError


@dataclass(frozen=True, eq=False)
class Output:
    """logits: (N, K) float32; features: (N, F, h, w) float32, the last maps before pooling.

    frame: the box of the radiograph that the network saw; None for the whole of it.
    """

    logits: NDArray[np.float32]
    features: NDArray[np.float32]
    frame: Frame | None = None


class ServingClassifier:
    """A frozen classifier in evaluation mode behind one door. Safe to share between sessions and threads."""

    def __init__(
        self,
        classifier: Classifier,
        *,
        model_id: str,
        weights_sha256: str,
        engine: str = "auto",
        device: str = "auto",
    ) -> None:
        self.model_id, self.weights_sha256 = model_id, weights_sha256
        self.targets: tuple[Target, ...] = classifier.targets
        self.spec: InputSpec = classifier.architecture.input
        self.preparer = Preparer(self.spec)
        self.device = choose_device(device, engine)
        self._lock, self._starting = threading.Lock(), threading.Lock()
        self._network = classifier.eval().requires_grad_(False)
        self._network = self._network.to(self.device).to(memory_format=torch.channels_last)
        self._engine_name = engine
        self._started: Engine | None = None

    @property
    def _engine(self) -> Engine:
        with self._starting:  # two sessions that come first at once start one engine
            if self._started is None:
                self._started = choose_engine(self._engine_name, self._network, self.device)
        return self._started

    @property
    def engine(self) -> str:
        """The name of what runs forward passes: `openvino` or `torch`."""
        return self._engine.name

    def run(self, inputs: torch.Tensor) -> Output:
        """(N, C, S, S) float32 on the CPU, standardised -> logits and features."""
        features, logits = self._engine.run(inputs)
        return Output(logits, features)

    def logits(self, inputs: torch.Tensor) -> NDArray[np.float32]:
        """(N, C, S, S) -> (N, K) float32; any N, batched inside."""
        return self._engine.logits(inputs)

    @property
    def linear(self) -> bool:
        """True where a logit is a weighted sum of the feature maps' means."""
        return self._network.linear

    def head_weights(self) -> NDArray[np.float32]:
        """(K, F) float32: what each target multiplies the pooled features by. Only where `linear`."""
        return np.asarray(self._network.head_weights().cpu().numpy())

    @contextmanager
    def gradients(self) -> Iterator[Classifier]:
        """The torch network, for one borrower at a time. Do not keep it, hook it for good or change its mode."""
        with self._lock:
            yield self._network


def choose_device(name: str, engine: str = "auto") -> torch.device:
    """`auto` takes a GPU where there is one and the engine can use it. Raises ConfigurationError.

    On a GPU float32 stays float32: TF32, torch's default for convolutions, keeps ten bits and would move a logit by
    more than the 1e-4 that engines may differ by. Training, which may use it, is another process.
    """
    present = torch.cuda.is_available()
    if name == "cuda" and not present:
        raise ConfigurationError("There is no GPU that torch can use here.", "Set the device to auto or cpu.")
    if name == "cuda" and engine == "openvino":
        raise ConfigurationError("OpenVINO computes on the CPU here.", "Set the engine to auto or torch.")
    if name == "cpu" or not present or engine == "openvino":
        return torch.device("cpu")
    torch.backends.fp32_precision = "ieee"  # type: ignore[attr-defined]  # torch states no types here
    return torch.device("cuda")
