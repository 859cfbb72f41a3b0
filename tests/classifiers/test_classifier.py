"""The classifier's closed form, worked by hand, and the names of its targets."""

from __future__ import annotations

import pytest
import torch
from support.small_models import SIZE, small_network

from cxrviewer.classifiers.classifier import Architecture, Classifier
from cxrviewer.classifiers.preparing import InputSpec
from cxrviewer.classifiers.targets import Target, index_of, parse_target
from cxrviewer.errors import UnknownTargetError
from cxrviewer.labels import CHEXPERT_14, NIH_14, Head

BOTH = Architecture("tiny").targets
FINDINGS_ONLY = Architecture("tiny", ((Head.FINDINGS, NIH_14),)).targets
PNEUMONIA = Target(Head.PNEUMONIA, "pneumonia")
REPORTED = Target(Head.FINDINGS, "Pneumonia")


def test_a_logit_is_weights_times_pooled_features_plus_bias() -> None:
    network = small_network().requires_grad_(False)
    given = torch.randn(2, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    pooled = network.features(given).mean((2, 3))
    bias = torch.cat([network.get_parameter(f"heads.{head}.bias") for head in ("pneumonia", "findings")])
    assert torch.allclose(network(given), pooled @ network.head_weights().T + bias, atol=1e-6)


def test_logits_by_hand() -> None:
    """Two features with means 2 and 3; weights (1, 10) and (-1, 0), biases 0.5 and 7: 32.5 and 5."""
    heads = ((Head.PNEUMONIA, ("pneumonia",)), (Head.FINDINGS, ("Mass",)))
    network = Classifier(Architecture("tiny", heads, InputSpec(SIZE))).eval()
    features = torch.zeros(1, 32, 2, 2)
    features[0, 0] = torch.tensor([[0.0, 8.0], [0.0, 0.0]])
    features[0, 1] = 3
    with torch.no_grad():
        for head, weights, bias in (("pneumonia", (1.0, 10.0), 0.5), ("findings", (-1.0, 0.0), 7.0)):
            network.get_parameter(f"heads.{head}.weight").zero_()[0, :2] = torch.tensor(weights)
            network.get_parameter(f"heads.{head}.bias").fill_(bias)
        assert network.logits(features).tolist() == [[32.5, 5.0]]
    assert network.head_weights()[:, :2].tolist() == [[1, 10], [-1, 0]]


def test_the_network_carries_its_labels_in_output_order() -> None:
    network = small_network()
    assert [target.label for target in network.targets] == ["pneumonia", *NIH_14]
    assert network.index(Target(Head.FINDINGS, "Effusion")) == 3
    with pytest.raises(UnknownTargetError, match=r"called Oedema\. Choose one of pneumonia, Atelectasis"):
        network.index(Target(Head.FINDINGS, "Oedema"))


def test_dropout_rests_in_evaluation() -> None:
    torch.manual_seed(0)
    network = Classifier(Architecture("tiny", input=InputSpec(SIZE), dropout=0.9)).eval()
    given = torch.randn(1, 1, SIZE, SIZE)
    with torch.no_grad():
        assert torch.equal(network(given), network(given))
        assert not torch.equal(network.train()(given), network(given))


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("pneumonia", PNEUMONIA),
        ("pneumonia:pneumonia", PNEUMONIA),
        ("findings:Pneumonia", REPORTED),
        ("Findings:pneumonia", REPORTED),
        ("Pneumonia", REPORTED),
        ("Effusion", Target(Head.FINDINGS, "Effusion")),
        ("effusion", Target(Head.FINDINGS, "Effusion")),
        ("findings:Effusion", Target(Head.FINDINGS, "Effusion")),
        ("PLEURAL_THICKENING", Target(Head.FINDINGS, "Pleural_Thickening")),
    ],
)
def test_a_name_leads_to_its_target(text: str, target: Target) -> None:
    assert parse_target(text, BOTH) == target


@pytest.mark.parametrize(
    "text", ["", "Pneumothora", "PNEUMONIA", "pneumonia:Effusion", "findings:", "Effusion "]
)
def test_another_name_is_answered_with_those_there_are(text: str) -> None:
    """`PNEUMONIA` could be either head's."""
    with pytest.raises(UnknownTargetError, match=r"pneumonia, Atelectasis.*findings:Pneumonia") as caught:
        parse_target(text, BOTH)
    assert caught.value.kind == "unknown-target"


def test_where_one_head_has_the_name_no_prefix_is_needed() -> None:
    for text in ("pneumonia", "Pneumonia", "PNEUMONIA", "findings:Pneumonia"):
        assert parse_target(text, FINDINGS_ONLY) == REPORTED


@pytest.mark.parametrize("vocabulary", [NIH_14, CHEXPERT_14])
def test_every_name_and_slug_leads_back_alone(vocabulary: tuple[str, ...]) -> None:
    targets = Architecture("tiny", ((Head.PNEUMONIA, ("pneumonia",)), (Head.FINDINGS, vocabulary))).targets
    assert [parse_target(target.name, targets) for target in targets] == list(targets)
    assert len({target.slug for target in targets}) == len(targets)
    assert all(set(target.slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for target in targets)
    assert [index_of(targets, target) for target in targets] == list(range(15))
