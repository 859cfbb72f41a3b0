"""What a person may choose about a reader, checked before anything is read."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from cxrviewer.errors import ConfigurationError


class Options(BaseModel):
    """A reader's choices. Most readers have none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def chosen(kind: type[Options], values: Mapping[str, JsonValue]) -> Options:
    """Check what was chosen. Raises ConfigurationError with a sentence a wrong value."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as exc:
        sentences = [f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in exc.errors()]
        names = ", ".join(kind.model_fields) or "there are none"
        raise ConfigurationError(
            f"The options of the data set are refused: {'; '.join(sentences)}.", f"Options here: {names}."
        ) from exc
