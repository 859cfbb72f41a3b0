"""Heads: the stacks as their tables say, and a softmax over two classes folded into one logit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.small_models import SIZE, small_card, small_network
from torch import nn

from cxrviewer.classifiers.bundle import open_bundle, pack, save_bundle
from cxrviewer.classifiers.card import ArchitectureCard, Card
from cxrviewer.classifiers.classifier import Architecture, Classifier
from cxrviewer.classifiers.heads import STACKS, fold, stack
from cxrviewer.errors import ConfigurationError
from cxrviewer.labels import PNEUMONIA, Head
from cxrviewer.training.config import HeadChoice, TrainingConfig
from cxrviewer.training.material import architecture_of

BOTH = frozenset((Head.PNEUMONIA, Head.FINDINGS))


def pictures(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def kinds(head: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in head.children()]


def test_the_stacks_layer_by_layer() -> None:
    assert isinstance(stack("linear", 32, 14), nn.Linear)
    dense = stack("dense-128", 32, 14)
    assert kinds(dense) == ["Linear", "ReLU", "Dropout", "Linear"]
    assert dense.get_submodule("drop").p == 0.1
    deep = stack("dense-512-128-32", 32, 14)
    one = ["Linear", "ReLU", "BatchNorm1d"]
    assert kinds(deep) == [*one, *one, "Linear", "ReLU", "Linear"]
    widths = [layer.out_features for layer in deep.children() if isinstance(layer, nn.Linear)]
    assert widths == [512, 128, 32, 14]
    with pytest.raises(ConfigurationError, match=r"called wide.*linear, dense-128, dense-512-128-32"):
        stack("wide", 32, 14)


@pytest.mark.parametrize("name", STACKS)
def test_folded_gives_the_softmaxs_probability(name: str) -> None:
    """Exactly the same function: sigmoid of the difference is the softmax's second share."""
    network = small_network(two_way=BOTH, stacks={Head.FINDINGS: name}).requires_grad_(False)
    features = network.features(pictures())
    pairs = network.two_way_logits(features)
    assert {head: pair.shape for head, pair in pairs.items()} == {
        "pneumonia": (3, 1, 2),
        "findings": (3, 14, 2),
    }
    wanted = torch.cat([pairs[head].softmax(2)[:, :, 1] for head in ("pneumonia", "findings")], 1)
    folded = network.folded()
    assert network(pictures()).shape == folded(pictures()).shape == (3, 15)
    torch.testing.assert_close(network(pictures()).sigmoid(), wanted, rtol=0, atol=1e-6)
    torch.testing.assert_close(folded(pictures()).sigmoid(), wanted, rtol=0, atol=1e-6)
    assert not folded.architecture.two_way and not folded.training
    assert folded.folded() is folded
    assert network.architecture.two_way == BOTH, "the network in training is left as it was"


def test_folding_by_hand() -> None:
    """Rows in turn negative, positive: (1, 2) and (5, 9), biases 10 and 30 -> (4, 7) and 20."""
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0], [5.0, 9.0]]))
        layer.bias.copy_(torch.tensor([10.0, 30.0]))
    folded = fold(layer)
    assert folded.weight.tolist() == [[4, 7]] and folded.bias.tolist() == [20]


def test_head_weights_of_a_softmax_are_those_of_its_logit() -> None:
    network = small_network(two_way=BOTH)
    torch.testing.assert_close(network.head_weights(), network.folded().head_weights())


def test_one_head_under_a_softmax_leaves_the_other_alone() -> None:
    network = small_network(two_way=frozenset((Head.PNEUMONIA,)))
    assert list(network.two_way_logits(network.features(pictures()))) == ["pneumonia"]
    assert network.heads["findings"].out_features == 14
    assert network.heads["pneumonia"].out_features == 2


def test_a_bundle_has_one_logit_a_label_and_says_its_stack(tmp_path: Path) -> None:
    network = small_network(two_way=BOTH, stacks={Head.FINDINGS: "dense-512-128-32"})
    card = small_card("folded", network.folded().architecture)
    opened = open_bundle(save_bundle(tmp_path, pack(network), card))
    assert opened.card.architecture.stacks == {Head.FINDINGS: "dense-512-128-32"}
    found, wanted = opened.classifier()(pictures()).sigmoid(), network(pictures()).sigmoid()
    assert (found - wanted).abs().max() < 1e-2


def test_a_card_without_stacks_and_options_is_read_as_linear() -> None:
    """Cards written before there was a choice."""
    written = small_card().model_dump(mode="json")
    del written["architecture"]["stacks"], written["architecture"]["options"]
    card = Card.model_validate(written)
    assert card.network().stacks == {} and card.network().options == {}
    assert Classifier(card.network()).linear


def test_a_card_leaves_out_what_says_nothing() -> None:
    made = Architecture("tiny", stacks={Head.PNEUMONIA: "linear", Head.FINDINGS: "dense-128"}, dropout=0.4)
    card = ArchitectureCard.of(replace(made, heads=((Head.PNEUMONIA, (PNEUMONIA,)),)))
    assert card.stacks == {} and card.dropout == 0


def config(**changes: object) -> TrainingConfig:
    source = {"name": "folder", "root": "."}
    return TrainingConfig.model_validate({"id": "a", "sources": [source], "backbone": "tiny"} | changes)


def test_a_recipes_heads_become_the_architectures() -> None:
    heads = (
        HeadChoice(name=Head.PNEUMONIA, labels=(PNEUMONIA,), stack="dense-128", output="softmax"),
        HeadChoice(name=Head.FINDINGS, labels="nih-14"),
    )
    made = architecture_of(config(heads=heads))
    assert made.stacks[Head.PNEUMONIA] == "dense-128" and made.two_way == {Head.PNEUMONIA}
    assert len(made.targets) == 15
    for stacked in HeadChoice.model_fields["stack"].annotation.__args__:  # type: ignore[union-attr]
        assert stacked in STACKS
