"""A folder in the owner's layout of Kermany et al., of made-up pictures: a bright patch means pneumonia."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrviewer.settings import get_settings
from cxrviewer.training.config import Augmentation, Source, Stage, TrainingConfig

SIDE = 40


@pytest.fixture(autouse=True)
def own_data_folder(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """No test fills the picture cache of whoever runs the tests."""
    monkeypatch.setenv("CXR_DATA_DIR", str(tmp_path_factory.getbasetemp() / "data"))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def picture(rng: np.random.Generator, ill: bool) -> np.ndarray:
    pixels = rng.normal(90, 12, (SIDE, SIDE))
    if ill:
        row, column = rng.integers(8, 24, 2)
        pixels[row : row + 10, column : column + 10] += 90
    return np.clip(pixels, 0, 255).astype(np.uint8)


def write_kermany(root: Path, persons: int = 40) -> Path:
    """Two pictures a person; half of the persons are ill, every second of them by bacteria."""
    rng = np.random.default_rng(3)
    for person in range(persons):
        ill = person % 2 == 0
        for shot in range(2):
            kind = "bacteria" if person % 4 else "virus"
            name = f"person{person}_{kind}_{shot}" if ill else f"IM-{person:04d}-{shot:04d}"
            path = root / "train" / ("PNEUMONIA" if ill else "NORMAL") / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(rng, ill)).save(path)
    return root


@pytest.fixture(scope="session")
def kermany_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_kermany(tmp_path_factory.mktemp("kermany"))


def tiny(kermany_folder: Path, **changes: object) -> TrainingConfig:
    """A run of seconds."""
    values: dict[str, object] = {
        "id": "tiny-test",
        "sources": (Source(name="kermany", root=str(kermany_folder), tune=0.2, report=0.2),),
        "backbone": "tiny",
        "stages": (Stage(size=32, epochs=4),),
        "batch_size": 8,
        "learning_rate": 0.01,
        "ema_decay": 0.8,
        "precision": "32-true",
        "auxiliary": ("bacterial",),
        "augmentation": Augmentation(erase=0.1),
    }
    return TrainingConfig.model_validate(values | changes)


@pytest.fixture(scope="session")
def tiny_config(kermany_folder: Path) -> Callable[..., TrainingConfig]:
    return partial(tiny, kermany_folder)
