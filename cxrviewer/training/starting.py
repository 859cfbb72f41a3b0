"""What a run takes over from weights that there are already, and which of them it must not have."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from cxrviewer.classifiers.bundle import Bundle, open_bundle
from cxrviewer.classifiers.classifier import Classifier
from cxrviewer.classifiers.heads import last_layer
from cxrviewer.datasets.splits import Part, read_split
from cxrviewer.errors import ConfigurationError, SplitError
from cxrviewer.labels import Head
from cxrviewer.training.material import Material


def split_of(start: Path) -> Path:
    """Where the parts lie that the weights were learnt from: a bundle carries them, a checkpoint's run holds them."""
    return (start if start.is_dir() else start.parent.parent) / "split.csv"


def refuse_leak(material: Material, start: Path) -> None:
    """Raises SplitError where the weights to start from have learnt a picture that this run judges by."""
    split = split_of(start)
    if not split.is_file():
        return
    learnt = {(row.dataset, row.image) for row in read_split(split) if row.part is Part.TRAIN}
    leaked = sum(row.part is not Part.TRAIN and (row.dataset, row.image) in learnt for row in material.split)
    if leaked:
        raise SplitError(
            f"The weights to start from have learnt {leaked} pictures of this run's tune and report parts.",
            "Use the earlier run's sources, fractions and split_seed.",
        )


def take_weights(module: nn.Module, state: dict[str, torch.Tensor]) -> str:
    """Take over the whole classifier of an earlier run. Raises ConfigurationError."""
    given = {k: v for k, v in state.items() if k.startswith("classifier.")}
    wanted = {k: v.shape for k, v in module.state_dict().items() if k.startswith("classifier.")}
    if {k: v.shape for k, v in given.items()} != wanted:
        raise ConfigurationError(
            "The checkpoint to start from holds another network.", "Choose the same backbone and vocabulary."
        )
    module.load_state_dict(given, strict=False)
    return "starts from the weights of an earlier run"


def take_bundle(classifier: Classifier, folder: Path) -> str:
    """Take over a bundle's backbone, and its answers for labels of the same name in the same head; says which.

    Raises ModelBundleError where the bundle fails its checks, ConfigurationError where it is another network.
    """
    bundle = open_bundle(folder)
    _refuse_another_network(classifier, bundle)
    theirs = bundle.classifier()
    own = classifier.state_dict()
    parts = {k: v for k, v in theirs.state_dict().items() if not k.startswith("heads.")}
    if {k: v.shape for k, v in own.items() if not k.startswith("heads.")} != {
        k: v.shape for k, v in parts.items()
    }:
        raise ConfigurationError(
            f"Model {bundle.card.id} has the same backbone with other options, channels or picture size.",
            "Use those of its card, or start from another model.",
        )
    classifier.load_state_dict(own | parts)
    taken = [
        target for head, _ in classifier.architecture.heads for target in _take_head(classifier, theirs, head)
    ]
    heads = f", and its answers for {', '.join(taken)}" if taken else "; the heads begin anew"
    unknown = "" if split_of(folder).is_file() else " It does not say which pictures it has learnt."
    return f"starts from model {bundle.card.id}: its backbone{heads}.{unknown}"


def _refuse_another_network(classifier: Classifier, bundle: Bundle) -> None:
    if bundle.card.task != "classification":
        raise ConfigurationError(
            f"Model {bundle.card.id} is a {bundle.card.task} model.", "Start from a classification model."
        )
    theirs, own = bundle.card.architecture.backbone, classifier.architecture.backbone
    if theirs != own:
        raise ConfigurationError(
            f"Model {bundle.card.id} is a {theirs}, and this run asks for {own}.",
            "Choose the same backbone, or another model to start from.",
        )


@torch.no_grad()
def _take_head(classifier: Classifier, theirs: Classifier, head: Head) -> list[str]:
    """The rows of the labels that both heads have, where all layers before the last are alike; returns the labels."""
    labels, known = dict(classifier.architecture.heads)[head], dict(theirs.architecture.heads).get(head, ())
    shared = [label for label in labels if label in known]
    if not shared:
        return []
    own, other = classifier.heads[head.value], theirs.heads[head.value]
    to, source = last_layer(own), last_layer(other)
    hidden, given = (part.state_dict() for part in (own, other))
    rows = {"weight", "bias"} if isinstance(own, nn.Linear) else {"out.weight", "out.bias"}
    if {k: v.shape for k, v in hidden.items() if k not in rows} != {
        k: v.shape for k, v in given.items() if k not in rows
    }:
        return []
    own.load_state_dict({k: hidden[k] if k in rows else given[k] for k in hidden})
    step = to.out_features // len(labels)  # two numbers a label under a softmax: absent, then present
    for label in shared:
        row, theirs_row = labels.index(label) * step, known.index(label)
        to.weight[row : row + step], to.bias[row : row + step] = 0, 0
        to.weight[row + step - 1] = source.weight[theirs_row]
        to.bias[row + step - 1] = source.bias[theirs_row]
    return shared
