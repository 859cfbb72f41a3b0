"""A model that sees a part of the radiograph: its answer says so, and every map comes back to the radiograph."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxrviewer.archive.explanations import _from_bytes, _to_bytes
from cxrviewer.classifiers.architecture import Architecture, InputSpec
from cxrviewer.classifiers.bundle import open_bundle, pack, save_bundle
from cxrviewer.classifiers.card import InputCard
from cxrviewer.classifiers.lungs import LungModel
from cxrviewer.classifiers.model import ServingModel
from cxrviewer.classifiers.preparer import NOT_FOUND
from cxrviewer.classifiers.references import HISTOGRAM, PLACE
from cxrviewer.classifiers.registry import find
from cxrviewer.errors import ModelBundleError
from cxrviewer.explainers import explainer
from cxrviewer.reading.reader import Reader
from cxrviewer.settings import get_settings
from cxrviewer.studies.radiograph import Metadata, Radiograph, View
from tests.support.small_models import SIZE, phantom_radiograph, small_card, small_network


def wide() -> Radiograph:
    """300 by 420 px, of which a central square leaves out 60 columns at each side."""
    pixels = np.ascontiguousarray(phantom_radiograph(1, 420).presentation()[60:360])
    return Radiograph(pixels, "1" * 64, Metadata("PNG", view=View.PA))


def model_of(tmp_path: Path, spec: InputSpec) -> ServingModel:
    architecture = Architecture("tiny", input=spec)
    card = small_card(architecture=architecture, input=InputCard(**dataclasses.asdict(spec)))
    weights = pack(small_network(input=spec))
    return ServingModel(open_bundle(save_bundle(tmp_path, weights, card)), engine="torch", device="cpu")


METHODS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("gradcam", {}),
    ("integrated-gradients", {"steps": 4}),
    ("lime", {"samples": 30, "segments": 9}),
)


@pytest.mark.parametrize(("method", "options"), METHODS)
@pytest.mark.parametrize("normalisation", ["per-image", "imagenet"])
def test_a_map_of_a_central_square_is_zero_beside_it(
    tmp_path: Path, method: str, options: dict[str, Any], normalisation: str
) -> None:
    model = model_of(tmp_path, InputSpec(SIZE, resize="crop", normalisation=normalisation))
    found = explainer(method, **options).explain(model.serving, wide(), model.serving.targets[0])
    heatmap = found.heatmap()
    assert heatmap.shape == (300, 420)
    assert not heatmap[:, :60].any() and not heatmap[:, 360:].any()
    assert heatmap[:, 60:360].any()
    half = found.heatmap_at((150, 210))
    assert not half[:, :30].any() and half[:, 30:180].any()
    again = _from_bytes(_to_bytes(found))
    assert again.frame == found.frame
    np.testing.assert_array_equal(again.heatmap(), heatmap)


def test_the_strip_of_small_maps_covers_the_whole_radiograph(tmp_path: Path) -> None:
    model = model_of(tmp_path, InputSpec(SIZE, resize="crop"))
    maps = Reader(get_settings(), open_model=lambda *_: model).grad_cams(wide())
    assert len(maps) == len(model.serving.targets)
    for grid in maps.values():
        assert grid.shape == (91, 128)
        assert not grid[:, :18].any() and not grid[:, 110:].any()
    assert any(grid.any() for grid in maps.values())


def test_an_answer_says_what_was_done_to_its_picture(tmp_path: Path) -> None:
    spec = InputSpec(
        SIZE, resize="crop", harmonise="histogram", reference=HISTOGRAM, normalisation="minus-one-one"
    )
    answer = model_of(tmp_path, spec).predict(wide())
    assert answer.provenance.preprocessing == (
        "64 px, central square, bilinear, antialiased, histogram matched to a stored one; -1 to 1"
    )
    assert len(answer.scores) == 15


def shipped_lungs() -> str:
    bundle = open_bundle(find("lungs-unet-1", get_settings()))
    return f"{bundle.card.id}@{bundle.card.weights_sha256}"


def test_lungs_that_are_cut_out_by_the_shipped_lung_network(tmp_path: Path) -> None:
    spec = InputSpec(SIZE, lungs="crop", lungs_model=shipped_lungs())
    model, film = model_of(tmp_path, spec), wide()
    answer = model.predict(film)
    frame = model.serving.preparer.film(film).frame
    told = (
        f"rows {frame.top} to {frame.top + frame.height}, columns {frame.left} to {frame.left + frame.width}"
    )
    assert answer.provenance.preprocessing.endswith(told)
    assert NOT_FOUND not in answer.scope.cautions


def test_a_picture_without_lungs_is_scored_with_a_caution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never an exception, and never silently."""
    film = wide()
    model = model_of(tmp_path, InputSpec(SIZE, lungs="align", place=PLACE, lungs_model=shipped_lungs()))
    assert NOT_FOUND not in model.predict(film).scope.cautions
    monkeypatch.setattr(LungModel, "segment", lambda _self, small: np.zeros_like(small))
    answer = model.predict(film)
    assert NOT_FOUND in answer.scope.cautions and answer.scores
    assert answer.provenance.preprocessing.endswith("rows 0 to 300, columns 0 to 420 (lungs not found)")
    found = explainer("gradcam").explain(model.serving, film, model.serving.targets[0])
    assert found.admits["preparation"] == NOT_FOUND


def test_another_lung_model_than_the_one_trained_with_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelBundleError, match="another one than this model was trained with"):
        model_of(tmp_path, InputSpec(SIZE, lungs="crop", lungs_model="lungs-unet-1@" + "0" * 64))
    with pytest.raises(ModelBundleError, match="no model of that id"):
        model_of(tmp_path, InputSpec(SIZE, lungs="crop", lungs_model="lungs-unet-9@" + "0" * 64))
