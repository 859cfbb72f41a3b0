"""Data sets under names of their own: `<data folder>/datasets/<name>.json`, a file a data set."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from cxrviewer.errors import ConfigurationError, NotFoundError
from cxrviewer.logs import get_logger

FOLDER = "datasets"
NAME = r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$"


class Remembered(BaseModel):
    """What was chosen about a data set, and how it is to be parted; the fields are those of a recipe's source.

    name: what it is called here. reader: a name of `DATASETS`. together: a kept list of near-duplicates, or "".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME)
    reader: str
    root: str
    options: dict[str, JsonValue] = {}
    split: Literal["patient", "stratified", "official"] = "patient"
    folds: int = Field(default=0, ge=0, le=100)
    fold: int = Field(default=0, ge=0)
    tune: float = Field(default=0.1, ge=0, le=1)
    report: float = Field(default=0.1, ge=0, le=1)
    together: str = ""

    @property
    def same_data(self) -> tuple[str, str, str]:
        """What decides which rows are read, hashable."""
        return self.reader, self.root, repr(sorted(self.options.items()))


def remembered(data_dir: Path) -> tuple[Remembered, ...]:
    """Everything that is remembered, by name. A file that cannot be understood is left out and logged."""
    found = []
    for path in sorted((data_dir / FOLDER).glob("*.json")):
        try:
            found.append(Remembered.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError):
            get_logger().warning("dataset.unreadable_memory")
    return tuple(found)


def named(data_dir: Path, name: str) -> Remembered:
    """One of them. Raises NotFoundError."""
    for one in remembered(data_dir):
        if one.name == name:
            return one
    raise NotFoundError("No data set is remembered under that name.", "Add it on the data sets page.")


def checked(**values: object) -> Remembered:
    """A choice, validated. Raises ConfigurationError with a sentence."""
    try:
        return Remembered.model_validate(values)
    except ValidationError as exc:
        fields = ", ".join(str(error["loc"][0]) for error in exc.errors() if error["loc"])
        raise ConfigurationError(
            f"The data set's {fields} cannot be used.",
            "A name is made of letters, digits, blanks, '.', '_' and '-', 64 at most.",
        ) from exc


def remember(data_dir: Path, one: Remembered) -> None:
    """Keep it, in place of one of the same name. Raises ConfigurationError where the folder cannot be written."""
    _write(data_dir / FOLDER / f"{one.name}.json", one.model_dump_json(indent=1).encode() + b"\n")


def keep_pairs(data_dir: Path, one: Remembered, listing: bytes) -> Remembered:
    """Keep a list of near-duplicates with it: a run that takes it leaves both of a pair in one part of its split.

    listing: CSV with the columns `a` and `b`. Raises ConfigurationError.
    """
    digest = hashlib.sha256(repr(one.same_data).encode()).hexdigest()[:12]
    file = (data_dir / FOLDER / f"pairs-{digest}.csv").absolute()
    _write(file, listing)
    kept = one.model_copy(update={"together": str(file)})
    remember(data_dir, kept)
    return kept


def forget(data_dir: Path, name: str) -> None:
    """Forget the name and its list of near-duplicates; the pictures stay where they are."""
    known = {one.name: one for one in remembered(data_dir)}
    if name not in known:
        return
    gone = known.pop(name)
    (data_dir / FOLDER / f"{name}.json").unlink(missing_ok=True)
    if gone.together and all(one.together != gone.together for one in known.values()):
        Path(gone.together).unlink(missing_ok=True)


def _write(file: Path, content: bytes) -> None:
    temporary = file.with_name(f"{file.name}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(file)
    except OSError as exc:
        raise ConfigurationError(
            "The data set cannot be remembered.", "Make room in the data folder."
        ) from exc
