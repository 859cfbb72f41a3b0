"""Many picture files through a serving network, in batches: logits and pooled features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cxrviewer.classifiers.engines import MAX_BATCH
from cxrviewer.classifiers.preparing import prepare_small
from cxrviewer.classifiers.serving import ServingClassifier
from cxrviewer.datasets import Member
from cxrviewer.training.pictures import read_grey

Progress = Callable[[float], None]
"""The share done, in [0, 1]."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Scored:
    """logits: float32 (N, K), targets in the network's order; features: float32 (N, F), pooled over the picture."""

    logits: Floats
    features: Floats


def score_files(
    serving: ServingClassifier, paths: Sequence[Path | Member], progress: Progress | None = None
) -> Scored:
    """Read, prepare as in serving, and score. Raises UnreadableError."""
    with ThreadPoolExecutor(2) as pool:
        inputs = pool.map(lambda path: _input(serving, path), paths)
        return _score(serving, inputs, len(paths), progress)


def _input(serving: ServingClassifier, path: Path | Member) -> torch.Tensor:
    return prepare_small(serving.preparer.picture(read_grey(path)).square, serving.spec)


def score_small(serving: ServingClassifier, pictures: Floats) -> Scored:
    """(N, S, S) in [0, 1], already prepared (`Preparer.picture`)."""
    inputs = (prepare_small(picture, serving.spec) for picture in pictures)
    return _score(serving, inputs, len(pictures), None)


def _score(
    serving: ServingClassifier, inputs: Iterator[torch.Tensor], count: int, progress: Progress | None
) -> Scored:
    logits = np.zeros((count, len(serving.targets)), np.float32)
    features = np.zeros((count, 0), np.float32)
    for start in range(0, count, MAX_BATCH):
        batch = torch.cat([next(inputs) for _ in range(min(MAX_BATCH, count - start))])
        output = serving.run(batch)
        logits[start : start + len(batch)] = output.logits
        if not features.size:
            features = np.zeros((count, output.features.shape[1]), np.float32)
        features[start : start + len(batch)] = output.features.mean((2, 3))
        if progress is not None:
            progress((start + len(batch)) / count)
    return Scored(logits, features)
