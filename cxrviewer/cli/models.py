"""`models`: the bundles there are, their cards, their checks, and which one serves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxrviewer.cli.output import FAILED, answering, error_json, say, say_json
from cxrviewer.cli.predicting import AsJson

if TYPE_CHECKING:
    from cxrviewer.classifiers.registry import ModelInfo

app = typer.Typer(no_args_is_help=True, help="Model bundles: list, show, verify, use.", rich_markup_mode=None)

Id = Annotated[str, typer.Argument(metavar="ID", help="A model's id.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Every bundle, shipped or your own; the serving one is marked with a star."""
    with answering(as_json):
        from cxrviewer.classifiers.registry import list_models

        for info in list_models():
            if as_json:
                say_json(_info_json(info))
            else:
                say(f"{'*' if info.serving else ' '}{info.id}: {info.problem or _about(info)}")


@app.command()
def show(model: Id) -> None:
    """A model's card, as JSON."""
    with answering(False):
        from cxrviewer.classifiers.card import read_card
        from cxrviewer.classifiers.registry import find
        from cxrviewer.settings import get_settings

        card = read_card(find(model, get_settings()))
        typer.echo(json.dumps(card.model_dump(mode="json"), indent=2, ensure_ascii=True))


@app.command()
def verify(
    models: Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Default: all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read bundles whole and check hash, keys, shapes, types and finiteness."""
    with answering(as_json):
        from cxrviewer.classifiers.registry import list_models, verify
        from cxrviewer.errors import ModelBundleError

        failed = False
        for model in models or [info.id for info in list_models()]:
            try:
                bundle = verify(model)
            except ModelBundleError as error:
                failed = True
                content = {"id": model, "ok": False, "error": error_json(error.kind, str(error))}
                say_json(content) if as_json else say(f"{model}: {error}")
                continue
            sha = bundle.card.weights_sha256
            say_json({"id": model, "ok": True, "weights_sha256": sha}) if as_json else say(
                f"{model}: whole, weights {sha[:12]}"
            )
        if failed:
            raise typer.Exit(FAILED)


@app.command()
def use(model: Id) -> None:
    """Make a model the serving one, after checking it whole. A bad one changes nothing."""
    with answering(False):
        from cxrviewer.classifiers.registry import use
        from cxrviewer.settings import get_settings

        use(model)
        say(f"{model} serves from now on.")
        if get_settings().model not in (None, model):
            say("CXR_MODEL is set to another one, which comes first. Unset it.")


def _about(info: ModelInfo) -> str:
    if info.card is None:
        return "no card."
    origin = "shipped" if info.shipped else "your own"
    return (
        f"{info.card.title or info.card.task} ({origin}, {info.card.created[:10]}, "
        f"weights {info.card.weights_sha256[:12]})"
    )


def _info_json(info: ModelInfo) -> dict[str, Any]:
    card = info.card
    return {
        "id": info.id,
        "title": card.title if card else None,
        "task": card.task if card else None,
        "created": card.created if card else None,
        "weights_sha256": card.weights_sha256 if card else None,
        "shipped": info.shipped,
        "serving": info.serving,
        "problem": info.problem or None,
    }
