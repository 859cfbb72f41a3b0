"""`predict`: one line for each input, in order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxrviewer.cli.output import FAILED, Device, answering, counter, error_json, note, say, say_json

if TYPE_CHECKING:
    from cxrviewer.classifiers.prediction import Prediction, Score
    from cxrviewer.reading import Reader, Reading

_SHOWN_FINDINGS = 3

Paths = Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files, folders or ZIP archives.")]
ModelId = Annotated[str | None, typer.Option("--model", metavar="ID", help="Default: the serving model.")]
OnDevice = Annotated[Device | None, typer.Option("--device", help="Where the network runs.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def predict(paths: Paths, model: ModelId = None, device: OnDevice = None, as_json: AsJson = False) -> None:
    """A second opinion on each radiograph."""
    with answering(as_json):
        reader = open_reader(model, device)
        failed = 0
        with counter("Reading") as done:
            for number, reading in enumerate(reader.read_sources(paths), start=1):
                failed += not reading.ok
                _print(reading, as_json)
                done(number)
        if not as_json:
            _print_use(reader)
        if failed:
            raise typer.Exit(FAILED)


def open_reader(model: str | None, device: Device | None) -> Reader:
    """A reader without a store: a command line leaves nothing behind."""
    from cxrviewer.reading import Reader
    from cxrviewer.settings import get_settings

    settings = get_settings()
    if device is not None:
        settings = settings.model_copy(update={"device": device.value})
    return Reader(settings, model_id=model)


def _print(reading: Reading, as_json: bool) -> None:
    if as_json:
        say_json(reading_json(reading))
    else:
        say(f"{reading.source}: {_line(reading)}")


def reading_json(reading: Reading) -> dict[str, Any]:
    """One line of `predict --json`; tests/test_cli.py pins its names."""
    prediction, failure = reading.prediction, reading.failure
    if failure is not None or prediction is None:
        kind, message = (failure.kind, failure.message) if failure else ("internal", "There is no answer.")
        return {"source": reading.source, "ok": False, "error": error_json(kind, message)}
    return {
        "source": reading.source,
        "ok": True,
        "digest": prediction.digest,
        **prediction_json(prediction),
        "seconds": {"decode": round(reading.decode_seconds, 4), "predict": round(prediction.seconds, 4)},
    }


def prediction_json(prediction: Prediction) -> dict[str, Any]:
    """Model, scope and scores. Out of scope both heads are null; so is a head that the bundle lacks."""
    from cxrviewer.labels import Head

    provenance, scope = prediction.provenance, prediction.scope
    findings = {score.target.label: _score_json(score) for score in prediction.of(Head.FINDINGS)}
    return {
        "model": {
            "id": provenance.model_id,
            "weights_sha256": provenance.weights_sha256,
            "app_version": provenance.app_version,
        },
        "scope": {"in_scope": scope.in_scope, "reasons": list(scope.reasons)},
        "cautions": list(scope.cautions),
        "pneumonia": _score_json(prediction.pneumonia) if prediction.pneumonia else None,
        "findings": findings or None,
    }


def _score_json(score: Score) -> dict[str, Any]:
    return {"probability": score.probability, "threshold": score.threshold, "positive": score.positive}


def _line(reading: Reading) -> str:
    prediction = reading.prediction
    if reading.failure is not None:
        return f"{reading.failure.kind}. {reading.failure.message}"
    if prediction is None:
        return "no answer."
    provenance = prediction.provenance
    model = f"[{provenance.model_id} {provenance.weights_sha256[:12]}]"
    if not prediction.scope.in_scope:
        return f"no score. {' '.join(prediction.scope.reasons)} {model}"
    parts = [_words(prediction.pneumonia)] if prediction.pneumonia else []
    parts += [_words(score) for score in prediction.findings[:_SHOWN_FINDINGS]]
    return f"{'; '.join(parts)}. {' '.join((*prediction.scope.cautions, *reading.warnings))} {model}"


def _words(score: Score) -> str:
    """`Effusion 0.62 unsure, at or above 0.41`."""
    words = f"{score.target.name} {score.probability:.2f}"
    if score.band is not None:
        words += f" {score.band.value}"
    if score.threshold is not None:
        words += f", {'at or above' if score.positive else 'below'} {score.threshold:.2f}"
    return words


def _print_use(reader: Reader) -> None:
    """Intended use and limits stand with every score (G26); beside the results, so that a line stays a line."""
    if reader.model_is_open:
        card = reader.model.card
        note(f"{card.id}: {card.intended_use} {' '.join(card.limits)}")
