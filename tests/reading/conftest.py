"""A reader on an untrained bundle, and files for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.pictures import png_of
from support.tiny_bundle import save_tiny_bundle

from cxrviewer.archive import Archive
from cxrviewer.reading import Reader
from cxrviewer.settings import Settings


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with one untrained bundle."""
    return save_tiny_bundle(tmp_path_factory.mktemp("models")).parent


@pytest.fixture
def settings(tmp_path: Path, tiny_models: Path) -> Settings:
    """A data folder of its own; the engine that starts fastest."""
    return Settings(data_dir=tmp_path / "data", models_dir=tiny_models, engine="torch", device="cpu")


@pytest.fixture
def archive(settings: Settings) -> Iterator[Archive]:
    """An empty store."""
    archive = Archive(settings.data_dir)
    yield archive
    archive.close()


@pytest.fixture
def reader(settings: Settings, archive: Archive) -> Reader:
    """A reader with a store."""
    return Reader(settings, archive)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files in order: good, broken, good."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.png").write_bytes(png_of(1))
    (folder / "b.dcm").write_bytes(bytes(128) + b"DICM" + b"broken")
    (folder / "c.png").write_bytes(png_of(2))
    return folder


@pytest.fixture
def png() -> bytes:
    """One good picture."""
    return png_of(1)
