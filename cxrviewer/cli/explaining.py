"""`explain`: maps of one target on one radiograph, as numbers and as pictures."""

from __future__ import annotations

import io
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxrviewer.cli.output import answering, check_output, note, progress, say, say_json
from cxrviewer.cli.predicting import AsJson, ModelId, OnDevice, open_reader
from cxrviewer.errors import ConfigurationError, CxrError
from cxrviewer.studies.deidentify import visible

if TYPE_CHECKING:
    from cxrviewer.explainers.explainer import Explanation
    from cxrviewer.studies.radiograph import Radiograph
    from cxrviewer.studies.sources import Source


class Method(StrEnum):
    """The three methods, or all of them one after the other."""

    GRADCAM = "gradcam"
    INTEGRATED_GRADIENTS = "integrated-gradients"
    LIME = "lime"
    ALL = "all"


class Baseline(StrEnum):
    """The picture that Integrated Gradients starts from."""

    BLACK = "black"
    BLUR = "blur"
    MEAN = "mean"


_ADMITTED: Mapping[Method, tuple[str, ...]] = {
    Method.GRADCAM: (),
    Method.INTEGRATED_GRADIENTS: ("convergence_delta", "steps"),
    Method.LIME: ("samples", "segments", "r2"),
}
"""What each method says about itself, by name, beside its parameters."""

_TAKES: Mapping[Method, tuple[str, ...]] = {
    Method.GRADCAM: (),
    Method.INTEGRATED_GRADIENTS: ("steps", "baseline"),
    Method.LIME: ("samples", "seed"),
}
"""The options that each method takes; `all` hands each its own."""


def explain(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="One file.")],
    method: Annotated[Method, typer.Option("--method", help="How to explain.")],
    target: Annotated[
        str, typer.Option("--target", metavar="LABEL", help="pneumonia, Effusion, findings:Pneumonia, ...")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files go.")],
    model: ModelId = None,
    device: OnDevice = None,
    frame: Annotated[int, typer.Option("--frame", min=1, help="Which frame.")] = 1,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Integrated Gradients: steps.")] = None,
    baseline: Annotated[
        Baseline | None, typer.Option("--baseline", help="Integrated Gradients: from where.")
    ] = None,
    samples: Annotated[int | None, typer.Option("--samples", min=1, help="LIME: samples.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="LIME: random seed.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Why a target got its score: a map for each method. A map is not evidence of disease."""
    given = {"steps": steps, "baseline": baseline and baseline.value, "samples": samples, "seed": seed}
    chosen = [one for one in _TAKES if method in (one, Method.ALL)]
    source_name = visible(str(path))
    with answering(as_json, source=source_name):
        check_output(out)
        reader = open_reader(model, device)
        # Known before anything slow is done: a wrong name costs no decoding.
        wanted = reader.target(target)
        radiograph = reader.open(_single(path), frame)
        for one in chosen:
            options = {name: value for name in _TAKES[one] if (value := given[name]) is not None}
            with progress(one.value) as tell:
                explanation = reader.explain(radiograph, wanted, one.value, options, tell)
            npz, png = _write(explanation, radiograph, out)
            _print(source_name, explanation, one, npz, png, as_json)
    if not as_json:
        note("A map shows what moved this network's answer. It is not evidence of disease.")


def _single(path: Path) -> Source:
    """The one picture behind a path. Raises what made it unreadable, or ConfigurationError for several."""
    from cxrviewer.studies.sources import Refused, iter_sources

    found = iter_sources([path])
    first = next(found, None)
    if first is None:
        raise ConfigurationError("There is no picture at this path.", "Name one file.")
    if next(found, None) is not None:
        raise ConfigurationError("There is more than one picture at this path.", "Name one file.")
    if isinstance(first, Refused):
        raise first.error
    return first


def _write(explanation: Explanation, radiograph: Radiograph, out: Path) -> tuple[Path, Path]:
    """Both files, whole or absent; their names are made of the digest, never of the file's own name."""
    import numpy as np
    from PIL import Image

    from cxrviewer.explainers.overlay import overlay

    stem = f"{explanation.digest[:12]}.{explanation.method}.{explanation.target.slug}"
    out.mkdir(parents=True, exist_ok=True)
    heatmap = np.ascontiguousarray(explanation.heatmap(), np.float32)
    numbers, picture = io.BytesIO(), io.BytesIO()
    np.savez_compressed(numbers, heatmap=heatmap)
    Image.fromarray(overlay(radiograph, explanation)).save(picture, "PNG")
    return (
        _replace(out / f"{stem}.npz", numbers.getvalue()),
        _replace(out / f"{stem}.png", picture.getvalue()),
    )


def _replace(path: Path, content: bytes) -> Path:
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_bytes(content)
        return temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _print(
    source: str, explanation: Explanation, method: Method, npz: Path, png: Path, as_json: bool
) -> None:
    content = explanation_json(explanation, method, npz, png)
    if as_json:
        say_json({"source": source, "ok": True, **content})
        return
    admitted = ", ".join(f"{name} {content[name]:.4g}" for name in _ADMITTED[method])
    say(f"{method.value} of {explanation.target.name}, {explanation.seconds:.1f} s. {admitted}")
    say(f"  {npz}")
    say(f"  {png}")


def explanation_json(explanation: Explanation, method: Method, npz: Path, png: Path) -> dict[str, Any]:
    """The object of the contract. What the method admits stands beside its parameters, under its own names."""
    known = {**explanation.parameters, **explanation.admits}
    missing = [name for name in _ADMITTED[method] if name not in known]
    if missing:
        raise CxrError(f"{method.value} does not say its {', '.join(missing)}.")
    return {
        **explanation.admits,
        **{name: known[name] for name in _ADMITTED[method]},
        "digest": explanation.digest,
        "method": explanation.method,
        "target": explanation.target.name,
        "seconds": round(explanation.seconds, 4),
        "npz": str(npz),
        "png": str(png),
        "parameters": dict(explanation.parameters),
    }
