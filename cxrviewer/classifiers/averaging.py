"""Several bundles averaged as one: an ordinary bundle whose log-odds are the mean of its members' calibrated ones.

Members with linear heads over feature maps of the same grid, which prepare pictures alike, together are again one such
network: their maps side by side, and each member's head weights times its calibration's slope, divided by how many they
are. So it has one forward function, and every explainer explains exactly that. Why log-odds and not probabilities:
docs/decisions/0030-networks.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import torch
from pydantic import JsonValue

from cxrviewer import __version__
from cxrviewer.classifiers.architecture import Architecture
from cxrviewer.classifiers.bundle import Bundle, pack
from cxrviewer.classifiers.calibration import log_odds, sigmoid
from cxrviewer.classifiers.card import ID, ArchitectureCard, Card, TargetCard
from cxrviewer.classifiers.classifier import Classifier
from cxrviewer.errors import ConfigurationError

RULE = "mean of the members' thresholds as log-odds; not chosen on any data"
LIMIT = "An average of several models: it was not measured as a whole. Its calibration and thresholds follow theirs."


def average(bundles: Sequence[Bundle], model_id: str) -> tuple[bytes, Card]:
    """The weights file and the card of the average. Raises ConfigurationError."""
    if not re.fullmatch(ID, model_id):
        raise ConfigurationError(
            "A model's id has lower case letters, digits, dots, dashes and underscores, 64 at most.",
            "Choose another id.",
        )
    if not 2 <= len(bundles) <= 16:
        raise ConfigurationError("An average needs two to sixteen models.", "Name so many.")
    networks = [bundle.classifier() for bundle in bundles]
    first = networks[0]
    for bundle, network in zip(bundles, networks, strict=True):
        _check_fits(bundle, network, bundles[0], first)
    options: dict[str, JsonValue] = {
        "members": [
            {"backbone": n.architecture.backbone, "options": dict(n.architecture.options)} for n in networks
        ]
    }
    made = Architecture("average", first.architecture.heads, first.architecture.input, options=options)
    network = Classifier(made).eval()
    with torch.no_grad():
        for number, member in enumerate(networks):
            network.backbone.get_submodule(f"member{number}").load_state_dict(member.backbone.state_dict())
        _join_heads(network, bundles, networks)
    return pack(network, bundles[0].scope_tensors()), _card(bundles, network, model_id)


def _check_fits(bundle: Bundle, network: Classifier, first: Bundle, other: Classifier) -> None:
    name, remedy = bundle.card.id, "Average models of one recipe, or distil them into one network."
    if network.architecture.input != other.architecture.input:
        raise ConfigurationError(f"{name} is given other pictures than {first.card.id}.", remedy)
    if network.architecture.heads != other.architecture.heads:
        raise ConfigurationError(f"{name} answers other labels than {first.card.id}.", remedy)
    if not network.linear:
        raise ConfigurationError(f"The heads of {name} are not linear after pooling.", remedy)
    if _grid(network) != _grid(other):
        raise ConfigurationError(f"The feature maps of {name} and {first.card.id} differ in size.", remedy)


def _grid(network: Classifier) -> tuple[int, ...]:
    spec = network.architecture.input
    with torch.inference_mode():
        return tuple(network.features(torch.zeros(1, spec.channels, spec.size, spec.size)).shape[2:])


def _join_heads(network: Classifier, bundles: Sequence[Bundle], members: Sequence[Classifier]) -> None:
    """Weights side by side, times slope, by count; biases: the mean of slope * bias + intercept."""
    for head, _ in network.architecture.heads:
        weights, biases = [], []
        for bundle, member in zip(bundles, members, strict=True):
            own = [target for target in bundle.card.targets if target.head is head]
            slopes = torch.tensor([target.slope for target in own])
            layer = member.heads[head.value]
            weights.append(layer.get_parameter("weight") * slopes[:, None])
            intercepts = torch.tensor([target.intercept for target in own])
            biases.append(layer.get_parameter("bias") * slopes + intercepts)
        joined = network.heads[head.value]
        joined.get_parameter("weight").copy_(torch.cat(weights, 1) / len(members))
        joined.get_parameter("bias").copy_(torch.stack(biases).mean(0))


def _card(bundles: Sequence[Bundle], network: Classifier, model_id: str) -> Card:
    cards = [bundle.card for bundle in bundles]
    named = ", ".join(card.id for card in cards)
    data = {(part.name, part.digest): part for card in cards for part in card.training_data}
    limits = dict.fromkeys(limit for card in cards for limit in card.limits)
    return cards[0].model_copy(
        update={
            "id": model_id,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "title": f"Average of {named}",
            "architecture": ArchitectureCard.of(network.architecture),
            "targets": tuple(_target(rows) for rows in zip(*(card.targets for card in cards), strict=True)),
            "limits": (LIMIT, *limits),
            "training_data": tuple(data.values()),
            "recipe": {"average_of": {card.id: card.weights_sha256 for card in cards}},
            "metrics": {},
            "checks": {},
            "software": {"cxrviewer": __version__, "torch": torch.__version__},
            "licence": "; ".join(dict.fromkeys(card.licence for card in cards)),
        }
    )


def _target(rows: Sequence[TargetCard]) -> TargetCard:
    prevalences = [row.prevalence for row in rows if row.prevalence is not None]
    thresholds = [row.threshold for row in rows if row.threshold is not None]
    whole = len(thresholds) == len(rows)
    return TargetCard(
        head=rows[0].head,
        label=rows[0].label,
        slope=1.0,
        intercept=0.0,
        prevalence=_mean(prevalences) if len(prevalences) == len(rows) else None,
        threshold=_mean(thresholds) if whole else None,
        rule=RULE if whole else "",
        sensitivity=None,
        specificity=None,
        band_low=None,
        band_high=None,
        n_positive=min(row.n_positive for row in rows),
        n_negative=min(row.n_negative for row in rows),
    )


def _mean(probabilities: Sequence[float]) -> float:
    """As log-odds, as the answers are."""
    return sigmoid(float(np.mean([log_odds(p) for p in probabilities])))
