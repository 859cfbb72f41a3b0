"""Which model serves, and that a bad one never takes a good one's place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from support.small_models import phantom_radiograph, save_small, small_card

from cxrviewer.classifiers import registry
from cxrviewer.classifiers.bundle import WEIGHTS, save_bundle
from cxrviewer.classifiers.card import CARD
from cxrviewer.errors import ModelBundleError
from cxrviewer.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "shipped", engine="torch", model=None)


@pytest.fixture
def shipped(settings: Settings) -> Path:
    """`older` and `newer`, of 2025 and 2026."""
    save_small(settings.models_dir, "older", created="2025-05-01T00:00:00+00:00")
    save_small(settings.models_dir, "newer", created="2026-05-01T00:00:00+00:00", seed=1)
    return settings.models_dir


def changed(settings: Settings, **values: Any) -> Settings:
    return settings.model_copy(update=values)


def save_lungs(parent: Path) -> None:
    card = small_card("lungs", task="segmentation", targets=(), created="2027-01-01T00:00:00+00:00")
    save_bundle(parent, save({"conv.weight": torch.ones(1, 1, 3, 3)}), card)


def test_the_list_names_all_and_marks_the_one_that_serves(settings: Settings, shipped: Path) -> None:
    save_small(settings.data_dir / "models", "mine")
    found = {info.id: info for info in registry.list_models(settings)}
    assert list(found) == ["newer", "older", "mine"]
    assert [info.id for info in found.values() if info.serving] == ["newer"]
    assert [info.id for info in found.values() if info.shipped] == ["newer", "older"]
    assert all(info.card is not None and not info.problem for info in found.values())


def test_a_damaged_bundle_is_named_and_the_others_go_on(settings: Settings, shipped: Path) -> None:
    (shipped / "newer" / CARD).write_text("{")
    found = {info.id: info for info in registry.list_models(settings)}
    assert found["newer"].card is None
    assert "The card of model newer is refused" in found["newer"].problem
    assert found["older"].serving and not found["newer"].serving
    assert registry.open_model(settings=settings).card.id == "older"


def test_a_bundle_half_written_is_not_listed(settings: Settings, shipped: Path) -> None:
    (shipped / "older").rename(shipped / ".new-abc")
    (shipped / "newer").rename(shipped / ".old-newer")
    assert registry.list_models(settings) == ()
    assert registry.serving_id(settings) is None


def test_no_model_at_all(settings: Settings) -> None:
    assert registry.list_models(settings) == ()
    with pytest.raises(ModelBundleError, match=r"There is no model\. Put a bundle into the models folder"):
        registry.open_model(settings=settings)


def test_setting_before_choice_before_the_newest(settings: Settings, shipped: Path) -> None:
    save_small(settings.data_dir / "models", "mine", created="2027-01-01T00:00:00+00:00")
    assert registry.serving_id(settings) == "newer"
    registry.use("older", settings)
    assert registry.serving_id(settings) == "older"
    assert registry.serving_id(changed(settings, model="mine")) == "mine"


def test_ones_own_model_serves_where_none_is_shipped(settings: Settings) -> None:
    save_small(settings.data_dir / "models", "mine")
    assert registry.serving_id(settings) == "mine"


def test_use_outlasts_the_process(settings: Settings, shipped: Path) -> None:
    choice = registry.use("older", settings)
    assert choice == settings.data_dir / registry.CHOICE
    assert json.loads(choice.read_text()) == {"model": "older"}
    assert registry.open_model(settings=settings).card.id == "older"
    assert [file.name for file in settings.data_dir.iterdir()] == [registry.CHOICE]


def test_use_refuses_a_bad_bundle_and_the_old_one_goes_on(settings: Settings, shipped: Path) -> None:
    registry.use("older", settings)
    with (shipped / "newer" / WEIGHTS).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    with pytest.raises(ModelBundleError, match="hash differs"):
        registry.use("newer", settings)
    with pytest.raises(ModelBundleError, match="no model of that id"):
        registry.use("nobody", settings)
    assert registry.serving_id(settings) == "older"
    assert registry.open_model(settings=settings).card.id == "older"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "7", "[" * 100_000, '{"model": ["older"]'])
def test_a_damaged_choice_is_said_and_can_be_mended(settings: Settings, shipped: Path, content: str) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / registry.CHOICE).write_text(content)
    with pytest.raises(ModelBundleError, match="Choose the serving model again"):
        registry.open_model(settings=settings)
    assert [info.id for info in registry.list_models(settings)] == ["newer", "older"]
    registry.use("older", settings)
    assert registry.open_model(settings=settings).card.id == "older"


def test_a_choice_that_is_gone_is_said(settings: Settings, shipped: Path) -> None:
    registry.use("older", settings)
    (shipped / "older").rename(shipped.parent / "elsewhere")
    with pytest.raises(ModelBundleError, match="no model of that id"):
        registry.open_model(settings=settings)
    assert not any(info.serving for info in registry.list_models(settings))


@pytest.mark.parametrize("name", ["..", ".", "", "../shipped/older", "older/../newer", "*", ".old-newer"])
def test_an_id_is_compared_and_never_becomes_a_path(settings: Settings, shipped: Path, name: str) -> None:
    with pytest.raises(ModelBundleError, match="no model of that id"):
        registry.find(name, settings)


def test_verify_reads_everything(settings: Settings, shipped: Path) -> None:
    assert registry.verify("older", settings).card.id == "older"
    (shipped / "older" / WEIGHTS).write_bytes(b"short")
    with pytest.raises(ModelBundleError, match="hash differs"):
        registry.verify("older", settings)


def test_a_segmentation_model_never_serves(settings: Settings, shipped: Path) -> None:
    save_lungs(shipped)
    assert registry.serving_id(settings) == "newer"
    assert registry.verify("lungs", settings).card.task == "segmentation"
    with pytest.raises(ModelBundleError, match="lungs is a segmentation model"):
        registry.open_model("lungs", settings)
    with pytest.raises(ModelBundleError, match="lungs is a segmentation model"):
        registry.use("lungs", settings)
    assert registry.serving_id(settings) == "newer"


def test_ones_own_bundle_comes_before_a_shipped_one_of_the_same_id(settings: Settings, shipped: Path) -> None:
    own = save_small(settings.data_dir / "models", "newer", seed=5)
    assert registry.find("newer", settings) == own
    assert [info.path for info in registry.list_models(settings) if info.serving] == [own]
    shipped_hash = json.loads((shipped / "newer" / CARD).read_text())["weights_sha256"]
    assert registry.open_model("newer", settings).serving.weights_sha256 != shipped_hash


def test_the_settings_reach_the_model(settings: Settings, shipped: Path) -> None:
    model = registry.open_model("newer", changed(settings, site_prevalence=0.02))
    assert model.serving.engine == "torch"
    answer = model.predict(phantom_radiograph())
    assert answer.pneumonia is not None and answer.pneumonia.prevalence == 0.02


def test_models_are_listed_without_loading_torch(settings: Settings, shipped: Path) -> None:
    """It takes seconds, and the first page is not to wait for it."""
    code = (
        "import sys; from cxrviewer.classifiers import prediction, card, calibration, registry\n"
        "print([info.id for info in registry.list_models()], 'torch' in sys.modules)"
    )
    places = {"CXR_DATA_DIR": str(settings.data_dir), "CXR_MODELS_DIR": str(shipped)}
    root = Path(registry.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], env=places, cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['newer', 'older'] False"


def test_the_threads_of_the_settings_are_used(settings: Settings, shipped: Path) -> None:
    before = torch.get_num_threads()
    try:
        registry.open_model("newer", changed(settings, threads=1))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
