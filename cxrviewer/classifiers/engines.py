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
"""Pictures in one pass of an OpenVINO stream: 3 % faster than 2, and 8 are no faster (DenseNet-121 at 160)."""

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
    """OpenVINO on the CPU in float32. It would take bfloat16 where the CPU has it: a hint forbids that.

    One model is compiled twice, the second time when it is first asked for: for one picture on all threads, and for
    many, where every thread is a stream that works through batches of its own and waits for no other. Both have a
    fixed batch, for which OpenVINO makes faster code than for an open one.
    """

    name = "openvino"

    def __init__(self, network: Classifier) -> None:
        from cxrviewer.classifiers.openvino_graph import openvino_model

        spec = network.architecture.input
        self._shape = (spec.channels, spec.size, spec.size)
        # Kept, because what is compiled from one model shares its weights.
        self._model = openvino_model(_WithFeatures(network).eval(), self._shape)
        # As many as torch was told to use: one setting holds for both.
        self._threads = torch.get_num_threads()
        self._one = self._compile(1, PERFORMANCE_HINT="LATENCY")
        self._compiled_many: Any = None
        self._compiling = threading.Lock()
        # Requests share the compiled weights, and two may run at once: so each thread has its own.
        self._local = threading.local()

    def _compile(self, batch: int, **hints: object) -> Any:
        import openvino

        self._model.reshape([batch, *self._shape])
        own = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": self._threads,
            # A thread that is bound to a core waits there for whatever else the machine runs on it.
            "ENABLE_CPU_PINNING": False,
        }
        return openvino.Core().compile_model(self._model, "CPU", own | hints)

    @property
    def _many(self) -> Any:
        with self._compiling:
            if self._compiled_many is None:
                self._compiled_many = self._compile(
                    OPENVINO_BATCH, PERFORMANCE_HINT="THROUGHPUT", NUM_STREAMS=self._threads
                )
        return self._compiled_many

    def run(self, inputs: torch.Tensor) -> Arrays:
        """(N, C, S, S) -> features (N, F, h, w), logits (N, K)."""
        if not hasattr(self._local, "request"):
            self._local.request = self._one.create_infer_request()
        found = []
        for picture in inputs.contiguous().numpy()[:, None]:
            result = self._local.request.infer([picture], share_inputs=True)
            found.append([np.array(result[number], np.float32) for number in range(2)])
        features, logits = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return features, logits

    def logits(self, inputs: torch.Tensor) -> NDArray[np.float32]:
        """(N, C, S, S) -> (N, K), in batches, as many at once as there are threads."""
        if not hasattr(self._local, "queue"):
            self._local.queue = _queue(self._many, self._threads)
        count, missing = len(inputs), -len(inputs) % OPENVINO_BATCH
        # The last batch is filled up with a picture that nobody asked about.
        filled = torch.cat([inputs, inputs[-1:].expand(missing, -1, -1, -1)]) if missing else inputs
        found: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * (len(filled) // OPENVINO_BATCH)
        for number, batch in enumerate(torch.split(filled.contiguous(), OPENVINO_BATCH)):
            self._local.queue.start_async([batch.numpy()], (found, number), share_inputs=True)
        self._local.queue.wait_all()
        return np.concatenate(found)[:count]


def _queue(compiled: Any, jobs: int) -> Any:
    import openvino

    def keep(request: Any, where: tuple[list[NDArray[np.float32]], int]) -> None:
        found, number = where
        found[number] = np.array(request.get_output_tensor(1).data, np.float32)

    queue = openvino.AsyncInferQueue(compiled, jobs)
    queue.set_callback(keep)
    return queue


def choose_engine(name: str, network: Classifier, device: torch.device) -> Engine:
    """`auto` takes OpenVINO on a CPU and torch on a GPU. Raises ConfigurationError for an unknown name."""
    if name == "auto":
        name = "openvino" if device.type == "cpu" else "torch"
    if name == "openvino":
        return OpenVinoEngine(network)
    if name == "torch":
        return TorchEngine(network, device)
    raise ConfigurationError(f"There is no engine called {name}.", "Choose auto, openvino or torch.")
