"""`evaluate` and `datasets inspect`: numbers about a model and about a folder of pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxrviewer.cli.output import answering, check_output, note, progress, say, say_json
from cxrviewer.cli.predicting import AsJson
from cxrviewer.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic import JsonValue

    from cxrviewer.datasets.inspecting import Inspection

datasets = typer.Typer(no_args_is_help=True, help="Data sets.", rich_markup_mode=None)

Dataset = Annotated[str, typer.Option("--dataset", metavar="NAME", help="kermany, nih, ...")]
Chosen = Annotated[
    list[str] | None,
    typer.Option(
        "--option", metavar="NAME=VALUE", help="What the data set's reader lets one choose; repeat it."
    ),
]
Root = Annotated[Path, typer.Option("--root", metavar="DIR", help="Its folder.")]


def evaluate(
    model: Annotated[str, typer.Option("--model", metavar="ID", help="A model's id.")],
    dataset: Dataset,
    root: Root,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files go.")],
    split: Annotated[str, typer.Option("--split", metavar="PART", help="train, tune or report.")] = "report",
    splits: Annotated[Path | None, typer.Option("--splits", metavar="FILE", help="A split.csv.")] = None,
    option: Chosen = None,
) -> None:
    """Measure a model on a part of a data set: metrics.json, roc.html, predictions.csv."""
    with answering(False):
        from cxrviewer.reporting.figures import write_curves
        from cxrviewer.training.evaluating import evaluate_model

        check_output(out)
        with progress("Evaluating") as tell:
            found = evaluate_model(model, dataset, root, split, splits, out, tell, options_of(option or ()))
        write_curves(found.curves(), f"{found.model} on {found.dataset}, {found.part}", out / "roc.html")
        for name in ("metrics.json", "roc.html", "predictions.csv"):
            say(str(out / name))


@datasets.callback()
def _group() -> None:
    """Data sets."""


@datasets.command()
def inspect(dataset: Dataset, root: Root, option: Chosen = None, as_json: AsJson = False) -> None:
    """Counts, missing labels, patients and a leak check; a bad label file is refused with its lines."""
    with answering(as_json):
        from cxrviewer.datasets.inspecting import inspect

        found = inspect(dataset, root, options_of(option or ()))
        if as_json:
            say_json(found.as_json())
        else:
            _print(found)


def options_of(given: Sequence[str]) -> dict[str, JsonValue]:
    """`NAME=VALUE` -> what a reader is given: text, or JSON where the value begins as a list or an object does.

    Raises ConfigurationError.
    """
    options: dict[str, JsonValue] = {}
    for text in given:
        name, sign, value = text.partition("=")
        try:
            options[name] = json.loads(value) if value[:1] in ("[", "{") else value
        except ValueError as exc:
            raise ConfigurationError(
                f"The value of the option {name} is no JSON.", "Write it as NAME=VALUE."
            ) from exc
        if not sign:
            raise ConfigurationError("An option has no value.", "Write it as NAME=VALUE.")
    return options


def _print(found: Inspection) -> None:
    say(f"{found.dataset}: {found.images} images, {found.patients} patients, {found.missing_files} missing.")
    for name, count in found.labels.items():
        say(f"  {name}: {count.positive} positive, {count.negative} negative, {count.unstated} unstated")
    for name in found.missing_examples:
        say(f"  missing: {name}")
    if found.official:
        say("  the owner's parts: " + ", ".join(f"{count} {part}" for part, count in found.official.items()))
    leaks = found.leak_check
    say(
        f"  {leaks.groups} groups stay whole in a split; {leaks.repeated_patients} patients have several "
        f"pictures; {leaks.identical_pictures} sets of identical files, {leaks.across_patients} across patients."
    )
    if not leaks.safe:
        note("Identical pictures stand under different patients and would leak between parts.")
    for words in found.notes:
        note(words)
