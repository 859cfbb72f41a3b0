"""Model bundles on disk: `weights.safetensors` and `card.json`. No pickle, and nothing serves unchecked (G14)."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from cxrviewer.classifiers.card import CARD, REMEDY, Card, read_card
from cxrviewer.classifiers.classifier import Classifier
from cxrviewer.errors import CxrError, ModelBundleError

WEIGHTS = "weights.safetensors"
MAX_WEIGHTS_BYTES = 2**31
SCOPE_PREFIX = "scope."
_COUNTERS = ".num_batches_tracked"

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle that passed every check. `tensors`: all of them, as stored."""

    path: Path
    card: Card
    tensors: Tensors

    def classifier(self) -> Classifier:
        """The network with its weights, float32, in evaluation mode."""
        network = Classifier(self.card.network())
        state = {
            name: tensor.float() for name, tensor in self.tensors.items() if not name.startswith(SCOPE_PREFIX)
        }
        network.load_state_dict(state | _counters(network))
        return network.eval()

    def scope_tensors(self) -> Tensors:
        """What `scope.py` compares a picture with, float32; empty where the bundle has none."""
        cut = len(SCOPE_PREFIX)
        return {name[cut:]: t.float() for name, t in self.tensors.items() if name.startswith(SCOPE_PREFIX)}


def _counters(network: torch.nn.Module) -> Tensors:
    """Batch norm's counters are of no use in serving, so they are not stored."""
    return {name: tensor for name, tensor in network.state_dict().items() if name.endswith(_COUNTERS)}


def open_bundle(path: Path) -> Bundle:
    """Read and check a bundle: card, hash, keys, shapes, types, finiteness. Raises ModelBundleError."""
    card = read_card(path)
    try:
        if (path / WEIGHTS).stat().st_size > MAX_WEIGHTS_BYTES:
            raise ModelBundleError(f"The weights of model {card.id} are larger than 2 GiB.", REMEDY)
        data = (path / WEIGHTS).read_bytes()
    except OSError as exc:
        raise ModelBundleError(f"The weights of model {card.id} cannot be read.", REMEDY) from exc
    if hashlib.sha256(data).hexdigest() != card.weights_sha256:
        raise ModelBundleError(
            f"The weights of model {card.id} are not those that its card names (hash differs).", REMEDY
        )
    try:
        tensors = load_tensors(data)
    except (SafetensorError, KeyError) as exc:  # KeyError: a type that torch does not have
        raise ModelBundleError(f"The weights of model {card.id} are damaged.", REMEDY) from exc
    check_values(card, tensors)
    if card.task == "classification":
        check_tensors(card, tensors)
    return Bundle(path, card, tensors)


def check_values(card: Card, tensors: Mapping[str, torch.Tensor]) -> None:
    """Types and finiteness, scope tensors included. Raises ModelBundleError."""
    for name, tensor in tensors.items():
        if tensor.dtype not in (torch.float16, torch.float32):
            raise ModelBundleError(
                f"Model {card.id}: {name} is of type {tensor.dtype}, not float16 or float32.", REMEDY
            )
        if not bool(torch.isfinite(tensor).all()):
            raise ModelBundleError(f"Model {card.id}: {name} holds values that are not finite.", REMEDY)


def check_tensors(card: Card, tensors: Mapping[str, torch.Tensor]) -> None:
    """Keys and shapes against the network that the card describes. Raises ModelBundleError."""
    try:
        with torch.device("meta"):
            expected = Classifier(card.network()).state_dict()
    except CxrError as exc:
        raise ModelBundleError(f"Model {card.id} cannot be built. {exc.message}", REMEDY) from exc
    wanted = {name: tensor for name, tensor in expected.items() if not name.endswith(_COUNTERS)}
    given = {name: tensor for name, tensor in tensors.items() if not name.startswith(SCOPE_PREFIX)}
    if different := sorted(wanted.keys() ^ given.keys()):
        names = ", ".join(name[:60] for name in different[:3])
        raise ModelBundleError(f"Model {card.id} lacks or adds tensors ({names}).", REMEDY)
    for name, tensor in given.items():
        if tensor.shape != wanted[name].shape:
            raise ModelBundleError(
                f"Model {card.id}: {name} has shape {tuple(tensor.shape)}, not {tuple(wanted[name].shape)}.",
                REMEDY,
            )


def pack(classifier: Classifier, scope: Mapping[str, torch.Tensor] | None = None) -> bytes:
    """The weights file. Convolutions and heads as float16; norms, biases, scales and statistics as float32."""
    tensors = {
        name: _stored(tensor).contiguous().clone()
        for name, tensor in classifier.cpu().folded().state_dict().items()
        if not name.endswith(_COUNTERS)
    }
    tensors |= {
        SCOPE_PREFIX + name: tensor.float().contiguous().clone() for name, tensor in (scope or {}).items()
    }
    return bytes(save_tensors(tensors))


def _stored(tensor: torch.Tensor) -> torch.Tensor:
    # A vector in disguise (ConvNeXt's scales of 1e-6, (C, 1, 1)) or a number beyond 65504 would lose too much.
    vector = tensor.ndim < 2 or (tensor.ndim > 2 and tensor.numel() == max(tensor.shape))
    half = tensor.half()
    return tensor.float() if vector or not bool(half.isfinite().all()) else half


def save_bundle(parent: Path, weights: bytes, card: Card) -> Path:
    """Write `parent/<id>/` by one rename; an older bundle of that id is replaced. The card gets the weights' hash."""
    card = card.model_copy(update={"weights_sha256": hashlib.sha256(weights).hexdigest()})
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".new-", dir=parent))
    try:
        _write(folder / WEIGHTS, weights)
        content = json.dumps(card.model_dump(mode="json"), indent=1, ensure_ascii=False)
        _write(folder / CARD, content.encode() + b"\n")
        folder.chmod(0o755)
        put_in_place(folder, parent / card.id)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return parent / card.id


def put_in_place(new: Path, target: Path) -> None:
    """Put a folder into the place of another, which comes back if that fails."""
    old = target.with_name(f".old-{target.name}")
    replaces = target.exists()
    if replaces:
        shutil.rmtree(old, ignore_errors=True)  # a crash after the second rename leaves one behind
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if replaces:
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
