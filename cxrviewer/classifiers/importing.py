"""Networks that others published -> bundles: TorchXRayVision's (Cohen et al., MIDL 2022). The library is not needed."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import torch

from cxrviewer import __version__
from cxrviewer.classifiers.architecture import Architecture, InputSpec
from cxrviewer.classifiers.bundle import Bundle, pack
from cxrviewer.classifiers.card import ArchitectureCard, Card, InputCard, ScopeCard, TargetCard
from cxrviewer.classifiers.classifier import Classifier
from cxrviewer.classifiers.foreign import Tensors, read_foreign
from cxrviewer.classifiers.preparing import normalise
from cxrviewer.classifiers.published import Published
from cxrviewer.classifiers.targets import Target
from cxrviewer.errors import ModelBundleError
from cxrviewer.labels import Head

RULE = "the operating point that TorchXRayVision publishes"
INTENDED_USE = (
    "Teaching and research on frontal chest radiographs: to compare with other models. Not a medical device; not for "
    "diagnosis, triage or treatment."
)
LIMITS = (
    "Converted from published weights: nothing about it was measured here.",
    "A probability is the network's own and not calibrated: it stands for no known prevalence.",
    "Its picture check is that of another model.",
)
NO_CHECK = "No picture check: only what a file's header says decides whether a picture is in scope."
_MAPPED = {"densenet121": ("features.", "classifier"), "resnet50": ("", "fc")}
"""By backbone: how the library's feature names begin, and the name of its last layer."""


def classifier_of(entry: Published, tensors: Tensors) -> Classifier:
    """The published network as one of ours, float32: outputs without a name are left out. Raises ModelBundleError."""
    start, last = _MAPPED[entry.backbone]
    rows = [index for index, label in enumerate(entry.labels) if label]
    state: Tensors = {}
    for key, tensor in tensors.items():
        if key in (f"{last}.weight", f"{last}.bias"):
            if len(tensor) != len(entry.labels):
                raise _other(entry, key)
            state[f"heads.{Head.FINDINGS}.{key.rpartition('.')[2]}"] = tensor[rows]
        elif key.startswith(start) and key != "op_threshs":
            state[f"backbone.{key.removeprefix(start)}"] = tensor
    network = Classifier(architecture_of(entry))
    wanted = network.state_dict()
    strange = sorted(
        key for key in wanted.keys() ^ state.keys() if not key.endswith(".num_batches_tracked")
    ) or [key for key, tensor in state.items() if tensor.shape != wanted[key].shape]
    if strange:
        raise _other(entry, strange[0])
    network.load_state_dict({key: tensor.float() for key, tensor in state.items()}, strict=False)
    return network.eval()


def architecture_of(entry: Published) -> Architecture:
    """Grey pictures of the central square, -1024 to 1024, as the library prepares them."""
    labels = tuple(label for label in entry.labels if label)
    spec = InputSpec(entry.size, 1, resize="crop", normalisation="xrv")
    return Architecture(entry.backbone, ((Head.FINDINGS, labels),), spec)


def _other(entry: Published, key: str) -> ModelBundleError:
    return ModelBundleError(
        f"The weights {entry.name} are not those of {entry.backbone} with {len(entry.labels)} outputs ({key[:60]}).",
        "Fetch them again, or do not use them.",
    )


def as_bundle(entry: Published, file: Path, scope: Bundle | None = None) -> tuple[bytes, Card]:
    """The weights file and the card of a published network.

    scope: a bundle whose picture check is taken over; None: only header rules decide. Raises ModelBundleError.
    """
    network = classifier_of(entry, read_foreign(file, entry.name))
    tensors = {} if scope is None else scope.scope_tensors()
    weights = pack(network, tensors)
    thresholds = [t for label, t in zip(entry.labels, entry.thresholds, strict=True) if label]
    card = Card(
        id=entry.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        title=f"{entry.backbone} of TorchXRayVision, {entry.size} px, learnt from {entry.trained_on}",
        architecture=ArchitectureCard.of(network.architecture),
        input=InputCard(**asdict(network.architecture.input)),
        targets=tuple(
            _target(target, threshold) for target, threshold in zip(network.targets, thresholds, strict=True)
        ),
        scope=ScopeCard()
        if scope is None or not tensors
        else scope.card.scope.model_copy(update={"ages": {}, "measured": {"taken_from": scope.card.id}}),
        intended_use=INTENDED_USE,
        limits=(*LIMITS[:2], LIMITS[2] if tensors else NO_CHECK),
        recipe={"published": entry.url, "citation": entry.citation, "trained_on": entry.trained_on},
        checks={"source_sha256": hashlib.sha256(file.read_bytes()).hexdigest()},
        software={"cxrviewer": __version__, "torch": torch.__version__},
        licence=entry.licence,
    )
    return weights, card


def _target(target: Target, threshold: float | None) -> TargetCard:
    return TargetCard(
        head=target.head,
        label=target.label,
        slope=1.0,
        prevalence=None,
        threshold=threshold,
        rule=RULE if threshold is not None else "",
        sensitivity=None,
        specificity=None,
        band_low=None,
        band_high=None,
        n_positive=0,
        n_negative=0,
    )


def check_answers(bundle: Bundle) -> None:
    """One picture through the finished bundle. Raises ModelBundleError where its answer is no number."""
    network = bundle.classifier().requires_grad_(False)
    side = network.architecture.input.size
    ramp = torch.linspace(0, 1, side * side).reshape(1, 1, side, side)
    with torch.inference_mode():
        logits = network(normalise(ramp, network.architecture.input))
    if not bool(logits.isfinite().all()):
        raise ModelBundleError(f"Model {bundle.card.id} gives answers that are no numbers.", "Do not use it.")
