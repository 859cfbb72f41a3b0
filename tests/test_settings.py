"""Settings come from the environment, once; a wrong one is named with its remedy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from cxrviewer.errors import ConfigurationError
from cxrviewer.settings import Settings, get_settings, read_settings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.upper().startswith("CXR_")]:
        monkeypatch.delenv(name)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_defaults_suit_one_reader_on_one_machine() -> None:
    settings = read_settings()
    assert settings.port == 8501
    assert (settings.model, settings.site_prevalence) == (None, None)
    assert (settings.device, settings.engine, settings.threads, settings.log_level) == (
        "auto",
        "auto",
        0,
        "info",
    )
    assert settings.data_dir.is_absolute() and settings.data_dir.name == "cxr-viewer"


def test_shipped_models_stand_beside_the_package(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    shipped, own = settings.models_dirs
    assert shipped == Path(__file__).resolve().parent.parent / "models"
    assert own == tmp_path / "models"
    assert settings.runs_dir == tmp_path / "runs"


def test_every_field_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = {
        "CXR_DATA_DIR": str(tmp_path / "data"),
        "CXR_MODELS_DIR": str(tmp_path / "bundles"),
        "CXR_PORT": "8600",
        "CXR_MODEL": "densenet121-cxr.v2",
        "CXR_DEVICE": "CUDA",
        "CXR_ENGINE": "openvino",
        "CXR_THREADS": "2",
        "CXR_SITE_PREVALENCE": "0.07",
        "CXR_OPERATING_POINT": "Sensitivity-0.95",
        "CXR_PICTURE_CACHE_GB": "12.5",
        "CXR_LOG_LEVEL": "Warning",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert set(given) == {f"CXR_{name.upper()}" for name in Settings.model_fields}
    assert read_settings().model_dump() == {
        "data_dir": tmp_path / "data",
        "models_dir": tmp_path / "bundles",
        "port": 8600,
        "model": "densenet121-cxr.v2",
        "device": "cuda",
        "engine": "openvino",
        "threads": 2,
        "site_prevalence": 0.07,
        "operating_point": "sensitivity-0.95",
        "picture_cache_gb": 12.5,
        "log_level": "warning",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CXR_PORT", "0"),
        ("CXR_PORT", "65536"),
        ("CXR_PORT", "eighty"),
        ("CXR_DEVICE", "tpu"),
        ("CXR_ENGINE", "onnx"),
        ("CXR_THREADS", "-1"),
        ("CXR_SITE_PREVALENCE", "0"),
        ("CXR_SITE_PREVALENCE", "1"),
        ("CXR_SITE_PREVALENCE", "nan"),
        ("CXR_OPERATING_POINT", "sensitivity-0.8"),
        ("CXR_MODEL", "../elsewhere"),
        ("CXR_LOG_LEVEL", "loud"),
        ("CXR_DATA_DIR", __file__),
    ],
)
def test_a_wrong_value_is_named_with_what_is_needed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        read_settings()
    assert f"{name} needs " in caught.value.message
    assert name in caught.value.remedy
    assert caught.value.kind == "usage"


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_PORT", "x")
    monkeypatch.setenv("CXR_DEVICE", "y")
    with pytest.raises(ConfigurationError) as caught:
        read_settings()
    assert "CXR_DEVICE" in caught.value.message and "CXR_PORT" in caught.value.message


def test_an_empty_variable_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_PORT", "")
    monkeypatch.setenv("CXR_SITE_PREVALENCE", "")
    assert (read_settings().port, read_settings().site_prevalence) == (8501, None)


def test_paths_are_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CXR_DATA_DIR", "studies")
    assert read_settings().data_dir == tmp_path / "studies"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CXR_DATA_DIR", "~/cxr")
    assert read_settings().data_dir == tmp_path / "cxr"


def test_settings_are_read_once_and_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    first = get_settings()
    monkeypatch.setenv("CXR_PORT", "9000")
    assert get_settings() is first and first.port == 8501
    with pytest.raises(ValidationError, match="frozen"):
        first.port = 9000  # type: ignore[misc]
