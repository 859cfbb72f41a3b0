"""One frozen `Settings`, read once from the environment.

Every setting is a variable `CXR_...`; an empty one counts as absent. Nothing is read from files.

    CXR_DATA_DIR         studies, results, training runs, own models   (default: a folder of the user's)
    CXR_MODELS_DIR       the model bundles that come with the program  (default: models/ beside the package)
    CXR_PORT             the port of the app                           (8501)
    CXR_MODEL            id of the serving model                       (none: the registry's choice)
    CXR_DEVICE           auto, cpu or cuda                             (auto)
    CXR_ENGINE           auto, openvino or torch, for forward passes   (auto)
    CXR_THREADS          threads a computation may use; 0 lets the libraries choose (0)
    CXR_SITE_PREVALENCE  share of pneumonia among the pictures read here, within 0..1  (none: as trained)
    CXR_OPERATING_POINT  what the thresholds are chosen for: model, sensitivity-0.90, sensitivity-0.95,
                         specificity-0.90, specificity-0.95 or youden  (model: the bundle's own choice)
    CXR_PICTURE_CACHE_GB room for prepared training pictures, in 10^9 bytes     (50)
    CXR_LOG_LEVEL        debug, info, warning or error                 (info)
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from cxrviewer.errors import ConfigurationError

PREFIX = "CXR_"

Device = Literal["auto", "cpu", "cuda"]
Engine = Literal["auto", "openvino", "torch"]
OperatingPoint = Literal[
    "model", "sensitivity-0.90", "sensitivity-0.95", "specificity-0.90", "specificity-0.95", "youden"
]
LogLevel = Literal["debug", "info", "warning", "error"]


def _folder(value: str | Path) -> Path:
    """An absolute path with `~` resolved. A file of that name is refused; the folder need not exist yet."""
    path = Path(value).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise ValueError("a folder is needed, and a file of that name is in the way")
    return path


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


Folder = Annotated[Path, BeforeValidator(_folder)]


def _default_data_dir() -> Path:
    return platformdirs.user_data_path("cxr-viewer", appauthor=False)


def _shipped_models() -> Path:
    return Path(__file__).resolve().parent.parent / "models"


class Settings(BaseSettings):
    """What a site can choose. Frozen; a test builds its own: `Settings(data_dir=tmp_path)`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True, validate_default=True
    )

    data_dir: Folder = Field(default_factory=_default_data_dir)
    models_dir: Folder = Field(default_factory=_shipped_models)
    port: int = Field(default=8501, ge=1, le=65535)
    model: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    device: Annotated[Device, BeforeValidator(_lower)] = "auto"
    engine: Annotated[Engine, BeforeValidator(_lower)] = "auto"
    threads: int = Field(default=0, ge=0, le=1024)
    site_prevalence: float | None = Field(default=None, gt=0.0, lt=1.0)
    operating_point: Annotated[OperatingPoint, BeforeValidator(_lower)] = "model"
    picture_cache_gb: float = Field(default=50.0, ge=0.0, le=1e6)
    log_level: Annotated[LogLevel, BeforeValidator(_lower)] = "info"

    @property
    def models_dirs(self) -> tuple[Path, Path]:
        """Where bundles are looked for, in order: shipped, then the user's own. Either may be absent."""
        return (self.models_dir, self.data_dir / "models")

    @property
    def runs_dir(self) -> Path:
        """One folder a training run (`<data folder>/runs/<run id>/`)."""
        return self.data_dir / "runs"


# A wrong value is answered with what would be right, not with the validator's own wording.
_NEEDED = {
    "data_dir": "the path of a folder",
    "models_dir": "the path of a folder",
    "port": "a whole number from 1 to 65535",
    "model": "the id of a model (letters, digits, '.', '_' and '-')",
    "device": "auto, cpu or cuda",
    "engine": "auto, openvino or torch",
    "threads": "a whole number from 0 (let the libraries choose) to 1024",
    "site_prevalence": "a number above 0 and below 1",
    "operating_point": "model, sensitivity-0.90, sensitivity-0.95, specificity-0.90, specificity-0.95 or youden",
    "picture_cache_gb": "a number of gigabytes from 0 to 1000000",
    "log_level": "debug, info, warning or error",
}


def read_settings() -> Settings:
    """Read the environment now. Raises ConfigurationError that names each wrong variable."""
    try:
        return Settings()
    except ValidationError as exc:
        fields = sorted({str(error["loc"][0]) for error in exc.errors()})
        wrong = "; ".join(f"{PREFIX}{field.upper()} needs {_NEEDED[field]}" for field in fields)
        names = " and ".join(f"{PREFIX}{field.upper()}" for field in fields)
        raise ConfigurationError(f"A setting makes no sense: {wrong}.", f"Change or unset {names}.") from exc


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read at the first call. A test calls `cache_clear()` after a change."""
    return read_settings()
