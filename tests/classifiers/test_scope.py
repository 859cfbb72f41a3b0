"""What gets no score, and why: the header first, then the picture (G7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from support.small_models import phantom_radiograph, radiograph

from cxrviewer.classifiers.card import ScopeCard
from cxrviewer.classifiers.scope import MIN_SIDE, SCOPE_SIZE, Scope, ScopeNet
from cxrviewer.errors import ModelBundleError
from cxrviewer.labels import Head
from cxrviewer.studies.radiograph import View, Window

RULES_ONLY = Scope(ScopeCard(), {})


def network_that_says(logit: float) -> dict[str, torch.Tensor]:
    """A scope network with this answer to every picture."""
    torch.manual_seed(0)
    network = ScopeNet()
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.fill_(logit)
    return {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"modality": "MR"}, "modality MR"),
        ({"modality": "CT"}, "modality CT"),
        ({"modality": "MG"}, "modality MG"),
        ({"modality": "US"}, "modality US"),
        ({"modality": "mr"}, "modality mr"),
        ({"modality": "PX"}, "modality PX"),
        ({"body_part": "HAND"}, "says HAND"),
        ({"body_part": "ABDOMEN"}, "says ABDOMEN"),
        ({"body_part": "BREAST"}, "says BREAST"),
        ({"body_part": "CSPINE"}, "says CSPINE"),
        ({"view": View.LATERAL}, "Not a frontal view"),
        ({"view": View.OTHER}, "Not a frontal view"),
        ({"for_processing": True}, "FOR PROCESSING"),
    ],
)
def test_a_header_that_says_no(stated: dict[str, Any], words: str) -> None:
    answer = RULES_ONLY.answer(phantom_radiograph(metadata=stated))
    assert not answer.in_scope
    assert len(answer.reasons) == 1 and words in answer.reasons[0] and answer.reasons[0].endswith(".")
    assert answer.cautions == ()


@pytest.mark.parametrize(
    "stated",
    [
        {"modality": "CR"},
        {"modality": "DX"},
        {"modality": "dx"},
        {"modality": "SC"},
        {"modality": "OT"},
        {"modality": None},
        {"modality": ""},
        {"body_part": None},
        {"body_part": ""},
        {"body_part": "chest"},
        {"body_part": "CHEST 1V"},
        {"body_part": "PORT CHEST"},
        {"body_part": "THORAX"},
        {"body_part": "TÓRAX"},
        {"body_part": "Lungs"},
        {"view": View.AP},
        {"view": None},
        {"format": "PNG", "modality": None, "body_part": None, "view": None, "age_years": None},
    ],
)
def test_a_header_that_says_yes_or_nothing(stated: dict[str, Any]) -> None:
    answer = RULES_ONLY.answer(phantom_radiograph(metadata=stated))
    assert answer.in_scope and answer.reasons == ()


def test_every_reason_is_given() -> None:
    stated = {"modality": "CT", "body_part": "HEAD", "view": View.LATERAL, "for_processing": True}
    assert len(RULES_ONLY.answer(phantom_radiograph(metadata=stated)).reasons) == 4


def test_a_long_text_in_a_header_is_cut_in_the_reason() -> None:
    answer = RULES_ONLY.answer(phantom_radiograph(metadata={"modality": "X" * 900, "body_part": "Y" * 900}))
    assert len(answer.reasons) == 2 and all(len(reason) < 200 for reason in answer.reasons)


@pytest.mark.parametrize("level", [0, 100, 4095])
def test_a_flat_picture_shows_nothing(level: int) -> None:
    answer = RULES_ONLY.answer(radiograph(np.full((200, 180), level)))
    assert not answer.in_scope and "flat" in answer.reasons[0]


def test_a_window_that_shows_nothing_makes_it_flat() -> None:
    """The file's own window is what the network would see."""
    answer = RULES_ONLY.answer(phantom_radiograph(voi=Window(1e6, 10)))
    assert not answer.in_scope and "flat" in answer.reasons[0]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((MIN_SIDE, 300), True), ((MIN_SIDE - 1, 300), False), ((300, MIN_SIDE - 1), False), ((1, 1), False)],
)
def test_a_tiny_picture_is_refused(shape: tuple[int, int], expected: bool) -> None:
    noise = np.random.default_rng(0).random(shape)
    answer = RULES_ONLY.answer(radiograph(noise))
    assert answer.in_scope is expected
    if not expected:
        assert f"{shape[1]} x {shape[0]} px; at least {MIN_SIDE} px" in answer.reasons[0]


@pytest.mark.parametrize(
    ("logit", "expected"),
    [(1.01, True), (1.0, True), (0.99, False), (-5, False), (float("nan"), False)],
)
def test_the_network_decides_at_its_threshold(logit: float, expected: bool) -> None:
    scope = Scope(ScopeCard(thresholds={"picture": 1.0}), network_that_says(logit))
    answer = scope.answer(phantom_radiograph())
    assert answer.in_scope is expected
    if not expected:
        assert answer.reasons == ("The picture does not look like an upright frontal chest radiograph.",)


def test_the_picture_is_judged_whatever_the_header_says() -> None:
    """A photograph whose header says CHEST (G7)."""
    scope = Scope(ScopeCard(thresholds={"picture": 0.0}), network_that_says(-1))
    assert not scope.answer(phantom_radiograph(metadata={"body_part": "CHEST", "view": View.PA})).in_scope


def test_the_network_sees_the_picture() -> None:
    torch.manual_seed(3)
    network = ScopeNet().eval()
    tensors = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    film = phantom_radiograph(size=256)
    turned = replace(film, pixels=np.rot90(film.pixels).copy())
    answers = set()
    for shown in (film, turned):
        low, high = -100.0, 100.0
        for _ in range(24):  # the logit, found by moving the threshold
            middle = (low + high) / 2
            inside = Scope(ScopeCard(thresholds={"picture": middle}), tensors).answer(shown).in_scope
            low, high = (middle, high) if inside else (low, middle)
        answers.add(round(low, 4))
    assert len(answers) == 2


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (4.0, []),
        (1.0, []),
        (5.0, []),
        (
            0.5,
            [
                "The pneumonia answer learnt from patients aged 1 to 5; this one is 0.5.",
                "The findings learnt from patients aged 1 to 90; this one is 0.5.",
            ],
        ),
        (44.0, ["The pneumonia answer learnt from patients aged 1 to 5; this one is 44."]),
        (
            95.0,
            [
                "The pneumonia answer learnt from patients aged 1 to 5; this one is 95.",
                "The findings learnt from patients aged 1 to 90; this one is 95.",
            ],
        ),
        (
            None,
            [
                "No age is stated; the model learnt the pneumonia answer from patients aged 1 to 5 and the findings "
                "from patients aged 1 to 90.",
            ],
        ),
    ],
)
def test_an_age_outside_the_training_is_said(age: float | None, words: list[str]) -> None:
    card = ScopeCard(ages={Head.PNEUMONIA: (1, 5), Head.FINDINGS: (1, 90)})
    answer = Scope(card, {}).answer(phantom_radiograph(metadata={"age_years": age}))
    assert answer.in_scope
    assert list(answer.cautions) == words


def test_a_missing_projection_is_said() -> None:
    assert RULES_ONLY.answer(phantom_radiograph(metadata={"view": None})).cautions == (
        "No projection is stated: taken as frontal.",
    )
    assert RULES_ONLY.answer(phantom_radiograph()).cautions == ()


@pytest.mark.parametrize("fault", ["missing", "extra", "shape"])
def test_a_scope_network_of_another_make_is_refused(fault: str) -> None:
    tensors = network_that_says(0)
    if fault == "missing":
        tensors.pop("head.bias")
    elif fault == "extra":
        tensors["tail.bias"] = torch.zeros(1)
    else:
        tensors["head.weight"] = torch.zeros(1, 7)
    with pytest.raises(ModelBundleError, match="scope network does not fit"):
        Scope(ScopeCard(), tensors)


def test_the_scope_network_keeps_its_shape() -> None:
    network = ScopeNet().eval()
    pictures = torch.randn(3, 1, SCOPE_SIZE, SCOPE_SIZE)
    assert network(pictures).shape == (3,)
    # As float32 in a bundle it must stay small beside the classifier.
    assert sum(p.numel() for p in network.parameters()) * 4 < 2 * 2**20
