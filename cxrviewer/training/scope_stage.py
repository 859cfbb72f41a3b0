"""The scope network of a run: trained once on its radiographs, kept in the run folder, measured on the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from safetensors import SafetensorError
from safetensors.torch import load, save

from cxrviewer.classifiers.scope import SCOPE_SIZE, ScopeNet
from cxrviewer.datasets.splits import Part
from cxrviewer.files import read_small, write_whole
from cxrviewer.training.material import Material
from cxrviewer.training.pictures import load_all
from cxrviewer.training.run_folder import RunFolder
from cxrviewer.training.scope_fit import ScopeRecipe, choose_threshold, scope_logits, train_scope

FILE = "scope.safetensors"
_COUNTERS = "num_batches_tracked"
_MOST_BYTES = 2**26
MOST = 12_000
"""Pictures of a part of one data set, chosen at random: 200 MB. They are few, and 64 px tell a chest from a hand."""


@dataclass(frozen=True, eq=False)
class ScopeResult:
    """tensors: what goes into the bundle; threshold: on the logit; measured: shares refused, for the card."""

    tensors: dict[str, torch.Tensor]
    threshold: float
    measured: dict[str, JsonValue]


def scope_of(
    run: RunFolder,
    material: Material,
    recipe: ScopeRecipe | None = None,
    tell: Callable[[int, float], None] = lambda _epoch, _loss: None,
) -> ScopeResult:
    """Train (or take from the run folder), choose the threshold on tune, count what report pictures it refuses."""
    train = [_pictures(material, Part.TRAIN, k) for k in range(len(material.datasets))]
    file = run.path / FILE
    network = ScopeNet().eval()
    if not _taken(network, file):
        network = train_scope([part for part in train if len(part)], recipe or ScopeRecipe(), tell)
        write_whole(file, save(_tensors(network)))
    tune = [_pictures(material, Part.TUNE, k) for k in range(len(material.datasets))]
    # A run without a tune part still needs a threshold; the outliers are new in any case.
    spoilt = np.concatenate([part for part in tune if len(part)] or train)
    threshold = choose_threshold(network, spoilt, (recipe or ScopeRecipe()).seed)
    refused: dict[str, JsonValue] = {}
    for index, dataset in enumerate(material.datasets):
        pictures = _pictures(material, Part.REPORT, index)
        if len(pictures):
            logits = scope_logits(network, pictures)
            refused[dataset.name] = {
                "n_images": len(logits),
                "refused": int((logits < threshold).sum()),
                "lowest_logit": round(float(logits.min()), 2),
            }
    return ScopeResult(_tensors(network), threshold, {"report_refused": refused})


def _taken(network: ScopeNet, file: Path) -> bool:
    """Take the weights that an interrupted publication left; False where there are none, or no whole ones."""
    counters = {k: v for k, v in network.state_dict().items() if k.endswith(_COUNTERS)}
    try:
        network.load_state_dict(load(read_small(file, _MOST_BYTES)) | counters)
    except (OSError, SafetensorError, RuntimeError, KeyError):  # of another size, or with other names
        return False
    return all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values())


def _tensors(network: ScopeNet) -> dict[str, torch.Tensor]:
    return {k: v.contiguous() for k, v in network.state_dict().items() if not k.endswith(_COUNTERS)}


def _pictures(material: Material, part: Part, source: int) -> NDArray[np.float32]:
    """(N, 64, 64) in [0, 1]: the whole pictures squashed, however the classifier's are prepared."""
    rows = material.chosen(part, source)
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(1).permutation(rows)[:MOST])
    paths = [material.picture(int(index)) for index in rows]
    return load_all(paths, SCOPE_SIZE).astype(np.float32) / np.float32(255)
