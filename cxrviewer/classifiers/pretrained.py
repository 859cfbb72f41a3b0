"""ImageNet weights into a backbone: from torchvision's own cache folder, fetched into it where they are absent."""

from __future__ import annotations

import math
import re
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import nn

from cxrviewer.classifiers.fetching import Tell, download, silent
from cxrviewer.classifiers.published import Published, published
from cxrviewer.errors import ModelBundleError

Tensors = dict[str, torch.Tensor]

SPARE = 1.5
"""A file may be so many times as large as the table says."""
_COUNTER = ".num_batches_tracked"
_LEFT_OUT = re.compile(r"^(fc|classifier|heads|AuxLogits)\.")
"""What a published network holds besides features."""

RENAMED: dict[str, tuple[tuple[str, str], ...]] = {
    # The files are older than the library: norm.1 became norm1.
    "densenet": ((r"^features\.", ""), (r"(denselayer\d+)\.(norm|relu|conv)\.([12])\.", r"\1.\2\3.")),
    "efficientnet": ((r"^features\.", ""),),
    "convnext": ((r"^features\.", ""), (r"^classifier\.0\.", "norm.")),
    "vit": (
        (r"^(class_token|conv_proj\.)", r"patches.\1"),
        (r"^encoder\.pos_embedding", "patches.pos_embedding"),
        (r"^encoder\.layers\.encoder_layer_", "block"),
        (r"^encoder\.ln\.", "norm."),
        (r"\.in_proj_", ".in_proj."),
        (r"\.mlp\.linear_1\.", ".mlp.0."),
        (r"\.mlp\.(linear_2|3)\.", ".mlp.2."),
    ),
}
"""By how a backbone's name begins: torchvision's names -> ours."""


def load_published(features: nn.Module, name: str, tell: Tell = silent) -> None:
    """Fill a backbone's features with published weights; colour weights are summed where it takes grey pictures.

    Raises NetworkError where they cannot be fetched, ModelBundleError where the file is not what it should be.
    """
    entry = published(name)
    state = _renamed(entry.backbone, read_tensors(weights_file(entry, tell), entry.name))
    own = features.state_dict()
    first = next(key for key, tensor in own.items() if tensor.ndim == 4)
    if first in state:
        state[first] = for_channels(state[first], own[first].shape[1])
    if "patches.pos_embedding" in state:
        state["patches.pos_embedding"] = _for_places(
            state["patches.pos_embedding"], own["patches.pos_embedding"]
        )
    wanted = {key for key in own if not key.endswith(_COUNTER)}
    given = {key for key in state if not key.endswith(_COUNTER)}
    if wanted != given or any(own[key].shape != state[key].shape for key in wanted):
        strange = sorted(wanted ^ given) or sorted(k for k in wanted if own[k].shape != state[k].shape)
        raise ModelBundleError(
            f"The weights {entry.name} are not those of {entry.backbone} ({strange[0][:60]}).",
            "Delete the file from torch's cache folder and fetch it again.",
        )
    features.load_state_dict(state, strict=False)  # only counters may be absent


def weights_file(entry: Published, tell: Tell = silent, source_url: str | None = None) -> Path:
    """The published file in torchvision's cache folder, fetched where it is absent. Raises NetworkError."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / entry.file
    if not path.is_file():
        most = int(entry.megabytes * SPARE * 1e6)
        download(source_url or entry.url, path, most=most, sha256=entry.sha256, tell=tell)
    return path


def read_tensors(path: Path, name: str) -> Tensors:
    """Nothing but tensors by name; nothing in the file runs. Raises ModelBundleError."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, OSError, RuntimeError, ValueError, EOFError, KeyError) as exc:
        raise ModelBundleError(
            f"The weights {name} are damaged, or hold more than numbers.", "Fetch them again."
        ) from exc
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ModelBundleError(f"The weights {name} hold something else than tensors.", "Fetch them again.")
    return dict(found)


def for_channels(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """First-layer weights (F, 3, k, k) -> (F, channels, k, k): a grey picture gets the answer it had in three equal
    colours."""
    if weight.shape[1] == channels:
        return weight
    return (weight.sum(1, keepdim=True) / channels).expand(-1, channels, -1, -1).contiguous()


def _for_places(published_places: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """Positions of another picture size, drawn out over its patches."""
    from cxrviewer.classifiers.vision_transformer import stretched

    if published_places.shape == own.shape:
        return published_places
    side = math.isqrt(own.shape[1] - 1)
    return torch.cat([published_places[:, :1], stretched(published_places[:, 1:], side)], 1)


def _renamed(backbone: str, state: Tensors) -> Tensors:
    family = next((rules for start, rules in RENAMED.items() if backbone.startswith(start)), ())
    found = {}
    for key, tensor in state.items():
        for pattern, replacement in family:
            key = re.sub(pattern, replacement, key)
        if not _LEFT_OUT.match(key):
            found[key] = tensor
    return found
