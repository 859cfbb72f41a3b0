"""A site of its own for every test: an empty data folder, a tiny model, nothing left in a cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from support.tiny_bundle import save_tiny_bundle

from cxrviewer.settings import get_settings

APP = Path(__file__).resolve().parents[2] / "viewer_app.py"
Open = Callable[..., AppTest]


def _forget() -> None:
    get_settings.cache_clear()
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with one untrained bundle."""
    folder = tmp_path_factory.mktemp("models")
    save_tiny_bundle(folder)
    return folder


@pytest.fixture
def site(tmp_path: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The data folder of a site with the tiny model."""
    monkeypatch.setenv("CXR_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CXR_MODELS_DIR", str(tiny_models))
    monkeypatch.setenv("CXR_ENGINE", "torch")
    _forget()
    yield tmp_path / "data"
    _forget()


@pytest.fixture
def open_page(site: Path) -> Open:
    """Open a page of the whole app, with query parameters."""

    def _open(page: str = "", **query: str) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=60)
        app.run()
        for name, value in query.items():
            app.query_params[name] = value
        return app.switch_page(page).run() if page else app

    return _open
