"""A bundle arrives whole or not at all, and the way back after a choice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.small_models import save_small

from cxrviewer.classifiers import registry
from cxrviewer.classifiers.bundle import WEIGHTS
from cxrviewer.classifiers.installing import install
from cxrviewer.errors import ConfigurationError, ModelBundleError
from cxrviewer.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    save_small(tmp_path / "shipped", "first")
    return Settings(data_dir=tmp_path / "data", models_dir=tmp_path / "shipped", engine="torch", model=None)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


def test_a_bundle_is_copied_with_its_split_and_nothing_else(settings: Settings, tmp_path: Path) -> None:
    made = save_small(tmp_path / "run", "mine", seed=3)
    (made / "split.csv").write_text("dataset,patient,group,image,part\n")
    (made / "notes.txt").write_text("x")
    assert install(made, settings) == "mine"
    assert names(settings.data_dir / "models") == ["mine"]
    assert names(settings.data_dir / "models" / "mine") == ["card.json", "split.csv", WEIGHTS]
    assert registry.verify("mine", settings).card.id == "mine"
    assert install(made, settings) == "mine"  # the same weights again


def test_a_damaged_bundle_leaves_nothing(settings: Settings, tmp_path: Path) -> None:
    made = save_small(tmp_path / "run", "mine", seed=3)
    (made / WEIGHTS).write_bytes(b"short")
    with pytest.raises(ModelBundleError, match="hash differs"):
        install(made, settings)
    assert names(settings.data_dir / "models") == []


@pytest.mark.parametrize("taken", ["first", "mine"])
def test_another_models_name_is_not_taken(settings: Settings, tmp_path: Path, taken: str) -> None:
    install(save_small(tmp_path / "run", "mine", seed=3), settings)
    with pytest.raises(ConfigurationError, match=f"another model called {taken}"):
        install(save_small(tmp_path / "other", taken, seed=9), settings)
    assert (
        registry.verify("mine", settings).card.weights_sha256
        == json.loads((tmp_path / "run" / "mine" / "card.json").read_text())["weights_sha256"]
    )


def test_a_copy_that_breaks_off_leaves_nothing(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = save_small(tmp_path / "run", "mine", seed=3)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cxrviewer.classifiers.installing.shutil.copyfile", full)
    with pytest.raises(OSError, match="No space"):
        install(made, settings)
    assert names(settings.data_dir / "models") == []


def test_choices_are_taken_back_one_by_one(settings: Settings) -> None:
    for number, name in enumerate(("a", "b"), start=1):
        save_small(settings.data_dir / "models", name, seed=number)
    assert registry.earlier_choice(settings) == (False, None)
    registry.use("a", settings)
    registry.use("b", settings)
    registry.use("b", settings)  # no choice of its own
    assert registry.earlier_choice(settings) == (True, "a")
    assert registry.undo(settings) == "a"
    assert registry.serving_id(settings) == "a"
    assert registry.earlier_choice(settings) == (True, None)
    assert registry.undo(settings) is None
    assert registry.serving_id(settings) == "first"
    assert names(settings.data_dir) == ["models"]
    with pytest.raises(ModelBundleError, match="no earlier choice"):
        registry.undo(settings)


def test_the_way_back_to_a_damaged_model_is_refused(settings: Settings) -> None:
    first = save_small(settings.data_dir / "models", "a", seed=1)
    save_small(settings.data_dir / "models", "b", seed=2)
    registry.use("a", settings)
    registry.use("b", settings)
    (first / WEIGHTS).write_bytes(b"short")
    with pytest.raises(ModelBundleError, match="hash differs"):
        registry.undo(settings)
    assert registry.serving_id(settings) == "b"


def test_a_long_history_is_cut(settings: Settings) -> None:
    for name in ("a", "b"):
        save_small(settings.data_dir / "models", name)
    for turn in range(30):
        registry.use("ab"[turn % 2], settings)
    kept = json.loads((settings.data_dir / registry.CHOICE).read_text())
    assert len(kept["earlier"]) == registry.KEPT_CHOICES - 1
