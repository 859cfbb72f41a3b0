"""Engines for forward passes. OpenVINO in float32 where there is only a CPU, else torch; same answers to 1e-4."""

from __future__ import annotations

import threading
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cxrviewer.classifiers.classifier import Classifier
from cxrviewer.errors import ConfigurationError

MAX_BATCH = 16
"""Pictures in one pass of torch."""
OPENVINO_BATCH = 4
"""Pictures in one pass of OpenVINO: more is no faster, and each takes 35 MB (DenseNet-121 at 224)."""

Arrays = tuple[NDArray[np.float32], NDArray[np.float32]]


class Engine(Protocol):
    """Runs batches. `run` gives (features, logits); `logits` only those, for many pictures."""

    name: str

    def run(self, inputs: torch.Tensor) -> Arrays: ...

    def logits(self, inputs: torch.Tensor) -> NDArray[np.float32]: ...


class TorchEngine:
    """Eager torch, channels last, in inference mode."""

    name = "torch"

    def __init__(self, network: Classifier, device: torch.device) -> None:
        self._network, self._device = network, device

    def run(self, inputs: torch.Tensor) -> Arrays:
        """(N, C, S, S) -> features (N, F, h, w), logits (N, K)."""
        with torch.inference_mode():
            pictures = inputs.to(self._device, memory_format=torch.channels_last)
            features = self._network.features(pictures)
            logits = self._network.logits(features)
        return np.asarray(features.float().cpu().contiguous().numpy()), np.asarray(
            logits.float().cpu().numpy()
        )

    def logits(self, inputs: torch.Tensor) -> NDArray[np.float32]:
        """(N, C, S, S) -> (N, K), in batches."""
        return np.concatenate([self.run(part)[1] for part in torch.split(inputs, MAX_BATCH)])


class _WithFeatures(nn.Module):
    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.network.features(pictures)
        return features, self.network.logits(features)


class OpenVinoEngine:
    """OpenVINO on the CPU in float32. It would take bfloat16 where the CPU has it: the hint forbids that."""

    name = "openvino"

    def __init__(self, network: Classifier) -> None:
        import openvino

        from cxrviewer.classifiers.openvino_graph import openvino_model

        spec = network.architecture.input
        model = openvino_model(_WithFeatures(network).eval(), (spec.channels, spec.size, spec.size))
        hints = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            # As many as torch was told to use: one setting holds for both.
            "INFERENCE_NUM_THREADS": str(torch.get_num_threads()),
        }
        self._compiled: Any = openvino.Core().compile_model(model, "CPU", hints)
        self._local = threading.local()

    def run(self, inputs: torch.Tensor) -> Arrays:
        """(N, C, S, S) -> features (N, F, h, w), logits (N, K)."""
        if not hasattr(self._local, "request"):
            # One request a thread: requests share the compiled weights, and two may run at once.
            self._local.request = self._compiled.create_infer_request()
        result = self._local.request.infer([inputs.contiguous().numpy()], share_inputs=True)
        return np.array(result[0], np.float32), np.array(result[1], np.float32)

    def logits(self, inputs: torch.Tensor) -> NDArray[np.float32]:
        """(N, C, S, S) -> (N, K), in batches."""
        return np.concatenate([self.run(part)[1] for part in torch.split(inputs, OPENVINO_BATCH)])


def choose_engine(name: str, network: Classifier, device: torch.device) -> Engine:
    """`auto` takes OpenVINO on a CPU and torch on a GPU. Raises ConfigurationError for an unknown name."""
    if name == "auto":
        name = "openvino" if device.type == "cpu" else "torch"
    if name == "openvino":
        return OpenVinoEngine(network)
    if name == "torch":
        return TorchEngine(network, device)
    raise ConfigurationError(f"There is no engine called {name}.", "Choose auto, openvino or torch.")
