"""From a radiograph to an answer: what decides it, what may not, and what travels with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from support.small_models import (
    SIZE,
    phantom_radiograph,
    save_small,
    small_card,
    small_model,
    small_network,
)

from cxrviewer import __version__
from cxrviewer.classifiers.bundle import open_bundle, pack, save_bundle
from cxrviewer.classifiers.card import ScopeCard
from cxrviewer.classifiers.classifier import Architecture, Classifier
from cxrviewer.classifiers.model import ServingModel
from cxrviewer.classifiers.preparing import InputSpec, prepare
from cxrviewer.errors import ModelBundleError
from cxrviewer.labels import NIH_14, Head
from cxrviewer.studies.radiograph import Metadata, Radiograph, VoiLut, Window


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def model(folder: Path) -> ServingModel:
    return small_model(folder)


def logits(model: ServingModel, film: Radiograph) -> list[float]:
    return [score.logit for score in model.predict(film).scores]


def test_the_answer_is_the_networks(model: ServingModel, folder: Path) -> None:
    film = phantom_radiograph()
    network = open_bundle(folder / model.card.id).classifier()
    with torch.inference_mode():
        wanted = network(prepare(film.presentation(), network.architecture.input))[0]
    answer = model.predict(film)
    assert [score.target for score in answer.scores] == list(network.targets)
    assert np.allclose([score.logit for score in answer.scores], wanted.numpy(), atol=1e-5)
    assert answer.pneumonia is answer.scores[0]
    assert {score.target.label for score in answer.findings} == set(NIH_14)
    probabilities = [score.probability for score in answer.findings]
    assert probabilities == sorted(probabilities, reverse=True)


def test_the_display_never_changes_the_answer(model: ServingModel) -> None:
    """G6: to the last bit, whatever the reader looks at in between."""
    film = phantom_radiograph(voi=Window(2000, 3000))
    before = logits(model, film)
    for voi in (None, Window(500, 10), Window(3000, 1), VoiLut(0, np.linspace(1, 0, 4096, dtype=np.float32))):
        for invert in (False, True):
            film.display(voi, invert)
            assert logits(model, film) == before
    assert logits(model, replace(film, presets=(Window(1, 2), Window(3, 4)))) == before
    assert logits(model, replace(film, voi=Window(1000, 500))) != before, "the file's own window does count"


def test_the_same_picture_in_either_polarity_is_the_same_answer(model: ServingModel) -> None:
    """MONOCHROME1 stores high values for dark: never inverted on its way to the network."""
    film = phantom_radiograph(voi=Window(2048, 4096))
    negative = replace(film, pixels=4095 - film.pixels, inverted=True)
    assert np.allclose(logits(model, negative), logits(model, film), atol=1e-5)
    assert not np.allclose(logits(model, replace(film, inverted=True)), logits(model, film), atol=1e-3)


def test_out_of_scope_there_is_no_score_and_no_forward_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_model(tmp_path)

    def never(_: torch.Tensor) -> None:
        raise AssertionError("the network was run")

    monkeypatch.setattr(model.serving, "run", never)
    answer, output = model.predict_with_output(phantom_radiograph(metadata={"modality": "CT"}))
    assert output is None and answer.scores == () and answer.pneumonia is None and answer.findings == ()
    assert not answer.scope.in_scope and answer.scope.reasons
    assert answer.provenance.model_id == "small-1"
    with pytest.raises(AssertionError, match="was run"):
        model.predict(phantom_radiograph())


def test_the_forward_pass_behind_the_answer_comes_along(model: ServingModel) -> None:
    answer, output = model.predict_with_output(phantom_radiograph())
    assert output is not None
    assert output.features.shape == (1, 32, SIZE // 8, SIZE // 8)
    weights, pooled = model.serving.head_weights(), output.features[0].mean((1, 2))
    network = small_network()
    bias = np.concatenate([network.get_parameter(f"heads.{h}.bias").detach().numpy() for h in Head])
    assert weights.shape == (15, 32)
    # Heads are stored in half precision, biases whole.
    assert np.allclose(weights @ pooled + bias, [score.logit for score in answer.scores], atol=1e-4)


def test_a_result_carries_where_it_came_from(model: ServingModel) -> None:
    """G16; intended use and limits (G26) are on the card beside it."""
    film = phantom_radiograph()
    answer = model.predict(film)
    assert answer.digest == film.digest and answer.frame == 1
    where = answer.provenance
    assert where.model_id == model.card.id == "small-1"
    assert where.weights_sha256 == model.card.weights_sha256 and len(where.weights_sha256) == 64
    assert (where.app_version, where.engine, where.device) == (__version__, "torch", "cpu")
    assert "64 px" in where.preprocessing and "squash" in where.preprocessing
    assert abs((datetime.now(UTC) - datetime.fromisoformat(where.created)).total_seconds()) < 60
    assert answer.seconds > 0
    assert model.card.intended_use and model.card.limits
    assert all(score.threshold == 0.4 and score.positive is not None for score in answer.scores)


def test_the_same_picture_gives_the_same_answer_again(model: ServingModel) -> None:
    film = phantom_radiograph()
    assert model.predict(film).scores == model.predict(film).scores
    assert logits(model, film) != logits(model, phantom_radiograph(seed=7))


def test_both_engines_give_the_same_answer(tmp_path: Path) -> None:
    """G6: 1e-4 across engines."""
    bundle = open_bundle(save_small(tmp_path))
    film = phantom_radiograph()
    one = ServingModel(bundle, engine="torch", device="cpu")
    other = ServingModel(bundle, engine="openvino", device="cpu")
    assert np.allclose(logits(one, film), logits(other, film), atol=1e-4)
    assert other.predict(film).provenance.engine == "openvino"


def test_a_sites_prevalence_is_for_pneumonia_alone(tmp_path: Path) -> None:
    """It is asked for as the share of pneumonia: of the findings it says nothing."""
    film = phantom_radiograph()
    plain, moved = small_model(tmp_path), small_model(tmp_path, site_prevalence=0.1)
    before, after = plain.predict(film), moved.predict(film)
    assert before.pneumonia is not None and after.pneumonia is not None
    odds = [p.probability / (1 - p.probability) for p in (before.pneumonia, after.pneumonia)]
    assert odds[1] == pytest.approx(odds[0] / 9)  # from odds 1 (prevalence 0.5) to odds 1/9
    assert (before.pneumonia.prevalence, after.pneumonia.prevalence) == (0.5, 0.1)
    assert before.pneumonia.positive == after.pneumonia.positive
    assert before.findings == after.findings


def test_a_head_that_the_bundle_lacks_has_no_score(tmp_path: Path) -> None:
    made = Architecture("tiny", ((Head.PNEUMONIA, ("pneumonia",)),), InputSpec(SIZE))
    folder = save_bundle(tmp_path, pack(Classifier(made)), small_card("alone", made))
    answer = ServingModel(open_bundle(folder), engine="torch", device="cpu").predict(phantom_radiograph())
    assert answer.scope.in_scope
    assert len(answer.scores) == 1 and answer.pneumonia is not None and answer.findings == ()


def test_a_wrong_scope_network_stops_the_model_from_opening(tmp_path: Path) -> None:
    with pytest.raises(ModelBundleError, match="scope network does not fit"):
        small_model(tmp_path, scope_tensors={"head.bias": torch.zeros(1)})


def test_a_plain_picture_without_a_header_is_answered(model: ServingModel) -> None:
    film = replace(phantom_radiograph(), metadata=Metadata("PNG"))
    answer = model.predict(film)
    assert answer.scope.in_scope and len(answer.scores) == 15
    assert answer.scope.cautions == ("No projection is stated: taken as frontal.",)


def test_cautions_stand_beside_the_scores(tmp_path: Path) -> None:
    model = small_model(tmp_path, scope=ScopeCard(ages={Head.PNEUMONIA: (1, 5)}))
    answer = model.predict(phantom_radiograph(metadata={"age_years": 61.0}))
    assert len(answer.scores) == 15
    assert answer.scope.cautions == (
        "The pneumonia answer learnt from patients aged 1 to 5; this one is 61.",
    )
